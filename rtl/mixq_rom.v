// A ROM of DEPTH words from a file of hexadecimal words. BLOCK = 0: in LUTs, q in the same cycle; BLOCK = 1: in block RAM,
// q one cycle after addr. Words past DEPTH are not read.
/* verilator lint_off WIDTH */  // an address may have bits that DEPTH does not need
module mixq_rom #(
    parameter W = 8,
    parameter DEPTH = 2,
    parameter AW = 1,
    parameter BLOCK = 0,
    parameter FILE = "mem/none.hex"
) (
    /* verilator lint_off UNUSED */
    input clk,
    input [AW-1:0] addr,
    /* verilator lint_on UNUSED */
    output [W-1:0] q
);
  generate
    if (BLOCK != 0) begin : block
      (* ram_style = "block", rom_style = "block" *) reg [W-1:0] words[0:DEPTH-1];
      reg [W-1:0] word;
      initial $readmemh(FILE, words);
      always @(posedge clk) word <= words[addr];
      assign q = word;
    end else begin : logic_rom
      (* ram_style = "logic", rom_style = "logic" *) reg [W-1:0] words[0:DEPTH-1];
      initial $readmemh(FILE, words);
      assign q = words[addr];
    end
  endgenerate
endmodule
/* verilator lint_on WIDTH */
