// One stream to N readers: each takes every beat once, when it likes; the beat is done when all have taken it.
module mixq_fork #(
    parameter W = 8,
    parameter N = 2
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [W-1:0] in_data,
    output [N-1:0] out_valid,
    input [N-1:0] out_ready,
    output [W-1:0] out_data  // of all
);
  reg [N-1:0] taken;
  assign out_valid = {N{in_valid}} & ~taken;
  assign out_data = in_data;
  assign in_ready = &(taken | out_ready);
  always @(posedge clk) taken <= rst || (in_valid && in_ready) ? {N{1'b0}} : taken | (out_valid & out_ready);
endmodule
