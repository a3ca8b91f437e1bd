#!/bin/sh
# targets.sh - searches that end at a target: two networks, three targets or more each, of DSP operations and of frames a
# second on ultra96v2. Prints a row per search. Short searches, one thread; an hour on a quiet machine would be
# long. usage: bench/targets.sh [MIXQ [FOLDER [KIND...]]]; kinds: vgg-dsp vgg-fps ultranet-dsp ultranet-fps
set -eu
mixq=${1:-build/mixq}
out=${2:-targets}
[ $# -gt 2 ] && shift 2 || set -- vgg-dsp vgg-fps ultranet-dsp ultranet-fps
mkdir -p "$out"

classifier="--model vgg_tiny --data fashion-mnist --limit 600 --batch 32 --epochs 2"
detector="--model ultranet --data shapes:200 --batch 16 --epochs 2"

# NAME UNIT, then the search's options
search() {
  name=$1 unit=$2
  shift 2
  "$mixq" search "$@" --threads 1 --quiet --json --force --out "$out/$name" >"$out/$name.json" || return 0
  python3 - "$out/$name.json" "$out/$name/metrics.jsonl" "$unit" <<'PYTHON'
import json, sys
r = json.load(open(sys.argv[1]))
m = [json.loads(line) for line in open(sys.argv[2])][-1]
fps = sys.argv[3] == "fps"
target, got = (r["target_fps"], r["device_fps"]) if fps else (r["target_dsp_ops_M"], r["dsp_ops_M"])
print("| %s | %g %s | %.5g | %+.2f %% | %+.1f %% | %+.1f %% | %s / %s | %s |" % (
    r["model"], target, "frames/s" if fps else "M", got, 100 * (got / target - 1),
    100 * (m["mixed_cost"] / m["target_cost"] - 1), 100 * (m["largest_cost"] / m["target_cost"] - 1),
    r["bitw"], r["bita"], "met" if r["target_met"] else r["target"]), flush=True)
PYTHON
}

echo "| network | target | reached | off by | mixed cost | largest alphas | weights / activations | |"
echo "|---|---|---|---|---|---|---|---|"
for kind; do
  case $kind in
    vgg-dsp) for m in 15 24 45; do search $kind-$m dsp $classifier --target-dsp-ops $m; done ;;
    vgg-fps) for n in 3000 4500 7000; do search $kind-$n fps $classifier --device ultra96v2 --target-fps $n; done ;;
    ultranet-dsp) for m in 20 30 60; do search $kind-$m dsp $detector --target-dsp-ops $m; done ;;
    ultranet-fps) for n in 1500 2500 3000 4000; do search $kind-$n fps $detector --device ultra96v2 --target-fps $n; done ;;
    *) echo "targets.sh: unknown kind $kind" >&2; exit 2 ;;
  esac
done
