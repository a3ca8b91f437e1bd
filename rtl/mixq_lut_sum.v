// Sum of N products of a signed weight of WBITS and an unsigned code of ABITS, in LUTs; N products a cycle, modulo 2^OUT.
//
// For every bit b of the weights a plane: the sum of the codes whose weight has the bit. Pairs of codes are gated and added in
// one LUT6_2 a bit, then three at a time with a register after each level. The planes, shifted by b, are added likewise, the
// highest as its complement and a carry. LATENCY = 1 + levels of the pairs + levels of the planes, at least 1; in C:
// mq_rtl_lut_latency (src/gen/rtl_lut.h). Simulated as a plain sum of products unless MIXQ_PRIMITIVES is set.
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
/* verilator lint_off UNUSED */  // bits of sums that the next level does not need
/* verilator lint_off UNDRIVEN */
module mixq_lut_sum #(
    parameter N = 4,
    parameter WBITS = 2,
    parameter ABITS = 3,
    parameter OUT = 8
) (
    input clk,
    input [N*WBITS-1:0] w,
    input [N*ABITS-1:0] a,
    output [OUT-1:0] s
);
  localparam PAIRS = (N + 1) / 2;
  function integer levels(input integer n);
    integer k;
    begin
      levels = 0;
      for (k = n; k > 1; k = (k + 2) / 3) levels = levels + 1;
    end
  endfunction
  localparam PLANE_LEVELS = WBITS > 1 ? levels(WBITS) : 1;
  localparam LATENCY = 1 + levels(PAIRS) + PLANE_LEVELS;
  genvar b, i, l;
`ifdef MIXQ_PRIMITIVES
  wire [(PLANE_LEVELS+1)*WBITS*OUT-1:0] terms;
  generate
    for (b = 0; b < WBITS; b = b + 1) begin : plane
      wire [PAIRS*(ABITS+1)-1:0] pairs;
      reg [PAIRS*(ABITS+1)-1:0] pairs_now;
      for (i = 0; i < PAIRS; i = i + 1) begin : pair
        if (2 * i + 1 < N) begin : two
          mixq_gated_pair #(
              .W(ABITS)
          ) add (
              .a(a[2*i*ABITS+:ABITS]), .b(a[(2*i+1)*ABITS+:ABITS]), .wa(w[2*i*WBITS+b]), .wb(w[(2*i+1)*WBITS+b]),
              .s(pairs[i*(ABITS+1)+:ABITS+1])
          );
        end else begin : one
          assign pairs[i*(ABITS+1)+:ABITS+1] = {1'b0, a[2*i*ABITS+:ABITS] & {ABITS{w[2*i*WBITS+b]}}};
        end
      end
      always @(posedge clk) pairs_now <= pairs;
      wire [OUT+WBITS-1:0] sum;
      mixq_tree3 #(
          .N(PAIRS), .W(ABITS + 1), .OUT(OUT + WBITS)
      ) tree (
          .clk(clk), .x(pairs_now), .s(sum)
      );
      wire [OUT+WBITS-1:0] shifted = sum << b;
      assign terms[b*OUT+:OUT] = b == WBITS - 1 ? ~shifted[OUT-1:0] : shifted[OUT-1:0];
    end
    for (l = 0; l < PLANE_LEVELS; l = l + 1) begin : level
      localparam IN = l == 0 ? WBITS : l == 1 ? (WBITS + 2) / 3 : (WBITS + 8) / 9;
      localparam FROM = l * WBITS * OUT, TO = (l + 1) * WBITS * OUT;
      for (i = 0; i < (IN + 2) / 3; i = i + 1) begin : add
        localparam ONE = l == PLANE_LEVELS - 1 ? 1 : 0;  // of the complement
        wire [OUT-1:0] x = terms[FROM+3*i*OUT+:OUT];
        wire [OUT-1:0] y, z;
        if (3 * i + 1 < IN) begin : second
          assign y = terms[FROM+(3*i+1)*OUT+:OUT];
        end else begin : no_second
          assign y = {OUT{1'b0}};
        end
        if (3 * i + 2 < IN) begin : third
          assign z = terms[FROM+(3*i+2)*OUT+:OUT];
        end else begin : no_third
          assign z = {OUT{1'b0}};
        end
        wire [OUT-1:0] sum;
        reg [OUT-1:0] r;
        if (3 * i + 1 >= IN && ONE == 0) begin : alone
          assign sum = x;
        end else begin : added
          mixq_ternary #(
              .W(OUT)
          ) add3 (
              .first(1'b0), .a(x), .b(y), .c(z), .ci0(ONE != 0), .ci1(1'b0), .s(sum)
          );
        end
        always @(posedge clk) r <= sum;
        assign terms[TO+i*OUT+:OUT] = r;
      end
    end
  endgenerate
  assign s = terms[PLANE_LEVELS*WBITS*OUT+:OUT];
`else
  reg [LATENCY*OUT-1:0] pipe;
  reg signed [31:0] sum;
  integer k;
  always @* begin
    sum = 0;
    for (k = 0; k < N; k = k + 1)
      sum = sum + {{32 - WBITS{w[k*WBITS+WBITS-1]}}, w[k*WBITS+:WBITS]} * {{32 - ABITS{1'b0}}, a[k*ABITS+:ABITS]};
  end
  always @(posedge clk) pipe <= {pipe[(LATENCY-1)*OUT-1:0], sum[OUT-1:0]};
  assign s = pipe[(LATENCY-1)*OUT+:OUT];
`endif
endmodule
