// Space to depth by 2: output channel (2*dy + dx)*C + c at (y, x) is channel c at (2y + dy, 2x + dx). C = GROUPS * CH, IN_W even.
//
// A row dy gives the output groups 2*dy*GROUPS and up: first its even columns, group by group, then its odd ones. So every row
// is reordered by itself, in a double buffer. PX = 1: a pixel a beat in and out; PX even: PX / 2 out.
/* verilator lint_off UNUSED */  // high bits of 32-bit constants
module mixq_reorg #(
    parameter CH = 1,
    parameter PX = 1,
    parameter BITS = 4,
    parameter GROUPS = 1,
    parameter IN_W = 4,
    parameter OUT_PX = PX > 1 ? PX / 2 : 1  // do not set
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [PX*CH*BITS-1:0] in_data,
    output out_valid,
    input out_ready,
    output [OUT_PX*CH*BITS-1:0] out_data
);
  localparam ROW = GROUPS * ((IN_W + PX - 1) / PX);  // beats
  localparam RW = $clog2(2 * ROW);
  localparam STEP = PX == 1 ? 2 : 1;
  localparam [31:0] LAST = ROW - 1, FULL_ROW = ROW, BY = STEP, R_LAST = ROW - STEP;
  localparam PW = CH * BITS;
  reg [RW-1:0] w_i, r_i;  // w_i: beat of the row; r_i: less the column's parity
  reg dx;
  wire w_last = w_i == LAST[RW-1:0];
  wire pass_last = r_i == R_LAST[RW-1:0];
  wire can_put, can_get, w_half, r_half;
  reg shown, shown_dx;
  wire put = in_valid && can_put;
  wire get = can_get && (out_ready || !shown);
  assign in_ready = can_put;
  assign out_valid = shown;
  mixq_pingpong halves (
      .clk(clk), .rst(rst), .put(put), .w_last(w_last), .get(get), .r_last(pass_last && dx),
      .can_put(can_put), .can_get(can_get), .w_half(w_half), .r_half(r_half)
  );
  wire [RW-1:0] w_addr = (w_half ? FULL_ROW[RW-1:0] : {RW{1'b0}}) + w_i;
  wire [RW-1:0] column;
  wire [RW-1:0] r_addr = (r_half ? FULL_ROW[RW-1:0] : {RW{1'b0}}) + column;
  wire [PX*PW-1:0] q;
  mixq_ram #(
      .W(PX * PW), .DEPTH(2 * ROW), .AW(RW), .BLOCK(2 * ROW > 64 ? 1 : 0)
  ) ram (
      .clk(clk), .w_en(put), .w_addr(w_addr), .w_data(in_data), .r_en(get), .r_addr(r_addr), .q(q)
  );
  genvar p;
  generate
    if (PX == 1) begin : one_pixel
      assign column = {r_i[RW-1:1], dx};  // r_i is even
      assign out_data = q;
    end else begin : pixels
      assign column = r_i;
      for (p = 0; p < OUT_PX; p = p + 1) begin : pixel
        assign out_data[p*PW+:PW] = shown_dx ? q[(2*p+1)*PW+:PW] : q[2*p*PW+:PW];
      end
    end
  endgenerate
  always @(posedge clk)
    if (rst) begin
      w_i <= {RW{1'b0}};
      r_i <= {RW{1'b0}};
      dx <= 1'b0;
      shown <= 1'b0;
      shown_dx <= 1'b0;
    end else begin
      if (put) w_i <= w_last ? {RW{1'b0}} : w_i + 1'b1;
      if (get) begin
        r_i <= pass_last ? {RW{1'b0}} : r_i + BY[RW-1:0];
        dx <= dx ^ pass_last;
        shown_dx <= dx;
      end
      if (get) shown <= 1'b1;
      else if (out_ready) shown <= 1'b0;
    end
endmodule
