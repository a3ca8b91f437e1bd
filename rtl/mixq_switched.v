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
  /* verilator lint_off UNUSED */
  wire co;
  /* verilator lint_on UNUSED */
  mixq_carry #(
      .W(W)
  ) chain (
      .ci(1'b0), .di(a), .s(a ^ (sel ? c : b)), .o(s), .co(co)
  );
`else
  assign s = a + (sel ? c : b);
`endif
endmodule
