// Registers between two stages, in both directions: no path from out_ready to in_ready, a beat a cycle, two beats of room.
module mixq_skid #(
    parameter W = 8
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [W-1:0] out_data
);
  reg [W-1:0] first, second;
  reg have_first, have_second;
  assign in_ready = !have_second;
  assign out_valid = have_first;
  assign out_data = first;
  wire put = in_valid && in_ready, free = out_ready || !have_first;
  always @(posedge clk) begin
    if (free) first <= have_second ? second : in_data;
    if (put) second <= in_data;
    if (rst) begin
      have_first <= 1'b0;
      have_second <= 1'b0;
    end else if (free) begin
      have_first <= have_second || put;
      have_second <= 1'b0;
    end else if (put) begin
      have_second <= 1'b1;
    end
  end
endmodule
