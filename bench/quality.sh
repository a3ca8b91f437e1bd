#!/bin/sh
# quality.sh - how good the bits are that a search finds: accuracy against DSP operations of searches, of the published
# method, of sensitivity + knapsack and of uniform bits; three seeds, the same main training for all, from the weights that
# found the bits. vgg_tiny on Fashion-MNIST, and UltraNet on shapes at half the width and height. An hour or two for each
# on a quiet core; more workers may help: `mixq pareto --out FOLDER/vgg_tiny --resume`.
# usage: bench/quality.sh [MIXQ [FOLDER [NAME...]]]; names: vgg_tiny ultranet, and either without some part of the search:
# NAME-no-annealing NAME-no-prior
set -eu
mixq=${1:-build/mixq}
out=${2:-quality}
[ $# -gt 2 ] && shift 2 || set -- vgg_tiny ultranet
here=$(dirname "$0")
mkdir -p "$out"
model=$out/ultranet_half.yaml
sed 's/height: 160, width: 320/height: 80, width: 160/' "$here/../models/ultranet.yaml" >"$model"

common="--seeds 3 --train all --optimizer adam --batch 16 --epochs 3 --start own --device ultra96v2 --threads 1"
detector="--model $model --data shapes:2000 --search-epochs 4 --lr 0.002 --search-lr 0.002 --target-dsp-ops 4.3,5.5,8"
classifier="--model vgg_tiny --data fashion-mnist --limit 3000 --search-epochs 5 --lr 0.001 --search-lr 0.001 --target-dsp-ops 12.5,14,20"
four="--methods search,published,uniform,sensitivity --uniform-bits 2,3,4"

for name; do
  [ -e "$out/$name/sweep.json" ] && again=--resume || again=
  case $name in
    vgg_tiny) what="$classifier $four --published-cd 1e-5,1e-4,1e-3" ;;
    vgg_tiny-no-annealing) what="$classifier --set anneal=1" ;;
    vgg_tiny-no-prior) what="$classifier --set prior=0" ;;
    ultranet) what="$detector $four --published-cd 1e-5,5e-5,2e-4" ;;
    ultranet-no-annealing) what="$detector --set anneal=1" ;;
    ultranet-no-prior) what="$detector --set prior=0" ;;
    *) echo "quality.sh: unknown name $name" >&2; exit 2 ;;
  esac
  "$mixq" pareto $common $what --out "$out/$name" $again
  "$mixq" pareto --out "$out/$name" --collect --quiet --plot "$out/$name.svg" >"$out/$name.txt"
  "$mixq" pareto --out "$out/$name" --collect --quiet --against cycles --plot "$out/$name-cycles.svg" >/dev/null
  python3 "$here/quality.py" "$out/$name/results.json"
done
