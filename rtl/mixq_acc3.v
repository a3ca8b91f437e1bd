// s = (first ? INIT : acc) + x + y + ci0 + ci1 modulo 2^W, combinational: the step of an accumulator, a LUT6_2 a bit as in
// mixq_add3. The fifth input of the LUT replaces acc by INIT, whose bit is in the LUT's table.
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
module mixq_acc3 #(
    parameter W = 8,
    parameter [W-1:0] INIT = 0
) (
    input          first,
    input  [W-1:0] acc,
    input  [W-1:0] x,
    input  [W-1:0] y,
    input          ci0,
    input          ci1,
    output [W-1:0] s
);
`ifdef MIXQ_PRIMITIVES
  localparam BLOCKS = (W + 7) / 8;
  /* verilator lint_off UNUSED */
  wire [BLOCKS*8:0] majority;  // of the bit below
  wire [BLOCKS*8-1:0] half, sum, carry;
  /* verilator lint_on UNUSED */
  assign majority[0] = ci1;
  genvar i;
  generate
    for (i = 0; i < BLOCKS * 8; i = i + 1) begin : bits
      if (i < W) begin : in
        // I4 = 0: parity and majority of acc, x, y; I4 = 1: of INIT's bit, x, y
        LUT6_2 #(
            .INIT(INIT[i] ? 64'h3CC36996_FCFCE8E8 : 64'hC33C6996_C0C0E8E8)
        ) lut (
            .I0(acc[i]), .I1(x[i]), .I2(y[i]), .I3(majority[i]), .I4(first), .I5(1'b1),
            .O5(majority[i+1]), .O6(half[i])
        );
        assign s[i] = sum[i];
      end else begin : above
        assign majority[i+1] = 1'b0;
        assign half[i] = 1'b0;
      end
    end
    for (i = 0; i < BLOCKS; i = i + 1) begin : blocks
      if (i == 0) begin : lowest
        CARRY8 chain (
            .CI(ci0), .CI_TOP(1'b0), .DI(majority[7:0]), .S(half[7:0]),
            .O(sum[7:0]), .CO(carry[7:0])
        );
      end else begin : higher
        CARRY8 chain (
            .CI(carry[8*i-1]), .CI_TOP(1'b0), .DI(majority[8*i+:8]), .S(half[8*i+:8]),
            .O(sum[8*i+:8]), .CO(carry[8*i+:8])
        );
      end
    end
  endgenerate
`else
  wire [W:0] ones = {{W{1'b0}}, ci0} + {{W{1'b0}}, ci1};
  assign s = (first ? INIT : acc) + x + y + ones[W-1:0];
  /* verilator lint_off UNUSED */
  wire unused = ones[W];
  /* verilator lint_on UNUSED */
`endif
endmodule
