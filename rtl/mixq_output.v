// The end of the accelerator: beats pass, out_last marks the last of a frame of BEATS.
module mixq_output #(
    parameter W = 32,
    parameter BEATS = 1
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [W-1:0] out_data,
    output out_last
);
  localparam NW = $clog2(BEATS + 1);
  /* verilator lint_off WIDTH */
  localparam [NW-1:0] LAST = BEATS - 1;
  /* verilator lint_on WIDTH */
  reg [NW-1:0] n;
  assign out_valid = in_valid;
  assign in_ready = out_ready;
  assign out_data = in_data;
  assign out_last = n == LAST;
  always @(posedge clk)
    if (rst) n <= {NW{1'b0}};
    else if (in_valid && out_ready) n <= out_last ? {NW{1'b0}} : n + 1'b1;
endmodule
