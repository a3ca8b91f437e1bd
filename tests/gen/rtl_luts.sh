#!/usr/bin/env bash
# LUTs, registers, block RAM and slices of four layers of 96 multiplying slices, synthesised by Yosys, beside their goals.
# rtl_luts.sh [PROGRAM [LAYER ...]]: the built test program test_rtl_layer, and which layers.
# Every LUT1..6, LUT6_2 and shift register counts as one, a LUT RAM of 32 x 14 as 8. Prints "N passed, N failed".
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1:-$root/build-ci/tests/test_rtl_layer}")
shift || true
layers=${*:-w3a3 w2a3 w4a4 w5a6}
declare -A goal=([w3a3]=35 [w2a3]=25 [w4a4]=15 [w5a6]=35)
command -v yosys >/dev/null || {
    echo "rtl_luts: no yosys here"
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
MIXQ_RTL_TEST=emit MIXQ_RTL_EMIT=$work "$program" >"$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
passed=0 failed=0
cd "$work"
printf '%-6s %6s %6s %7s %5s %9s %5s\n' layer LUT FF RAMB36 DSP LUT/96 goal
for layer in $layers; do
    yosys -q -p "read_verilog -defer $root/rtl/mixq_*.v; read_verilog rtl/$layer.v; hierarchy -top $layer;
                 synth_xilinx -family xcup -top $layer -flatten -noiopad -nosrl; tee -q -o $layer.txt stat" >/dev/null
    read -r lut ff ram dsp < <(awk '
        $1 ~ /^(LUT[1-6]|LUT6_2|SRL.*)$/ {lut += $2} $1 ~ /^RAM[0-9]/ {lut += 8 * $2}
        $1 ~ /^FD/ {ff += $2} $1 == "RAMB36E2" {ram += 2 * $2} $1 == "RAMB18E2" {ram += $2} $1 == "DSP48E2" {dsp += $2}
        END {print lut + 0, ff + 0, ram / 2, dsp + 0}' "$layer.txt")
    per=$(awk "BEGIN {printf \"%.1f\", $lut / 96}")
    printf '%-6s %6s %6s %7s %5s %9s %5s\n' "$layer" "$lut" "$ff" "$ram" "$dsp" "$per" "${goal[$layer]}"
    if awk "BEGIN {exit !($per <= ${goal[$layer]})}"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
