// Accumulators to codes: clip((acc * inc + bias) >>> SHIFT, LOW, HIGH), R slices for LANES lanes, a beat in LANES / R cycles:
// the caller keeps beats at least that far apart. Channels and lanes as in mixq_requant_threshold.
//
// In cycle i of a beat slice r has lane i * R + r. Word group * PERIOD + i % PERIOD of FILE + "rrr.hex" is {bias, inc} of that
// lane's channel (BIAS_W and INC_W bits, signed); PERIOD cycles see all channels of a group. ACC <= 27 and INC_W <= 18
// (ACC_WIDE = 1) or ACC <= 18 and INC_W <= 27. P_BITS of the sum matter.
// latency = LANES / R + 5.
/* verilator lint_off UNUSED */  // high bits of 32-bit constants, low bits of P
module mixq_requant_affine #(
    parameter LANES = 1,
    parameter R = 1,
    parameter PERIOD = 1,
    parameter ACC = 8,
    parameter BITS = 4,
    parameter GROUPS = 1,
    parameter GW = 1,         // bits of in_group: at least 1
    parameter INC_W = 8,
    parameter BIAS_W = 16,
    parameter ACC_WIDE = 1,
    parameter SHIFT = 0,      // below P_BITS
    parameter P_BITS = 48,    // the rest of the sum repeats its sign
    parameter LOW = 0,
    parameter HIGH = 15,
    parameter BLOCK = 0,      // coefficients in block RAM
    parameter FILE = "mem/none_"
) (
    input clk,
    input rst,
    input in_valid,
    input [GW-1:0] in_group,
    input [LANES*ACC-1:0] in_acc,
    output out_valid,
    output [LANES*BITS-1:0] out_code
);
  localparam CYCLES = LANES / R;
  localparam CW = CYCLES > 1 ? $clog2(CYCLES) : 1;
  localparam DEPTH = GROUPS * PERIOD;
  localparam AW = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam QW = P_BITS - SHIFT;
  localparam XW = QW > BITS + 2 ? QW : BITS + 2;
  localparam signed [31:0] LOW_CODE = LOW, HIGH_CODE = HIGH;
  localparam DEPTH_STAGES = 5;  // from a lane in front of the slices to its code

  // the beat, shifted down R lanes a cycle, and the address of its coefficients
  reg [LANES*ACC-1:0] beat;
  reg busy;
  reg [CW-1:0] left;
  reg [AW-1:0] addr, base;
  reg [CW-1:0] phase;  // of PERIOD
  wire last = left == {CW{1'b0}};
  wire wrap = {{32 - CW{1'b0}}, phase} == PERIOD - 1;
  wire [31:0] first_addr = {{32 - GW{1'b0}}, in_group} * PERIOD;
  wire [31:0] last_cycle = CYCLES - 1;
  always @(posedge clk) begin
    if (in_valid) begin
      beat <= in_acc;
      left <= last_cycle[CW-1:0];
      addr <= first_addr[AW-1:0];
      base <= first_addr[AW-1:0];
      phase <= {CW{1'b0}};
    end else begin
      beat <= beat >> (R * ACC);
      left <= left - 1'b1;
      addr <= wrap ? base : addr + 1'b1;
      phase <= wrap ? {CW{1'b0}} : phase + 1'b1;
    end
    if (rst) busy <= 1'b0;
    else if (in_valid) busy <= 1'b1;
    else if (last) busy <= 1'b0;
  end

  // last lanes of a beat, beside the data
  reg [DEPTH_STAGES-1:0] done;
  always @(posedge clk) done <= rst ? {DEPTH_STAGES{1'b0}} : {done[DEPTH_STAGES-2:0], busy && last};
  assign out_valid = done[DEPTH_STAGES-1];

  wire [R*BITS-1:0] codes;
  genvar r;
  generate
    for (r = 0; r < R; r = r + 1) begin : slice
      localparam [7:0] D2 = 48 + r / 100;
      localparam [7:0] D1 = 48 + r / 10 % 10;
      localparam [7:0] D0 = 48 + r % 10;
      wire [BIAS_W+INC_W-1:0] word;
      mixq_rom #(
          .W(BIAS_W + INC_W), .DEPTH(DEPTH), .AW(AW), .BLOCK(BLOCK), .FILE({FILE, D2, D1, D0, ".hex"})
      ) rom (
          .clk(clk), .addr(addr), .q(word)
      );
      reg [BIAS_W+INC_W-1:0] coefficients;
      if (BLOCK != 0) begin : registered
        always @* coefficients = word;
      end else begin : unregistered
        always @(posedge clk) coefficients <= word;
      end
      reg signed [ACC-1:0] x;
      reg signed [BIAS_W-1:0] bias;
      always @(posedge clk) begin
        x <= beat[r*ACC+:ACC];
        bias <= coefficients[BIAS_W+INC_W-1:INC_W];
      end
      wire signed [INC_W-1:0] inc = coefficients[INC_W-1:0];
      /* verilator lint_off WIDTH */  // signs are repeated
      wire signed [29:0] dsp_a;
      wire signed [17:0] dsp_b;
      wire signed [47:0] dsp_c = bias;
      if (ACC_WIDE != 0) begin : acc_wide
        assign dsp_a = x;
        assign dsp_b = inc;
      end else begin : inc_wide
        assign dsp_a = inc;
        assign dsp_b = x;
      end
      /* verilator lint_on WIDTH */
      wire [47:0] p, pcout;
      DSP48E2 #(
          .AMULTSEL("A"), .AREG(1), .ACASCREG(1), .ADREG(0), .DREG(0), .BREG(1), .BCASCREG(1), .CREG(1), .MREG(1), .PREG(1),
          .INMODEREG(0), .OPMODEREG(0), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .USE_MULT("MULTIPLY")
      ) dsp (
          .CLK(clk), .A(dsp_a), .B(dsp_b), .C(dsp_c), .D(27'b0), .P(p), .PCOUT(pcout), .CARRYIN(1'b0), .CARRYINSEL(3'b0),
          .ALUMODE(4'b0), .INMODE(5'b0), .OPMODE(9'b00_011_01_01), .PCIN(48'b0), .ACIN(30'b0), .BCIN(18'b0),
          .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
          .CEA1(1'b1), .CEA2(1'b1), .CEAD(1'b1), .CEALUMODE(1'b1), .CEB1(1'b1), .CEB2(1'b1), .CEC(1'b1), .CECARRYIN(1'b1),
          .CECTRL(1'b1), .CED(1'b1), .CEINMODE(1'b1), .CEM(1'b1), .CEP(1'b1), .RSTA(1'b0), .RSTALLCARRYIN(1'b0),
          .RSTALUMODE(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0), .RSTD(1'b0), .RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0)
      );
      wire signed [QW-1:0] q = p[P_BITS-1:SHIFT];
      /* verilator lint_off WIDTH */
      wire signed [XW-1:0] wide = q;
      wire below = wide < $signed(LOW_CODE[BITS+1:0]);
      wire above = wide > $signed(HIGH_CODE[BITS+1:0]);
      /* verilator lint_on WIDTH */
      assign codes[r*BITS+:BITS] = below ? LOW_CODE[BITS-1:0] : above ? HIGH_CODE[BITS-1:0] : wide[BITS-1:0];
    end
    if (CYCLES == 1) begin : whole
      reg [LANES*BITS-1:0] out;
      always @(posedge clk) out <= codes;
      assign out_code = out;
    end else begin : gather
      reg [LANES*BITS-1:0] out;
      always @(posedge clk) out <= {codes, out[LANES*BITS-1:R*BITS]};
      assign out_code = out;
    end
  endgenerate
endmodule
