// q = the way-th of WAYS words; the last for a number beyond. Written as comparisons: an indexed part select becomes a
// barrel shifter.
/* verilator lint_off WIDTH */  // parameters are 32 bits wide
module mixq_select #(
    parameter WIDTH = 1,
    parameter WAYS = 2,
    parameter SELECT = 1
) (
    input [SELECT-1:0] way,
    input [WAYS*WIDTH-1:0] d,
    output [WIDTH-1:0] q
);
  reg [WIDTH-1:0] picked;
  integer i;
  always @* begin
    picked = d[(WAYS-1)*WIDTH+:WIDTH];
    for (i = WAYS - 2; i >= 0; i = i - 1) if (way == i) picked = d[i*WIDTH+:WIDTH];
  end
  assign q = picked;
  generate
    if (WAYS == 1) begin : none
      wire unused = &{1'b0, way};
    end
  endgenerate
endmodule
/* verilator lint_on WIDTH */
