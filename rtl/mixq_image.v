// The input stream: PX pixels of CH unsigned bytes a beat become codes of BITS bits, byte >> (8 - BITS). Bytes beyond the row's
// end become zeros. Wires but for the count of columns.
/* verilator lint_off UNUSED */  // low bits; clk and rst where rows are whole beats
module mixq_image #(
    parameter CH = 3,
    parameter PX = 1,
    parameter BITS = 8,
    parameter IN_W = 4
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [PX*CH*8-1:0] in_data,
    output out_valid,
    input out_ready,
    output [PX*CH*BITS-1:0] out_data
);
  localparam BEATS = (IN_W + PX - 1) / PX;
  localparam LAST_PX = IN_W - (BEATS - 1) * PX;
  localparam [31:0] LAST = BEATS - 1;
  localparam XW = $clog2(BEATS + 1);
  assign out_valid = in_valid;
  assign in_ready = out_ready;
  genvar p, c;
  generate
    if (LAST_PX == PX) begin : whole
      for (c = 0; c < PX * CH; c = c + 1) begin : code
        assign out_data[c*BITS+:BITS] = in_data[c*8+8-BITS+:BITS];
      end
    end else begin : partial
      reg [XW-1:0] x;
      wire last = x == LAST[XW-1:0];
      always @(posedge clk)
        if (rst) x <= {XW{1'b0}};
        else if (in_valid && in_ready) x <= last ? {XW{1'b0}} : x + 1'b1;
      for (p = 0; p < PX; p = p + 1) begin : pixel
        for (c = 0; c < CH; c = c + 1) begin : channel
          assign out_data[(p*CH+c)*BITS+:BITS] =
              p >= LAST_PX && last ? {BITS{1'b0}} : in_data[(p*CH+c)*8+8-BITS+:BITS];
        end
      end
    end
  endgenerate
endmodule
