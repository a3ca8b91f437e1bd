#!/usr/bin/env bash
# What the units of rtl/ cost: each in a few shapes through Yosys (synth_xilinx -family xcup), one line per unit with LUT (every
# LUT1..6, LUT6_2 and LUT RAM counts one: an upper bound, pairs are not merged), FF, block RAM (18 kbit) and DSP.
# unit_luts.sh [PATTERN]: only units whose name matches. Prints "N passed, N failed": a unit fails when it needs more LUTs
# than the limit that stands beside it.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
pattern=${1:-.}
command -v yosys >/dev/null || {
    echo "unit_luts: no yosys here"
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/mem"
passed=0 failed=0

# words FILE COUNT BITS: different words
words() {
    awk -v n="$2" -v bits="$3" -v seed="$1" 'BEGIN {
        srand(length(seed) * 7 + 3); d = int((bits + 3) / 4); top = bits % 4 ? 2 ^ (bits % 4) : 16
        for (i = 0; i < n; i++) { s = sprintf("%x", int(rand() * top)); for (k = 1; k < d; k++) s = s sprintf("%x", int(rand() * 16)); print s }
    }' >"$work/mem/$1.hex"
}

# unit LIMIT NAME "PORTS" MODULE "PARAMETERS": PORTS are port:width, inputs first, then outputs after a slash
unit() {
    local limit=$1 name=$2 ports=$3 module=$4 parameters=$5 direction=input list="" nets=""
    [[ $name =~ $pattern ]] || return 0
    for port in $ports; do
        if [ "$port" = / ]; then
            direction=output
            continue
        fi
        list+="${list:+, }$direction [$((${port#*:} - 1)):0] ${port%:*}"
        nets+="${nets:+, }.${port%:*}(${port%:*})"
    done
    echo "module top($list); $module #($parameters) u($nets); endmodule" >"$work/top.v"
    if ! (cd "$work" && yosys -q -l log.txt -p "read_verilog -defer $root/rtl/*.v; read_verilog top.v;
        synth_xilinx -family xcup -flatten -noiopad -nosrl -top top; tee -q -o stat.txt stat" >/dev/null 2>&1); then
        echo "$name: yosys failed: $(tail -1 "$work/log.txt")"
        failed=$((failed + 1))
        return 0
    fi
    local figures
    figures=$(awk '/ LUT[1-6] | LUT6_2 | RAM(32|64|128|256|512)[MXDSQ]/ {l += $2} / FD[RSCP]E/ {f += $2} / RAMB18/ {r += $2} / RAMB36/ {r += 2 * $2}
        / DSP48E2/ {d += $2} END {printf "%d %d %d %d", l, f, r, d}' "$work/stat.txt")
    read -r luts ffs rams dsps <<<"$figures"
    echo "$name: $luts LUT, $ffs FF, $rams RAMB18, $dsps DSP (limit $limit LUT)"
    if [ "$luts" -le "$limit" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

unit 13 add3_13 "a:13 b:13 c:13 ci0:1 ci1:1 / s:13" mixq_add3 ".W(13)"
unit 13 acc3_13 "first:1 acc:13 x:13 y:13 ci0:1 ci1:1 / s:13" mixq_acc3 ".W(13), .INIT(13'h1357)"

pipe="clk:1 rst:1 in_valid:1"
for p in 000 001 002 003 004 005 006 007; do
    for k in 0 1 2; do words "t${k}_$p" $((4 << k)) 13; done
    for k in 0 1 2 3 4 5; do words "u${k}_$p" $((8 << k)) 18; done
done
unit 450 requant_threshold_3bit_8lanes_4groups "$pipe in_group:2 in_acc:104 / out_valid:1 out_code:24" mixq_requant_threshold \
    '.PE(8), .LANES(8), .ACC(13), .TW(13), .BITS(3), .GROUPS(4), .GW(2), .FILE("mem/t")'
unit 1000 requant_threshold_6bit_2lanes_8groups "$pipe in_group:3 in_acc:36 / out_valid:1 out_code:12" mixq_requant_threshold \
    '.PE(2), .LANES(2), .ACC(18), .TW(18), .BITS(6), .GROUPS(8), .GW(3), .FILE("mem/u")'
words a000 32 60
unit 200 requant_affine_6bit_4lanes_1dsp "$pipe in_group:3 in_acc:72 / out_valid:1 out_code:24" mixq_requant_affine \
    '.LANES(4), .R(1), .PERIOD(4), .ACC(18), .BITS(6), .GROUPS(8), .GW(3), .INC_W(18), .BIAS_W(42), .SHIFT(20), .P_BITS(42), .HIGH(63), .FILE("mem/a")'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
