// One DSP48E2 of a cascade: P = product + (RND at the head, PCIN behind it) + C. Four registers from a, b, d to p; c two
// later than they. PRE_ADD: (d - a) * b; else a * b. HEAD: the first of its cascade. USE_C: c is added (-x * 2^m of a word that
// was moved by 2^m to fit its port).
module mixq_slice #(
    parameter PRE_ADD = 0,
    parameter HEAD = 1,
    parameter USE_C = 0,
    parameter [47:0] RND = 0
) (
    input         clk,
    input  [26:0] a,
    input  [26:0] d,
    input  [17:0] b,
    input  [47:0] c,
    input  [47:0] pcin,
    output [47:0] pcout,
    output [47:0] p
);
  // W: 0, RND or C; Z: 0, PCIN or C; X and Y: the product
  localparam [8:0] MODE = HEAD != 0 ? (USE_C != 0 ? 9'b10_011_01_01 : 9'b10_000_01_01) :
                          USE_C != 0 ? 9'b11_001_01_01 : 9'b00_001_01_01;
  DSP48E2 #(
      .AMULTSEL(PRE_ADD != 0 ? "AD" : "A"),
      .AREG(PRE_ADD != 0 ? 1 : 2), .ACASCREG(PRE_ADD != 0 ? 1 : 2), .ADREG(PRE_ADD != 0 ? 1 : 0),
      .DREG(PRE_ADD != 0 ? 1 : 0), .BREG(2), .BCASCREG(2), .CREG(1), .MREG(1), .PREG(1), .INMODEREG(0),
      .OPMODEREG(0), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .USE_MULT("MULTIPLY"), .RND(RND)
  ) dsp (
      .CLK(clk), .A({{3{a[26]}}, a}), .B(b), .C(c), .D(d), .P(p), .PCOUT(pcout), .CARRYIN(1'b0),
      .CARRYINSEL(3'b0), .ALUMODE(4'b0), .INMODE(PRE_ADD != 0 ? 5'b01100 : 5'b00000), .OPMODE(MODE),
      .PCIN(pcin), .ACIN(30'b0), .BCIN(18'b0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0), .CEA1(1'b1),
      .CEA2(1'b1), .CEAD(1'b1), .CEALUMODE(1'b1), .CEB1(1'b1), .CEB2(1'b1), .CEC(1'b1), .CECARRYIN(1'b1),
      .CECTRL(1'b1), .CED(1'b1), .CEINMODE(1'b1), .CEM(1'b1), .CEP(1'b1), .RSTA(1'b0),
      .RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0), .RSTD(1'b0),
      .RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0)
  );
endmodule
