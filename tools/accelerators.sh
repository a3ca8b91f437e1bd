#!/usr/bin/env bash
# The built-in networks as accelerators: each is trained for an epoch at its published bits, exported with vectors, built for a
# device, verified over 3 frames with and without stalls, synthesised. tools/accelerators.sh [-d DEVICE] [-s] [NETWORK...]
#   -d DEVICE   ultra96v2 by default
#   -s          without synthesis
#   NETWORK     vgg_tiny ultranet ultranet_bypass skynet skynetk5 ultranet_searched (the published search's bits) ultranet_ends
#               (8 bits at both ends, 4 between), all by default; NAME=DIR takes the export in DIR
# Results go to build-accelerators/<network>/; the end is a table, and a failure when one network failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
mixq=${MIXQ:-build-ci/mixq}
device=ultra96v2
synth=1
while getopts d:s option; do
    case $option in
    d) device=$OPTARG ;;
    s) synth=0 ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- vgg_tiny ultranet ultranet_bypass skynet skynetk5 ultranet_searched ultranet_ends
out=build-accelerators
rows=()
bad=0

# Model, weight and activation bits: those of the published networks (8-bit images, 4 bits elsewhere), a searched vgg_tiny.
described() {
    case $1 in
    vgg_tiny) echo "vgg_tiny 822222 833363" ;;
    ultranet | ultranet_bypass) echo "$1 444444444 844444444" ;;
    skynet | skynetk5) echo "$1 4444444444444 8444444444444" ;;
    ultranet_searched) echo "ultranet 532555558 733677665" ;;
    ultranet_ends) echo "ultranet 844444448 844444444" ;;
    *) echo "no bits known for $1: give NAME=DIR" >&2 && return 1 ;;
    esac
}

# A trained export of a network in $out/<network>/net.
export_network() {
    local name=$1 data=shapes:64 dir=$out/$1 model w a
    [ "$name" = vgg_tiny ] && data=fashion-mnist
    described "$name" >/dev/null || return 1
    read -r model w a < <(described "$name")
    "$mixq" train --model "$model" --data "$data" --bitw "$w" --bita "$a" --epochs 1 --limit 64 --batch 8 --out "$dir/run" --force &&
        "$mixq" export "$dir/run" --out "$dir/net" --data "$data" --vectors 3 --force
}

one() {
    local name=$1 net=$2 dir=$out/$1
    [ -n "$net" ] || { export_network "$name" && net=$dir/net; } || return 1
    "$mixq" build "$net" --device "$device" --target rtl --out "$dir/rtl" --force --verbose || return 1
    "$mixq" verify "$dir/rtl" --images 3 --stalls --json >"$dir/verify.json" || { cat "$dir/verify.json"; return 1; }
    cat "$dir/verify.json"
    # the estimate is within 2 % of what was measured
    awk -F'[:,]' '/"cycles": [0-9]/ { measured = $2 } /"estimated_cycles"/ { estimated = $2 }
        END { off = measured - estimated; if (off < 0) off = -off
              if (!estimated || off > 0.02 * estimated) { print "measured " measured " cycles, estimated " estimated; exit 1 } }' "$dir/verify.json" || return 1
    [ "$synth" = 0 ] && return 0
    "$mixq" synth "$dir/rtl" --json >"$dir/synth.json" || { cat "$dir/synth.json"; return 1; }
    check_counts <"$dir/synth.json" >"$dir/synth.txt" || { cat "$dir/synth.txt"; return 1; }
}

# Inside what may be used of the device; block RAM no more than 2 % above the estimate, no more than 10 % below.
check_counts() {
    python3 -c '
import json, sys
r = json.load(sys.stdin)
bad = [k for k in r["budget"] if r[k] > r["budget"][k]]
ram, estimated = r["bram36"], r["estimate"]["bram36"]
print("%d (%d) DSP, %d (%d) LUT, %d (%d) FF, %.1f (%.1f) RAMB36" % tuple(
    x[k] for k in ("dsp", "lut", "ff", "bram36") for x in (r, r["estimate"])))
if bad: print("more than may be used:", *bad)
wrong = not 0.9 * estimated - 1 <= ram <= 1.02 * estimated + 1
if wrong: print("block RAM is not as estimated")
sys.exit(bool(bad) or wrong)'
}

for argument in "$@"; do
    name=${argument%%=*} net=
    [ "$name" = "$argument" ] || net=${argument#*=}
    mkdir -p "$out/$name"
    start=$SECONDS word=ok
    echo "== $name"
    if ! one "$name" "$net" >"$out/$name/log" 2>&1 </dev/null; then
        word=FAILED
        bad=$((bad + 1))
        tail -n 5 "$out/$name/log"
    fi
    note=$(grep -oE 'a frame every [^"]*' "$out/$name/verify.json" 2>/dev/null | head -n 1)
    total=$(head -n 1 "$out/$name/synth.txt" 2>/dev/null)
    rows+=("$(printf '%-16s %-7s %5d s  %s; %s' "$name" "$word" $((SECONDS - start)) "$note" "$total")")
    echo "   ${rows[-1]}"
done
echo
printf '%s\n' "${rows[@]}"
echo "$(($# - bad)) passed, $bad failed"
[ "$bad" -eq 0 ]
