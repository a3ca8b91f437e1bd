// A carry chain of W bits out of CARRY8: where s is set the carry from below goes on and o inverts it, elsewhere di is the carry.
/* verilator lint_off UNUSED */  // the last block's bits above W
/* verilator lint_off UNOPTFLAT */  // blocks are chained, bits are not
module mixq_carry #(
    parameter W = 8
) (
    input          ci,
    input  [W-1:0] di,
    input  [W-1:0] s,
    output [W-1:0] o,
    output         co  // of the highest bit
);
  localparam BLOCKS = (W + 7) / 8;
  wire [BLOCKS*8-1:0] from, half, sum, carry;
  genvar i;
  generate
    for (i = 0; i < BLOCKS * 8; i = i + 1) begin : bits
      assign from[i] = i < W ? di[i < W ? i : 0] : 1'b0;
      assign half[i] = i < W ? s[i < W ? i : 0] : 1'b0;
    end
    for (i = 0; i < BLOCKS; i = i + 1) begin : blocks
      CARRY8 chain (
          .CI(i == 0 ? ci : carry[(i == 0 ? 1 : 8 * i) - 1]), .CI_TOP(1'b0), .DI(from[8*i+:8]), .S(half[8*i+:8]),
          .O(sum[8*i+:8]), .CO(carry[8*i+:8])
      );
    end
  endgenerate
  assign o = sum[W-1:0];
  assign co = carry[W-1];
endmodule
