// A beat of N * W bits becomes N beats, the lowest first; of a row's group BEATS leave, what is beyond is padding and dropped.
/* verilator lint_off UNUSED */  // clk and rst of N = 1, high bits of constants
module mixq_pixels_apart #(
    parameter W = 8,
    parameter N = 2,
    parameter BEATS = 4
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [N*W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [W-1:0] out_data
);
  generate
    if (N == 1) begin : wires
      assign out_valid = in_valid;
      assign in_ready = out_ready;
      assign out_data = in_data;
    end else begin : parts
      localparam NW = $clog2(N + 1);
      localparam XW = $clog2(BEATS + 1);
      localparam [31:0] N_LAST = N - 1, X_LAST = BEATS - 1;
      reg [N*W-1:0] beat;
      reg have;
      reg [NW-1:0] part;
      reg [XW-1:0] x;
      wire row_end = x == X_LAST[XW-1:0];
      wire last = part == N_LAST[NW-1:0] || row_end;
      assign out_valid = have;
      assign out_data = beat[W-1:0];
      assign in_ready = !have || (out_ready && last);
      always @(posedge clk) begin
        if (in_valid && in_ready) beat <= in_data;
        else if (out_ready) beat <= beat >> W;
        if (rst) begin
          have <= 1'b0;
          part <= {NW{1'b0}};
          x <= {XW{1'b0}};
        end else begin
          if (in_valid && in_ready) have <= 1'b1;
          else if (out_ready && last) have <= 1'b0;
          if (have && out_ready) begin
            part <= last ? {NW{1'b0}} : part + 1'b1;
            x <= row_end ? {XW{1'b0}} : x + 1'b1;
          end
        end
      end
    end
  endgenerate
endmodule
