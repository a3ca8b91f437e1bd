// Accumulators to codes by a binary search over thresholds: one bit a stage, the highest first. Free-running, a beat a cycle.
//
// lane = pixel * PE + p belongs to channel in_group * PE + p. Stage k compares with threshold number (code so far) of the
// 2^k of its channel: word (in_group << k) + code, TW bits, signed, of TABLE[(k * PE + p) * 32 * TW +: 32 * TW] in the first TABLES
// stages, of at most 32 words, and of FILE + "k_ppp.hex" in the others. TW >= ACC is even, and > ACC where a threshold lies above
// all accumulators. In block RAM two pixels share a memory (all of them the first stage's). The file "f_ppp.hex" says which
// channels are falling: their code is inverted.
// A stage of more than LUT_DEPTH words is in block RAM and takes two cycles, another one:
// latency = BITS + number of stages with GROUPS << k > LUT_DEPTH. SIGNED flips the highest bit of the code.
module mixq_requant_threshold #(
    parameter PE = 1,
    parameter LANES = 1,
    parameter ACC = 8,
    parameter TW = 9,
    parameter BITS = 2,
    parameter GROUPS = 1,
    parameter GW = 1,         // bits of in_group: at least 1
    parameter SIGNED = 0,
    parameter FALLING = 0,    // some channel is
    parameter LUT_DEPTH = 64,
    parameter FILE = "mem/none_",
    parameter TABLES = 0,
    parameter [(TABLES*PE+1)*32*TW-1:0] TABLE = 0
) (
    input clk,
    input rst,
    input in_valid,
    input [GW-1:0] in_group,
    input [LANES*ACC-1:0] in_acc,
    output out_valid,
    output [LANES*BITS-1:0] out_code
);
  // registers between stages; code k has k bits
  /* verilator lint_off UNUSED */
  wire [BITS:0] valid;
  wire [(BITS+1)*GW-1:0] group;
  wire [(BITS+1)*LANES*ACC-1:0] acc;
  wire [(BITS+1)*LANES*BITS-1:0] code;
  /* verilator lint_on UNUSED */
  assign valid[0] = in_valid;
  assign group[GW-1:0] = in_group;
  assign acc[LANES*ACC-1:0] = in_acc;
  assign code[LANES*BITS-1:0] = {LANES * BITS{1'b0}};
  assign out_valid = valid[BITS];
  assign out_code = code[BITS*LANES*BITS+:LANES*BITS];

  genvar k, l;
  generate
    for (k = 0; k < BITS; k = k + 1) begin : stage
      localparam [7:0] DK = 48 + k;
      localparam DEPTH = GROUPS << k;
      localparam BLOCK = DEPTH > LUT_DEPTH ? 1 : 0;
      localparam AW = GW + k;
      localparam RW = DEPTH > 1 ? $clog2(DEPTH) : 1;  // one less than AW where there is one group
      localparam LAST = k == BITS - 1 ? 1 : 0;
      // what is compared: this stage's input, or a cycle later while the ROM is read
      wire now_valid;
      wire [GW-1:0] now_group;
      wire [LANES*ACC-1:0] now_acc;
      /* verilator lint_off UNUSED */
      wire [LANES*BITS-1:0] now_code;
      /* verilator lint_on UNUSED */
      if (BLOCK != 0) begin : wait_rom
        reg w_valid;
        reg [GW-1:0] w_group;
        reg [LANES*ACC-1:0] w_acc;
        reg [LANES*BITS-1:0] w_code;
        always @(posedge clk) begin
          w_valid <= valid[k] && !rst;
          w_group <= group[k*GW+:GW];
          w_acc <= acc[k*LANES*ACC+:LANES*ACC];
          w_code <= code[k*LANES*BITS+:LANES*BITS];
        end
        assign now_valid = w_valid;
        assign now_group = w_group;
        assign now_acc = w_acc;
        assign now_code = w_code;
      end else begin : direct
        assign now_valid = valid[k];
        assign now_group = group[k*GW+:GW];
        assign now_acc = acc[k*LANES*ACC+:LANES*ACC];
        assign now_code = code[k*LANES*BITS+:LANES*BITS];
      end
      reg r_valid;
      reg [GW-1:0] r_group;
      reg [LANES*ACC-1:0] r_acc;
      always @(posedge clk) begin
        r_valid <= now_valid && !rst;
        r_group <= now_group;
        r_acc <= now_acc;
      end
      assign valid[k+1] = r_valid;
      assign group[(k+1)*GW+:GW] = r_group;
      assign acc[(k+1)*LANES*ACC+:LANES*ACC] = r_acc;

      /* verilator lint_off UNUSED */
      wire [LANES*AW-1:0] addrs;
      wire [LANES*TW-1:0] words;
      /* verilator lint_on UNUSED */
      for (l = 0; l < LANES; l = l + 1) begin : lane
        localparam P = l % PE;
        localparam PIXEL = l / PE;
        localparam [7:0] D2 = 48 + P / 100;
        localparam [7:0] D1 = 48 + P / 10 % 10;
        localparam [7:0] D0 = 48 + P % 10;
        if (k == 0) begin : root
          assign addrs[l*AW+:AW] = group[GW-1:0];
        end else begin : below
          assign addrs[l*AW+:AW] = {group[k*GW+:GW], code[(k*LANES+l)*BITS+:k]};
        end
        wire signed [ACC-1:0] x = now_acc[l*ACC+:ACC];
        wire signed [TW-1:0] wide = {{TW - ACC + 1{x[ACC-1]}}, x[ACC-2:0]};
        wire reached;
        if (k < TABLES) begin : in_luts
          /* verilator lint_off UNUSED */
          wire [AW+4:0] entry = {5'b0, addrs[l*AW+:AW]};
          /* verilator lint_on UNUSED */
          mixq_threshold #(
              .TW(TW), .AW(GROUPS > 1 ? AW : k), .TABLE(TABLE[(k*PE+P)*32*TW+:32*TW])
          ) compare (
              .x(wide), .addr(entry[4:0]), .reached(reached)
          );
        end else begin : in_rom
          if (BLOCK != 0 && k == 0 && PIXEL > 0) begin : same
            assign words[l*TW+:TW] = words[P*TW+:TW];
          end else if (BLOCK == 0 || k == 0 || (PIXEL % 2 == 0 && l + PE >= LANES)) begin : own
            mixq_rom #(
                .W(TW), .DEPTH(DEPTH), .AW(RW), .BLOCK(BLOCK), .FILE({FILE, DK, "_", D2, D1, D0, ".hex"})
            ) rom (
                .clk(clk), .addr(addrs[l*AW+:RW]), .q(words[l*TW+:TW])
            );
          end else if (PIXEL % 2 == 0) begin : shared
            mixq_rom_pair #(
                .W(TW), .DEPTH(DEPTH), .AW(RW), .FILE({FILE, DK, "_", D2, D1, D0, ".hex"})
            ) rom (
                .clk(clk), .addr_a(addrs[l*AW+:RW]), .addr_b(addrs[(l+PE)*AW+:RW]),
                .q_a(words[l*TW+:TW]), .q_b(words[(l+PE)*TW+:TW])
            );
          end
          assign reached = wide >= $signed(words[l*TW+:TW]);
        end
        wire [BITS-1:0] next;
        if (BITS == 1) begin : one
          assign next = reached;
        end else begin : more
          assign next = {now_code[l*BITS+:BITS-1], reached};
        end
        reg [BITS-1:0] r_code;
        if (LAST != 0) begin : last
          wire flip;
          if (FALLING != 0) begin : falling
            mixq_rom #(
                .W(1), .DEPTH(GROUPS), .AW(GW), .BLOCK(0), .FILE({FILE, "f_", D2, D1, D0, ".hex"})
            ) rom_f (
                .clk(clk), .addr(now_group), .q(flip)
            );
          end else begin : rising
            assign flip = 1'b0;
          end
          if (BITS == 1) begin : one
            always @(posedge clk) r_code <= next ^ flip ^ (SIGNED != 0);
          end else begin : more
            always @(posedge clk) r_code <= next ^ {BITS{flip}} ^ {SIGNED != 0, {BITS - 1{1'b0}}};
          end
        end else begin : inner
          always @(posedge clk) r_code <= next;
        end
        assign code[((k+1)*LANES+l)*BITS+:BITS] = r_code;
      end
    end
  endgenerate
  /* verilator lint_off UNUSED */
  wire unused = &{1'b0, group[BITS*GW+:GW], acc[BITS*LANES*ACC+:LANES*ACC]};
  /* verilator lint_on UNUSED */
endmodule
