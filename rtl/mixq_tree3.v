// Sum of N unsigned numbers of W bits, three at a time, a register after each level: latency = levels = ceil(log3(N)).
/* verilator lint_off UNUSED */
/* verilator lint_off UNDRIVEN */  // a level needs only a part of its words
module mixq_tree3 #(
    parameter N = 3,
    parameter W = 4,
    parameter OUT = 6  // bits of the sum at least
) (
    input clk,
    input [N*W-1:0] x,
    output [OUT-1:0] s
);
  function integer count(input integer level);  // of numbers after it
    integer i;
    begin
      count = N;
      for (i = 0; i < level; i = i + 1) count = (count + 2) / 3;
    end
  endfunction
  function integer levels(input integer unused);
    integer n;
    begin
      levels = 0;
      for (n = N; n > 1; n = (n + 2) / 3) levels = levels + 1;
    end
  endfunction
  function integer width(input integer level);  // of its numbers: at most 3^level terms
    integer i, terms, most;
    begin
      terms = 1;
      for (i = 0; i < level; i = i + 1) terms = terms * 3 > N ? N : terms * 3;
      most = ((1 << W) - 1) * terms;
      width = 0;
      for (i = most; i > 0; i = i / 2) width = width + 1;
    end
  endfunction
  localparam LEVELS = levels(0);
  localparam MOST = width(LEVELS);
  wire [(LEVELS+1)*N*MOST-1:0] sums;
  assign sums[N*W-1:0] = x;
  genvar l, i;
  generate
    for (l = 0; l < LEVELS; l = l + 1) begin : level
      localparam FROM = l * N * MOST, TO = (l + 1) * N * MOST, IN = count(l), IW = width(l), OW = width(l + 1);
      for (i = 0; i < count(l + 1); i = i + 1) begin : add
        reg [OW-1:0] sum;
        assign sums[TO+i*OW+:OW] = sum;
        if (3 * i + 2 < IN) begin : three
          wire [IW+1:0] all;
          mixq_sum3 #(
              .W(IW)
          ) sum3 (
              .a(sums[FROM+3*i*IW+:IW]), .b(sums[FROM+(3*i+1)*IW+:IW]), .c(sums[FROM+(3*i+2)*IW+:IW]), .s(all)
          );
          always @(posedge clk) sum <= all[OW-1:0];
        end else if (3 * i + 1 < IN) begin : two
          wire [IW+1:0] all = {2'b0, sums[FROM+3*i*IW+:IW]} + {2'b0, sums[FROM+(3*i+1)*IW+:IW]};
          always @(posedge clk) sum <= all[OW-1:0];
        end else begin : one
          wire [IW+1:0] all = {2'b0, sums[FROM+3*i*IW+:IW]};
          always @(posedge clk) sum <= all[OW-1:0];
        end
      end
    end
    if (OUT > MOST) begin : wider
      assign s = {{OUT - MOST{1'b0}}, sums[LEVELS*N*MOST+:MOST]};
    end else begin : same
      assign s = sums[LEVELS*N*MOST+:OUT];
    end
  endgenerate
endmodule
