// s = a + b + c, all bits of it, combinational: W + 1 LUTs. As mixq_ternary; the last LUT passes the highest majority, the sum's
// highest bit is the carry.
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
module mixq_sum3 #(
    parameter W = 4
) (
    input [W-1:0] a,
    input [W-1:0] b,
    input [W-1:0] c,
    output [W+1:0] s
);
`ifdef MIXQ_PRIMITIVES
  wire [W:0] majority;  // of the bit below
  wire [W:0] half;
  /* verilator lint_off UNUSED */
  wire none;
  /* verilator lint_on UNUSED */
  assign majority[0] = 1'b0;
  genvar i;
  generate
    for (i = 0; i < W; i = i + 1) begin : bits
      LUT6_2 #(
          .INIT(64'h69966996_E8E8E8E8)
      ) lut (
          .I0(a[i]), .I1(b[i]), .I2(c[i]), .I3(majority[i]), .I4(1'b0), .I5(1'b1),
          .O5(majority[i+1]), .O6(half[i])
      );
    end
  endgenerate
  LUT6_2 #(
      .INIT(64'hFF00FF00_00000000)
  ) top (
      .I0(1'b0), .I1(1'b0), .I2(1'b0), .I3(majority[W]), .I4(1'b0), .I5(1'b1), .O5(none), .O6(half[W])
  );
  mixq_carry #(
      .W(W + 1)
  ) chain (
      .ci(1'b0), .di(majority), .s(half), .o(s[W:0]), .co(s[W+1])
  );
`else
  assign s = {2'b0, a} + {2'b0, b} + {2'b0, c};
`endif
endmodule
