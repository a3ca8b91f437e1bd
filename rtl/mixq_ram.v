// One write port, one registered read port: q is the word at r_addr as it was before this cycle's write, and keeps while r_en
// is low. BLOCK = 0: LUT RAM, BLOCK = 1: block RAM. Not initialised.
module mixq_ram #(
    parameter W = 8,
    parameter DEPTH = 2,
    parameter AW = 1,
    parameter BLOCK = 0
) (
    input clk,
    input w_en,
    input [AW-1:0] w_addr,
    input [W-1:0] w_data,
    input r_en,
    input [AW-1:0] r_addr,
    output reg [W-1:0] q
);
  generate
    if (BLOCK != 0) begin : block
      (* ram_style = "block" *) reg [W-1:0] words[0:DEPTH-1];
      always @(posedge clk) if (w_en) words[w_addr] <= w_data;
      always @(posedge clk) if (r_en) q <= words[r_addr];
    end else begin : luts
      (* ram_style = "distributed" *) reg [W-1:0] words[0:DEPTH-1];
      always @(posedge clk) if (w_en) words[w_addr] <= w_data;
      wire [W-1:0] word = words[r_addr];
      always @(posedge clk) if (r_en) q <= word;
    end
  endgenerate
endmodule
