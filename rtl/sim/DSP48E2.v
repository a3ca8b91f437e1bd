// A behavioural DSP48E2 (UG579) as far as it is used here: pre-adder D + A and D - A, multiplier, four-input addition of
// product, W (0, P, RND, C), Z (0, PCIN, P, C) and CARRYIN, and all registers. For simulation only: synthesis has its own.
// What it does not model ends the simulation. The mathematics is that of src/pack/dsp.h.
/* verilator lint_off UNUSED */
/* verilator lint_off WIDTH */
module DSP48E2 #(
    parameter AMULTSEL = "A",
    parameter BMULTSEL = "B",
    parameter A_INPUT = "DIRECT",
    parameter B_INPUT = "DIRECT",
    parameter PREADDINSEL = "A",
    parameter USE_MULT = "MULTIPLY",
    parameter USE_SIMD = "ONE48",
    parameter integer AREG = 1,
    parameter integer ACASCREG = 1,
    parameter integer ADREG = 1,
    parameter integer DREG = 1,
    parameter integer BREG = 1,
    parameter integer BCASCREG = 1,
    parameter integer CREG = 1,
    parameter integer MREG = 1,
    parameter integer PREG = 1,
    parameter integer INMODEREG = 1,
    parameter integer OPMODEREG = 1,
    parameter integer ALUMODEREG = 1,
    parameter integer CARRYINREG = 1,
    parameter integer CARRYINSELREG = 1,
    parameter [47:0] RND = 48'b0
) (
    input         CLK,
    input  [29:0] A,
    input  [17:0] B,
    input  [47:0] C,
    input  [26:0] D,
    output [47:0] P,
    output [47:0] PCOUT,
    input         CARRYIN,
    input  [2:0]  CARRYINSEL,
    input  [3:0]  ALUMODE,
    input  [4:0]  INMODE,
    input  [8:0]  OPMODE,
    input  [47:0] PCIN,
    input  [29:0] ACIN,
    input  [17:0] BCIN,
    input         CARRYCASCIN, MULTSIGNIN,
    input         CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, CEP,
    input         RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP
);
  reg signed [26:0] a1 = 0, a2 = 0, d1 = 0, ad1 = 0;
  reg signed [17:0] b1 = 0, b2 = 0;
  reg signed [44:0] m1 = 0;
  reg [47:0] c1 = 0, p1 = 0;

  // AREG, BREG = 1: the second register alone
  wire signed [26:0] a = AREG == 0 ? A[26:0] : a2;
  wire signed [26:0] a_used = INMODE[1] ? 27'sd0 : a;
  wire signed [26:0] d_used = !INMODE[2] ? 27'sd0 : DREG == 0 ? D : d1;
  wire signed [26:0] ad0 = INMODE[3] ? d_used - a_used : d_used + a_used;
  wire signed [26:0] wide = AMULTSEL == "A" ? a_used : ADREG == 0 ? ad0 : ad1;
  wire signed [17:0] b = BREG == 0 ? B : b2;
  wire signed [44:0] m0 = wide * b;
  wire signed [44:0] m = MREG == 0 ? m0 : m1;
  wire [47:0] c = CREG == 0 ? C : c1;
  wire [47:0] product = OPMODE[3:0] == 4'b0101 ? {{3{m[44]}}, m} : 48'b0;
  wire [47:0] w = OPMODE[8:7] == 2'b00 ? 48'b0 : OPMODE[8:7] == 2'b01 ? p1 : OPMODE[8:7] == 2'b10 ? RND : c;
  wire [47:0] z = OPMODE[6:4] == 3'b000 ? 48'b0 : OPMODE[6:4] == 3'b001 ? PCIN : OPMODE[6:4] == 3'b010 ? p1 : c;
  wire [47:0] sum = product + w + z + {47'b0, CARRYIN};
  assign P = PREG == 0 ? sum : p1;
  assign PCOUT = P;

  wire fixed = (AMULTSEL == "A" || AMULTSEL == "AD") && BMULTSEL == "B" && A_INPUT == "DIRECT" && B_INPUT == "DIRECT" &&
       PREADDINSEL == "A" && USE_MULT == "MULTIPLY" && USE_SIMD == "ONE48" && INMODEREG == 0 && OPMODEREG == 0 &&
       ALUMODEREG == 0 && CARRYINREG == 0 && CARRYINSELREG == 0 && ACASCREG <= AREG && BCASCREG <= BREG;
  wire modes = ALUMODE == 4'b0 && CARRYINSEL == 3'b0 && (OPMODE[3:0] == 4'b0101 || OPMODE[3:0] == 4'b0) &&
       !OPMODE[6] && !INMODE[0] && !INMODE[4] && (AMULTSEL == "AD" || INMODE[3:2] == 2'b00);

  always @(posedge CLK) begin
    if (!fixed || !modes) begin
      $display("%m: the model of DSP48E2 has no such mode");
      $finish;
    end
    a1 <= RSTA ? 27'sd0 : CEA1 ? A[26:0] : a1;
    a2 <= RSTA ? 27'sd0 : CEA2 ? (AREG == 2 ? a1 : A[26:0]) : a2;
    d1 <= RSTD ? 27'sd0 : CED ? D : d1;
    ad1 <= RSTD ? 27'sd0 : CEAD ? ad0 : ad1;
    b1 <= RSTB ? 18'sd0 : CEB1 ? B : b1;
    b2 <= RSTB ? 18'sd0 : CEB2 ? (BREG == 2 ? b1 : B) : b2;
    m1 <= RSTM ? 45'sd0 : CEM ? m0 : m1;
    c1 <= RSTC ? 48'b0 : CEC ? C : c1;
    p1 <= RSTP ? 48'b0 : CEP ? sum : p1;
  end
endmodule
/* verilator lint_on WIDTH */
/* verilator lint_on UNUSED */
