#!/usr/bin/env bash
# The short demo, `make demo`: on Fashion-MNIST, search bit widths for vgg_tiny under a price on DSP operations, train at
# the bits found, test, export the integer network, simulate it bit by bit, and compare. It is sized for 10 minutes on
# two cores, installation and build included: small batches, since few images must do many steps. A real search and
# training take 40 and 200 epochs of all 60,000 images.
#   tools/demo.sh [MIXQ]     the program, build/mixq by default; results go to demo-run/
set -Eeuo pipefail
cd "$(dirname "$0")/.."
mixq=${1:-build/mixq}
out=demo-run
data=fashion-mnist
search_images=4096 # per epoch, 2 epochs
train_seconds=130  # main training is cut to this at the speed of the search, and is faster
test_images=1000
# On a machine that does other things too, threads that wait must not keep a core busy.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

[ -x "$mixq" ] || {
    echo "demo: $mixq is not there: run 'make' first" >&2
    exit 1
}
step=start
trap 'echo "demo: stopped at \"$step\" (exit code $?); the reason stands above" >&2' ERR
mkdir -p "$out"

title() {
    step=$1
    printf '\n== %s\n' "$step"
}
# Shows a command, runs it, keeps its JSON result in demo-run/NAME.json.
run() {
    local name=$1
    shift
    echo "\$ $mixq $*"
    "$mixq" "$@" --json >"$out/$name.json"
}
# One field of such a result.
field() {
    local value
    value=$(sed -nE "s/^ *\"$2\": \"?([^\",]*)\"?,?\$/\1/p" "$out/$1.json" | head -n 1)
    [ -n "$value" ] || {
        echo "demo: $out/$1.json has no field $2" >&2
        return 1
    }
    echo "$value"
}

title "1 of 6: search the bits of every layer, with a price on DSP operations"
run search search --model vgg_tiny --data $data --cd 1e-3 --epochs 2 --batch 32 --limit $search_images \
    --out $out/search --force

speed=$(field search images_per_second)
images=$(awk -v speed="$speed" -v seconds="$train_seconds" 'BEGIN {
    n = int(speed * seconds / 2 / 32) * 32
    if (n < 4096) n = 4096
    if (n > 60000) n = 60000
    print n }')
title "2 of 6: main training at those bits, from the search's weights: 2 epochs of $images images"
run train train --model vgg_tiny --data $data --bits $out/search --init $out/search --epochs 2 --batch 32 \
    --limit "$images" --out $out/main --force

title "3 of 6: test the trained network on $test_images images"
run test test $out/main --data $data --limit $test_images

title "4 of 6: export the integer network and its HLS headers"
run export export $out/main --out $out/export --force

title "5 of 6: simulate the integer network on the same images, bit by bit"
run simulate simulate $out/export --data $data --limit $test_images

title "6 of 6: bits, costs and accuracy"
run cost cost --model vgg_tiny --bits $out/main
"$mixq" cost --model vgg_tiny --bits $out/main
printf '\naccuracy on the first %d test images\n' "$test_images"
printf '  trained network   %.4f\n' "$(field test accuracy)"
printf '  integer network   %.4f\n' "$(field simulate accuracy)"
printf '\nResults are in %s/: search and main are run folders; export holds net.json, weights.safetensors, config.h and\n' $out
printf 'weights.hpp. The demo took %d s after the build.\n' "$SECONDS"
