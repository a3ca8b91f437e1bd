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

unit 13 ternary_13 "first:1 a:13 b:13 c:13 ci0:1 ci1:1 / s:13" mixq_ternary ".W(13)"
unit 13 ternary_step_13 "first:1 a:13 b:13 c:13 ci0:1 ci1:1 / s:13" mixq_ternary ".W(13), .GATE(1), .INIT(13'h1357)"

pipe="clk:1 rst:1 in_valid:1"
for p in 000 001 002 003 004 005 006 007; do
    for k in 0 1 2 3 4 5; do words "u${k}_$p" $((8 << k)) 18; done
done
# literal WORDS BITS
literal() { words table $(($1 * $2 / 4)) 4; echo "$(($1 * $2))'h$(tr -d '\n' <"$work/mem/table.hex")"; }
unit 240 requant_threshold_3bit_8lanes_4groups "$pipe in_group:2 in_acc:104 / out_valid:1 out_code:24" mixq_requant_threshold \
    ".PE(8), .LANES(8), .ACC(13), .TW(14), .BITS(3), .GROUPS(4), .GW(2), .TABLES(3), .TABLE($(literal $((25 * 32)) 14))"
unit 240 requant_threshold_6bit_2lanes_8groups "$pipe in_group:3 in_acc:36 / out_valid:1 out_code:12" mixq_requant_threshold \
    ".PE(2), .LANES(2), .ACC(18), .TW(18), .BITS(6), .GROUPS(8), .GW(3), .FILE(\"mem/u\"), .TABLES(3), .TABLE($(literal $((7 * 32)) 18))"
words a000 32 60
unit 200 requant_affine_6bit_4lanes_1dsp "$pipe in_group:3 in_acc:72 / out_valid:1 out_code:24" mixq_requant_affine \
    '.LANES(4), .R(1), .PERIOD(4), .ACC(18), .BITS(6), .GROUPS(8), .GW(3), .INC_W(18), .BIAS_W(42), .SHIFT(20), .P_BITS(42), .HIGH(63), .FILE("mem/a")'


# 48 products; LUTs a product: 7.2, 11.5, 33.8 in an earlier study
unit 340 lut_sum_48_w2a3 "clk:1 w:96 a:144 / s:11" mixq_lut_sum ".N(48), .WBITS(2), .ABITS(3), .OUT(11)"
unit 500 lut_sum_48_w3a3 "clk:1 w:144 a:144 / s:12" mixq_lut_sum ".N(48), .WBITS(3), .ABITS(3), .OUT(12)"
unit 1600 lut_sum_48_w5a7 "clk:1 w:240 a:336 / s:18" mixq_lut_sum ".N(48), .WBITS(5), .ABITS(7), .OUT(18)"

stream="clk:1 rst:1 in_valid:1 out_ready:1"
back="/ in_ready:1 out_valid:1"
unit 30 skid_12 "$stream in_data:12 $back out_data:12" mixq_skid ".W(12)"
unit 60 fifo_12x32 "$stream in_data:12 $back out_data:12" mixq_fifo ".W(12), .DEPTH(32)"
unit 60 fifo_12x1000 "$stream in_data:12 $back out_data:12" mixq_fifo ".W(12), .DEPTH(1000)"
unit 10 fork_12x2 "clk:1 rst:1 in_valid:1 out_ready:2 in_data:12 / in_ready:1 out_valid:2 out_data:12" mixq_fork ".W(12), .N(2)"
unit 150 max_pool_4x3bit_1px "$stream in_data:12 $back out_data:12" mixq_max_pool ".CH(4), .PX(1), .BITS(3), .K(2), .GROUPS(4), .IN_H(80), .IN_W(160)"
unit 250 max_pool_4x3bit_4px "$stream in_data:48 $back out_data:24" mixq_max_pool ".CH(4), .PX(4), .BITS(3), .K(2), .GROUPS(4), .IN_H(80), .IN_W(160)"
unit 60 reorg_4x4bit "$stream in_data:16 $back out_data:16" mixq_reorg ".CH(4), .PX(1), .BITS(4), .GROUPS(16), .IN_W(20)"
unit 50 concat_2x16 "clk:1 rst:1 in_valid:2 out_ready:1 in_data:32 / in_ready:2 out_valid:1 out_data:16" mixq_concat ".N(2), .W(16), .CW(9), .BEATS({32'd320, 32'd160})"
unit 20 image_3x8 "$stream in_data:24 $back out_data:24" mixq_image ".CH(3), .PX(1), .BITS(8), .IN_W(320)"
unit 160 regroup_channels_4_8 "$stream in_data:16 $back out_data:32" mixq_regroup ".BITS(4), .C(64), .IN_W(20), .IN_CH(4), .OUT_CH(8), .IN_PX(1), .OUT_PX(1), .MID_CH(4), .MID_PX(1)"
unit 160 regroup_channels_8_4 "$stream in_data:32 $back out_data:16" mixq_regroup ".BITS(4), .C(64), .IN_W(20), .IN_CH(8), .OUT_CH(4), .IN_PX(1), .OUT_PX(1), .MID_CH(4), .MID_PX(1)"
unit 80 regroup_pixels_1_4 "$stream in_data:16 $back out_data:64" mixq_regroup ".BITS(4), .C(64), .IN_W(20), .IN_CH(4), .OUT_CH(4), .IN_PX(1), .OUT_PX(4), .MID_CH(4), .MID_PX(1)"
unit 110 regroup_pixels_4_1 "$stream in_data:64 $back out_data:16" mixq_regroup ".BITS(4), .C(64), .IN_W(20), .IN_CH(4), .OUT_CH(4), .IN_PX(4), .OUT_PX(1), .MID_CH(4), .MID_PX(1)"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
