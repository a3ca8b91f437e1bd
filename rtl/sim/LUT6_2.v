// LUT6_2 (UG974): O6 is the table at I5..I0, O5 its lower half at I4..I0. An unknown input that makes no difference leaves the
// output known. For simulation only.
module LUT6_2 #(
    parameter [63:0] INIT = 0
) (
    input  I0, I1, I2, I3, I4, I5,
    output O5, O6
);
  wire [15:0] low4 = I4 ? INIT[31:16] : INIT[15:0], high4 = I4 ? INIT[63:48] : INIT[47:32];
  wire [7:0] low3 = I3 ? low4[15:8] : low4[7:0], high3 = I3 ? high4[15:8] : high4[7:0];
  wire [3:0] low2 = I2 ? low3[7:4] : low3[3:0], high2 = I2 ? high3[7:4] : high3[3:0];
  wire [1:0] low1 = I1 ? low2[3:2] : low2[1:0], high1 = I1 ? high2[3:2] : high2[1:0];
  assign O5 = I0 ? low1[1] : low1[0];
  assign O6 = I5 ? (I0 ? high1[1] : high1[0]) : O5;
endmodule
