// s = a + b + c, all bits of it, combinational: W + 1 LUTs. As mixq_add3; the last LUT passes the highest majority, the sum's
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
  localparam BLOCKS = (W + 8) / 8;
  /* verilator lint_off UNUSED */
  wire [BLOCKS*8:0] majority;  // of the bit below
  wire [BLOCKS*8-1:0] half, sum, carry;
  /* verilator lint_on UNUSED */
  assign majority[0] = 1'b0;
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
      end else if (i == W) begin : top
        /* verilator lint_off UNUSED */
        wire none;
        /* verilator lint_on UNUSED */
        assign majority[i+1] = 1'b0;
        LUT6_2 #(
            .INIT(64'hFF00FF00_00000000)
        ) lut (
            .I0(1'b0), .I1(1'b0), .I2(1'b0), .I3(majority[i]), .I4(1'b0), .I5(1'b1), 
            .O5(none), .O6(half[i])
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
            .CI(1'b0), .CI_TOP(1'b0), .DI(majority[7:0]), .S(half[7:0]), .O(sum[7:0]), .CO(carry[7:0])
        );
      end else begin : higher
        CARRY8 chain (
            .CI(carry[8*i-1]), .CI_TOP(1'b0), .DI(majority[8*i+:8]), .S(half[8*i+:8]), .O(sum[8*i+:8]), .CO(carry[8*i+:8])
        );
      end
    end
  endgenerate
  assign s[W+1] = carry[W];
`else
  assign s = {2'b0, a} + {2'b0, b} + {2'b0, c};
`endif
endmodule
