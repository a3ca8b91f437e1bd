// N beats of W bits become one, the first the lowest; a row's group of BEATS ends with zeros where it is not a multiple.
/* verilator lint_off UNUSED */  // clk and rst of N = 1, high bits of constants
module mixq_pixels_together #(
    parameter W = 8,
    parameter N = 2,
    parameter BEATS = 4
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [N*W-1:0] out_data
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
      wire take = in_valid && in_ready;
      assign out_valid = have;
      assign out_data = beat;
      assign in_ready = !have || out_ready;
      genvar i;
      for (i = 0; i < N; i = i + 1) begin : place
        localparam [31:0] I = i;
        always @(posedge clk)
          if (take && part == I[NW-1:0]) beat[i*W+:W] <= in_data;
          else if (take && part == {NW{1'b0}}) beat[i*W+:W] <= {W{1'b0}};
      end
      always @(posedge clk)
        if (rst) begin
          have <= 1'b0;
          part <= {NW{1'b0}};
          x <= {XW{1'b0}};
        end else begin
          if (take && last) have <= 1'b1;
          else if (out_ready) have <= 1'b0;
          if (take) begin
            part <= last ? {NW{1'b0}} : part + 1'b1;
            x <= row_end ? {XW{1'b0}} : x + 1'b1;
          end
        end
    end
  endgenerate
endmodule
