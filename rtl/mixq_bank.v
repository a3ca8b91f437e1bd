// One write port, one read port, one cycle to read.
module mixq_bank #(
    parameter WIDTH = 8,
    parameter DEPTH = 16,
    parameter ADDRESS = 4,
    parameter RAM = "block"  // or "distributed"
) (
    input clk,
    input w_enable,
    input [ADDRESS-1:0] w_address,
    input [WIDTH-1:0] w_data,
    input [ADDRESS-1:0] r_address,
    output [WIDTH-1:0] r_data
);
  localparam AW = DEPTH > 1 ? $clog2(DEPTH) : 1;
  reg [WIDTH-1:0] q;
  assign r_data = q;
  generate
    if (RAM == "block") begin : blocks
      (* ram_style = "block" *) reg [WIDTH-1:0] mem[0:DEPTH-1];
      always @(posedge clk) begin
        if (w_enable) mem[w_address[AW-1:0]] <= w_data;
        q <= mem[r_address[AW-1:0]];
      end
`ifndef SYNTHESIS
      integer k;
      initial for (k = 0; k < DEPTH; k = k + 1) mem[k] = {WIDTH{1'b0}};
`endif
    end else begin : luts
      (* ram_style = "distributed" *) reg [WIDTH-1:0] mem[0:DEPTH-1];
      always @(posedge clk) begin
        if (w_enable) mem[w_address[AW-1:0]] <= w_data;
        q <= mem[r_address[AW-1:0]];
      end
`ifndef SYNTHESIS
      integer k;
      initial for (k = 0; k < DEPTH; k = k + 1) mem[k] = {WIDTH{1'b0}};
`endif
    end
    if (ADDRESS > AW) begin : above
      wire unused = &{1'b0, w_address[ADDRESS-1:AW], r_address[ADDRESS-1:AW]};
    end
  endgenerate
endmodule
