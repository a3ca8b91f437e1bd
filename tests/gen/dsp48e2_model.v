// A behavioural DSP48E2, as far as the packed slices use it (UG579): pre-adder, multiplier, four-input ALU, and their
// registers. For simulation only; what it does not model is refused.
module DSP48E2 #(
    parameter AMULTSEL = "A", parameter integer AREG = 1, ACASCREG = 1, ADREG = 1, DREG = 1, BREG = 1, BCASCREG = 1, CREG = 1,
    MREG = 1, PREG = 1, INMODEREG = 0, OPMODEREG = 0, ALUMODEREG = 0, CARRYINREG = 0, CARRYINSELREG = 0,
    parameter USE_MULT = "MULTIPLY", parameter [47:0] RND = 0
) (
    input CLK, input signed [29:0] A, input signed [17:0] B, input [47:0] C, input signed [26:0] D, output reg [47:0] P,
    input CARRYIN, input [2:0] CARRYINSEL, input [3:0] ALUMODE, input [4:0] INMODE, input [8:0] OPMODE, input [47:0] PCIN,
    input [29:0] ACIN, input [17:0] BCIN, input CARRYCASCIN, MULTSIGNIN,
    input CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP,
    input RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP
);
  reg signed [26:0] a1 = 0, a2 = 0, d = 0, ad = 0;
  reg signed [17:0] b1 = 0, b2 = 0;
  reg signed [44:0] m = 0;
  reg [47:0] c = 0;
  wire signed [26:0] ain = AREG == 2 ? a2 : a1;
  wire signed [26:0] multiplicand = AMULTSEL == "AD" ? ad : ain;
  wire [47:0] product = {{3{m[44]}}, m};
  wire [47:0] w = OPMODE[8:7] == 2'b10 ? RND : 48'b0;
  wire [47:0] z = OPMODE[6:4] == 3'b011 ? c : OPMODE[6:4] == 3'b001 ? PCIN : 48'b0;
  initial begin
    P = 0;
    if (OPMODE[3:0] != 4'b0101 || ALUMODE != 0 || BREG != 2 || CREG != 1 || MREG != 1 || PREG != 1) begin
      $display("this DSP48E2 model does not do that");
      $finish;
    end
  end
  always @(posedge CLK) begin
    a1 <= A[26:0];
    a2 <= a1;
    d <= D;
    ad <= INMODE[3] ? d - ain : d + ain;
    b1 <= B;
    b2 <= b1;
    m <= multiplicand * b2;
    c <= C;
    P <= product + w + z + {47'b0, CARRYIN};
  end
endmodule
