// Between two stages whose beats differ: IN_CH channels x IN_PX pixels to OUT_CH x OUT_PX of the same frame, C channels and
// IN_W columns; padding is added and dropped as the streams want it. Four steps, each left out where it changes nothing:
// pixels apart, channels apart, channels together, pixels together, through the greatest common divisors. The step with the
// most beats sets the speed: a row takes ceil(C / gcd of CH) * ceil(IN_W / gcd of PX) cycles where both sides differ.
module mixq_regroup #(
    parameter BITS = 4,
    parameter C = 4,
    parameter IN_W = 4,
    parameter IN_CH = 2,
    parameter IN_PX = 1,
    parameter OUT_CH = 4,
    parameter OUT_PX = 2,
    parameter MID_CH = 2,  // gcd of the channels
    parameter MID_PX = 1   // gcd of the pixels
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [IN_PX*IN_CH*BITS-1:0] in_data,
    output out_valid,
    input out_ready,
    output [OUT_PX*OUT_CH*BITS-1:0] out_data
);
  localparam BEATS = (IN_W + MID_PX - 1) / MID_PX;
  localparam IN_GROUPS = (C + IN_CH - 1) / IN_CH;
  localparam MID_GROUPS = (C + MID_CH - 1) / MID_CH;
  wire [2:0] valid, ready;
  wire [MID_PX*IN_CH*BITS-1:0] narrow;
  wire [MID_PX*MID_CH*BITS-1:0] apart;
  wire [MID_PX*OUT_CH*BITS-1:0] together;
  mixq_pixels_apart #(
      .W(IN_CH * BITS * MID_PX), .N(IN_PX / MID_PX), .BEATS(BEATS)
  ) pixels_apart (
      .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
      .out_valid(valid[0]), .out_ready(ready[0]), .out_data(narrow)
  );
  mixq_channels_apart #(
      .W(MID_CH * BITS), .PX(MID_PX), .N(IN_CH / MID_CH), .BEATS(BEATS), .IN_GROUPS(IN_GROUPS), .OUT_GROUPS(MID_GROUPS)
  ) channels_apart (
      .clk(clk), .rst(rst), .in_valid(valid[0]), .in_ready(ready[0]), .in_data(narrow),
      .out_valid(valid[1]), .out_ready(ready[1]), .out_data(apart)
  );
  mixq_channels_together #(
      .W(MID_CH * BITS), .PX(MID_PX), .N(OUT_CH / MID_CH), .BEATS(BEATS), .IN_GROUPS(MID_GROUPS)
  ) channels_together (
      .clk(clk), .rst(rst), .in_valid(valid[1]), .in_ready(ready[1]), .in_data(apart),
      .out_valid(valid[2]), .out_ready(ready[2]), .out_data(together)
  );
  mixq_pixels_together #(
      .W(OUT_CH * BITS * MID_PX), .N(OUT_PX / MID_PX), .BEATS(BEATS)
  ) pixels_together (
      .clk(clk), .rst(rst), .in_valid(valid[2]), .in_ready(ready[2]), .in_data(together),
      .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data)
  );
endmodule
