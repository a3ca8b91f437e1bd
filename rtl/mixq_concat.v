// Channels of N streams behind each other: of every row first all beats of input 0, then of input 1, and so on. The beats are
// alike; input i has BEATS[32*i +: 32] of them in a row, and whole groups but for the last input. Wires and a count.
/* verilator lint_off UNUSED */  // high bits of the counts
module mixq_concat #(
    parameter N = 2,
    parameter W = 8,
    parameter CW = 32,  // bits that count the beats of an input's row
    parameter [32*N-1:0] BEATS = {N{32'd1}}
) (
    input clk,
    input rst,
    input [N-1:0] in_valid,
    output [N-1:0] in_ready,
    input [N*W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [W-1:0] out_data
);
  reg [N-1:0] turn;  // one-hot
  reg [CW-1:0] n;
  wire [N-1:0] last;  // beat of the input whose turn it is
  assign in_ready = turn & {N{out_ready}};
  assign out_valid = |(turn & in_valid);
  reg [W-1:0] chosen;
  integer k;
  always @* begin
    chosen = {W{1'b0}};
    for (k = 0; k < N; k = k + 1) chosen = chosen | ({W{turn[k]}} & in_data[k*W+:W]);
  end
  assign out_data = chosen;
  genvar i;
  generate
    for (i = 0; i < N; i = i + 1) begin : in
      localparam [31:0] LAST = BEATS[32*i+:32] - 1;
      assign last[i] = turn[i] && n == LAST[CW-1:0];
    end
  endgenerate
  always @(posedge clk)
    if (rst) begin
      turn <= {{N - 1{1'b0}}, 1'b1};
      n <= {CW{1'b0}};
    end else if (out_valid && out_ready) begin
      n <= |last ? {CW{1'b0}} : n + 1'b1;
      if (|last) turn <= {turn[N-2:0], turn[N-1]};
    end
endmodule
