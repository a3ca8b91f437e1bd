// A ROM in block RAM that two read at once: q one cycle after its address. Words past DEPTH are not read.
module mixq_rom_pair #(
    parameter W = 8,
    parameter DEPTH = 2,
    parameter AW = 1,
    parameter FILE = "mem/none.hex"
) (
    input clk,
    input [AW-1:0] addr_a,
    input [AW-1:0] addr_b,
    output reg [W-1:0] q_a,
    output reg [W-1:0] q_b
);
  (* ram_style = "block", rom_style = "block" *) reg [W-1:0] words[0:DEPTH-1];
  initial $readmemh(FILE, words);
  always @(posedge clk) q_a <= words[addr_a];
  always @(posedge clk) q_b <= words[addr_b];
endmodule
