// s = (wa ? a : 0) + (wb ? b : 0), combinational: a LUT6_2 a bit, the sum's highest bit is the carry.
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
module mixq_gated_pair #(
    parameter W = 3
) (
    input [W-1:0] a,
    input [W-1:0] b,
    input wa,
    input wb,
    output [W:0] s
);
`ifdef MIXQ_PRIMITIVES
  wire [W-1:0] half, one;
  genvar i;
  generate
    for (i = 0; i < W; i = i + 1) begin : bits
      LUT6_2 #(
          .INIT(64'h78887888_88888888)
      ) lut (
          .I0(a[i]), .I1(wa), .I2(b[i]), .I3(wb), .I4(1'b0), .I5(1'b1), .O5(one[i]), .O6(half[i])
      );
    end
  endgenerate
  mixq_carry #(
      .W(W)
  ) chain (
      .ci(1'b0), .di(one), .s(half), .o(s[W-1:0]), .co(s[W])
  );
`else
  assign s = {1'b0, {W{wa}} & a} + {1'b0, {W{wb}} & b};
`endif
endmodule
