#!/usr/bin/env bash
# Whole networks through HLS C++, every stage's codes against the integer simulator, 3 frames each: check_hls.sh [EXPORT...].
# Without exports: built-in models at several bits, trained for a moment. Needs the build folder of the preset ci.
set -euo pipefail
cd "$(dirname "$0")/.."
mixq=build-ci/mixq
cmake --build --preset ci --target mixq hls_network >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

check() { # name, export
    echo -n "$1: "
    build-ci/tests/hls_network "$2" "$work/hls" 3 || status=1
    rm -rf "$work/hls"
}

made() { # model, data, weights' bits, codes' bits
    "$mixq" train --quiet --model "$1" --data "$2" --bitw "$3" --bita "$4" --epochs 1 --limit 32 --batch 8 --out "$work/run" --force >/dev/null
    "$mixq" export "$work/run" --out "$work/net" --force >/dev/null
    check "$1 $3 $4" "$work/net"
    rm -rf "$work/run" "$work/net"
}

if [ $# -gt 0 ]; then
    for net in "$@"; do check "$net" "$net"; done
else
    made vgg_tiny fashion-mnist 822222 833333
    made vgg_tiny fashion-mnist 453627 824563
    made ultranet shapes:64 444444444 844444444
    made ultranet shapes:64 532552221 833787678
    made ultranet_bypass shapes:64 444444444 844444444
    made ultranet_bypass shapes:64 364257483 825364758
    made skynet shapes:64 4444444444444 8444444444444
fi
exit $status
