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
  localparam BLOCKS = (W + 7) / 8;
  /* verilator lint_off UNUSED */
  wire [BLOCKS*8-1:0] half, one, sum, carry;
  /* verilator lint_on UNUSED */
  genvar i;
  generate
    for (i = 0; i < BLOCKS * 8; i = i + 1) begin : bits
      if (i < W) begin : in
        LUT6_2 #(
            .INIT(64'h78887888_88888888)
        ) lut (
            .I0(a[i]), .I1(wa), .I2(b[i]), .I3(wb), .I4(1'b0), .I5(1'b1), .O5(one[i]), .O6(half[i])
        );
        assign s[i] = sum[i];
      end else begin : above
        assign one[i] = 1'b0;
        assign half[i] = 1'b0;
      end
    end
    for (i = 0; i < BLOCKS; i = i + 1) begin : blocks
      if (i == 0) begin : lowest
        CARRY8 chain (
            .CI(1'b0), .CI_TOP(1'b0), .DI(one[7:0]), .S(half[7:0]), .O(sum[7:0]), .CO(carry[7:0])
        );
      end else begin : higher
        CARRY8 chain (
            .CI(carry[8*i-1]), .CI_TOP(1'b0), .DI(one[8*i+:8]), .S(half[8*i+:8]), .O(sum[8*i+:8]), .CO(carry[8*i+:8])
        );
      end
    end
  endgenerate
  assign s[W] = carry[W-1];
`else
  assign s = {1'b0, {W{wa}} & a} + {1'b0, {W{wb}} & b};
`endif
endmodule
