// Who may use which half of a double buffer: one half is filled while the other is read. put and get are single accesses, w_last
// and r_last mark the last one of a half.
module mixq_pingpong (
    input clk,
    input rst,
    input put,
    input w_last,
    input get,
    input r_last,
    output can_put,
    output can_get,
    output reg w_half,
    output reg r_half
);
  reg [1:0] full;
  assign can_put = full != 2'd2;
  assign can_get = full != 2'd0;
  wire filled = put && w_last, emptied = get && r_last;
  always @(posedge clk)
    if (rst) begin
      full <= 2'd0;
      w_half <= 1'b0;
      r_half <= 1'b0;
    end else begin
      if (filled && !emptied) full <= full + 2'd1;
      if (emptied && !filled) full <= full - 2'd1;
      if (filled) w_half <= !w_half;
      if (emptied) r_half <= !r_half;
    end
endmodule
