// s = a + b + c + ci0 + ci1 modulo 2^W, combinational: a LUT6_2 a bit and a carry chain.
//
// The LUT's O5 is the majority of the three bits, which counts twice: it enters the next bit beside the chain's own carry.
// So both the chain and the lowest majority have an input free for a carry. MIXQ_PRIMITIVES asks for the primitives in
// simulation too.
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
module mixq_add3 #(
    parameter W = 8
) (
    input  [W-1:0] a,
    input  [W-1:0] b,
    input  [W-1:0] c,
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
        LUT6_2 #(
            .INIT(64'h69966996_E8E8E8E8)
        ) lut (
            .I0(a[i]), .I1(b[i]), .I2(c[i]), .I3(majority[i]), .I4(1'b0), .I5(1'b1),
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
  assign s = a + b + c + ones[W-1:0];
  /* verilator lint_off UNUSED */
  wire unused = ones[W];
  /* verilator lint_on UNUSED */
`endif
endmodule
