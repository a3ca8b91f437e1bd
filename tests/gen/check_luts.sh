#!/usr/bin/env bash
# The LUT model of overlap repair (src/pack/luts.c) against Yosys: each step of the tree as a module that is mapped by
# itself, for 1..7 products. Parity: ceil(2n/5) LUTs; 2 bits: 2 LUTs a product. Prints "N passed, N failed".
set -euo pipefail
command -v yosys >/dev/null || {
    echo "check_luts: no yosys here"
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# P bit ^ XOR of n ANDs: 5 products take a LUT of 3 ANDs and one of 2 ANDs, that one and the sum so far; the last 1 or 2
# products one LUT with the sum.
parity() {
    local n=$1
    echo '(* keep_hierarchy *) module step(input a, b, c, d, s, output o); assign o = s ^ (a & b) ^ (c & d); endmodule'
    echo '(* keep_hierarchy *) module three(input a, b, c, d, e, f, output o); assign o = (a & b) ^ (c & d) ^ (e & f); endmodule'
    echo "module top(input [$((n - 1)):0] a, b, input p, output o);"
    # products beyond the last are constant zeros
    echo "  wire [$((n + 4)):0] x = {5'b0, a}, y = {5'b0, b};"
    local used=0 sum=p count=0
    while [ $used -lt "$n" ]; do
        if [ $((n - used)) -ge 3 ]; then
            echo "  wire t$count, s$count; three u$count(x[$used], y[$used], x[$((used + 1))], y[$((used + 1))], x[$((used + 2))], y[$((used + 2))], t$count);"
            echo "  last v$count(x[$((used + 3))], y[$((used + 3))], x[$((used + 4))], y[$((used + 4))], t$count, $sum, s$count);"
            used=$((used + 5))
        else
            echo "  wire s$count; step u$count(x[$used], y[$used], x[$((used + 1))], y[$((used + 1))], $sum, s$count);"
            used=$((used + 2))
        fi
        sum=s$count
        count=$((count + 1))
    done
    echo "  assign o = $sum;"
    echo endmodule
    echo '(* keep_hierarchy *) module last(input a, b, c, d, t, s, output o); assign o = t ^ s ^ (a & b) ^ (c & d); endmodule'
}

# 2 bits of P less n products modulo 4, one after the other.
two_bits() {
    local n=$1 i
    echo '(* keep_hierarchy *) module step(input [1:0] s, a, b, output [1:0] o); assign o = s - a * b; endmodule'
    echo "module top(input [$((2 * n - 1)):0] a, b, input [1:0] p, output [1:0] o);"
    echo '  wire [1:0] s0 = p;'
    for ((i = 0; i < n; i++)); do
        echo "  wire [1:0] s$((i + 1)); step u$i(s$i, a[$((2 * i + 1)):$((2 * i))], b[$((2 * i + 1)):$((2 * i))], s$((i + 1)));"
    done
    echo "  assign o = s$n;"
    echo endmodule
}

check() {
    local what=$1 n=$2 model=$3 luts
    "$what" "$n" >"$work/t.v"
    yosys -q -p "read_verilog $work/t.v; synth_xilinx -family xcup -top top -noiopad; tee -q -o $work/t.txt stat" >/dev/null
    # the design's total comes last
    luts=$(awk '/=== design hierarchy/ {on = 1} on && /LUT[1-6]/ {n += $2} END {print n + 0}' "$work/t.txt")
    if [ "$luts" -le "$model" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    echo "$what of $n products: $luts LUTs, model $model"
}
for n in 1 2 3 4 5 6 7; do
    check parity $n $(((2 * n + 4) / 5))
    check two_bits $n $((2 * n))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
