// Tags beside the data: d, CYCLES cycles later, nothing after a reset.
/* verilator lint_off WIDTH */  // d is one step of the line
module mixq_tag #(
    parameter WIDTH = 1,
    parameter CYCLES = 1
) (
    input clk,
    input rst,
    input [WIDTH-1:0] d,
    output [WIDTH-1:0] q
);
  generate
    if (CYCLES == 0) begin : wires
      assign q = d;
      wire unused = &{1'b0, clk, rst};
    end else begin : registers
      reg [CYCLES*WIDTH-1:0] line;
      assign q = line[(CYCLES-1)*WIDTH+:WIDTH];
      always @(posedge clk)
        if (rst) line <= {CYCLES * WIDTH{1'b0}};
        else line <= (line << WIDTH) | d;
    end
  endgenerate
endmodule
/* verilator lint_on WIDTH */
