// d, CYCLES cycles later (0: wires).
module mixq_delay #(
    parameter WIDTH = 1,
    parameter CYCLES = 1
) (
    input clk,
    input [WIDTH-1:0] d,
    output [WIDTH-1:0] q
);
  generate
    if (CYCLES == 0) begin : wires
      assign q = d;
      wire unused = clk;
    end else begin : registers
      reg [CYCLES*WIDTH-1:0] line;
      assign q = line[(CYCLES-1)*WIDTH+:WIDTH];
      if (CYCLES == 1) begin : one
        always @(posedge clk) line <= d;
      end else begin : more
        always @(posedge clk) line <= {line[(CYCLES-1)*WIDTH-1:0], d};
      end
    end
  endgenerate
endmodule
