// Words of a memory file, two cycles after their address: memory and output register.
module mixq_weights #(
    parameter WIDTH = 8,
    parameter DEPTH = 1,
    parameter ADDRESS = 1,
    parameter FILE = "",
    parameter ROM = "block"  // or "logic"
) (
    input clk,
    input [ADDRESS-1:0] address,
    output reg [WIDTH-1:0] data
);
  reg [WIDTH-1:0] q;
  always @(posedge clk) data <= q;
  generate
    if (ROM == "block") begin : blocks
      (* ram_style = "block" *) reg [WIDTH-1:0] mem[0:DEPTH-1];
      initial $readmemh(FILE, mem);
      always @(posedge clk) q <= mem[address];
    end else begin : luts
      (* ram_style = "logic", rom_style = "logic" *) reg [WIDTH-1:0] mem[0:DEPTH-1];
      initial $readmemh(FILE, mem);
      always @(posedge clk) q <= mem[address];
    end
  endgenerate
endmodule
