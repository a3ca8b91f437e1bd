// s = a + (sel ? c : b) modulo 2^W, combinational: a LUT a bit, what makes c included where it depends on few signals.
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
module mixq_switched #(
    parameter W = 8
) (
    input  [W-1:0] a,
    input  [W-1:0] b,
    input  [W-1:0] c,
    input          sel,
    output [W-1:0] s
);
`ifdef MIXQ_PRIMITIVES
  localparam BLOCKS = (W + 7) / 8;
  /* verilator lint_off UNUSED */
  /* verilator lint_off UNOPTFLAT */
  wire [BLOCKS*8-1:0] half, from, sum, carry;
  /* verilator lint_on UNOPTFLAT */
  /* verilator lint_on UNUSED */
  assign half[W-1:0] = a ^ (sel ? c : b);
  assign from[W-1:0] = a;
  genvar i;
  generate
    if (BLOCKS * 8 > W) begin : above
      assign half[BLOCKS*8-1:W] = 0;
      assign from[BLOCKS*8-1:W] = 0;
    end
    for (i = 0; i < BLOCKS; i = i + 1) begin : blocks
      CARRY8 chain (
          .CI(i == 0 ? 1'b0 : carry[(i == 0 ? 1 : 8 * i) - 1]), .CI_TOP(1'b0), .DI(from[8*i+:8]),
          .S(half[8*i+:8]), .O(sum[8*i+:8]), .CO(carry[8*i+:8])
      );
    end
  endgenerate
  assign s = sum[W-1:0];
`else
  assign s = a + (sel ? c : b);
`endif
endmodule
