// CARRY8 (UG974) as one chain of 8 from CI. For simulation only.
module CARRY8 #(
    parameter CARRY_TYPE = "SINGLE_CY8"
) (
    input        CI, CI_TOP,
    input  [7:0] DI, S,
    output [7:0] O, CO
);
  /* verilator lint_off UNOPTFLAT */
  wire [8:0] c;
  /* verilator lint_on UNOPTFLAT */
  assign c[0] = CI;
  genvar i;
  generate
    for (i = 0; i < 8; i = i + 1) begin : bits
      assign c[i+1] = S[i] ? c[i] : DI[i];
    end
  endgenerate
  assign O  = S ^ c[7:0];
  assign CO = c[8:1];
  /* verilator lint_off UNUSED */
  wire unused = CI_TOP || CARRY_TYPE == "DUAL_CY4";
  /* verilator lint_on UNUSED */
endmodule
