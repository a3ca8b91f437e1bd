// s = a + b + c + ci0 + ci1 modulo 2^W, combinational: a LUT6_2 a bit and a carry chain. With GATE, `first` replaces a by
// INIT: the step of an accumulator. Bits of b and c that are set in NB and NC arrive inverted; INIT and the inversions are in
// the LUTs' tables.
//
// O5 is the majority of the three bits, which counts twice: it enters the next bit beside the chain's own carry, so both the
// chain and the lowest majority have an input free for a carry. Behavioural in simulation but for MIXQ_PRIMITIVES.
/* verilator lint_off WIDTH */  // parameters are 32 bits wide
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
module mixq_ternary #(
    parameter W = 8,
    parameter GATE = 0,
    parameter [W-1:0] INIT = 0,
    parameter [W-1:0] NA = 0,
    parameter [W-1:0] NB = 0,
    parameter [W-1:0] NC = 0
) (
    input          first,
    input  [W-1:0] a,
    input  [W-1:0] b,
    input  [W-1:0] c,
    input          ci0,
    input          ci1,
    output [W-1:0] s
);
`ifdef MIXQ_PRIMITIVES
  // tables over {I5, first, majority, c, b, a}
  localparam [63:0] A = 64'hAAAAAAAA_AAAAAAAA, B = 64'hCCCCCCCC_CCCCCCCC, C = 64'hF0F0F0F0_F0F0F0F0;
  localparam [63:0] M = 64'hFF00FF00_FF00FF00, FIRST = GATE != 0 ? 64'hFFFF0000_FFFF0000 : 64'b0;
  /* verilator lint_off UNUSED */
  wire [W:0] majority;  // of the bit below
  wire co;
  /* verilator lint_on UNUSED */
  wire [W-1:0] half;
  assign majority[0] = ci1;
  genvar i;
  generate
    for (i = 0; i < W; i = i + 1) begin : bits
      localparam [63:0] X = (FIRST & {64{INIT[i]}}) | (~FIRST & (A ^ {64{NA[i]}}));
      localparam [63:0] Y = B ^ {64{NB[i]}}, Z = C ^ {64{NC[i]}};
      localparam [63:0] SUM = X ^ Y ^ Z ^ M, TWO = (X & Y) | (X & Z) | (Y & Z);
      LUT6_2 #(
          .INIT({SUM[63:32], TWO[31:0]})
      ) lut (
          .I0(a[i]), .I1(b[i]), .I2(c[i]), .I3(majority[i]), .I4(first), .I5(1'b1),
          .O5(majority[i+1]), .O6(half[i])
      );
    end
  endgenerate
  mixq_carry #(
      .W(W)
  ) chain (
      .ci(ci0), .di(majority[W-1:0]), .s(half), .o(s), .co(co)
  );
`else
  assign s = (GATE != 0 && first ? INIT : a ^ NA) + (b ^ NB) + (c ^ NC) + {{W - 1{1'b0}}, ci0} + {{W - 1{1'b0}}, ci1};
`endif
endmodule
/* verilator lint_on WIDTH */
