// LUT6_2 (UG974): O6 is the table at I5..I0, O5 its lower half at I4..I0. For simulation only.
module LUT6_2 #(
    parameter [63:0] INIT = 0
) (
    input  I0, I1, I2, I3, I4, I5,
    output O5, O6
);
  assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];
  assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
endmodule
