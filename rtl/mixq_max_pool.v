// Maximum over windows of K x K pixels, K = stride >= 2; rows and columns beyond the last whole window are dropped.
//
// In: GROUPS groups of CH channels, IN_H x IN_W pixels, PX a beat; PX = 1 or a multiple of K. Out: the same channels, a pixel
// a beat, or PX / K. A row of windows waits in a RAM for its K rows.
/* verilator lint_off UNUSED */  // high bits of 32-bit constants
module mixq_max_pool #(
    parameter CH = 1,
    parameter PX = 1,
    parameter BITS = 4,
    parameter SIGNED = 0,
    parameter K = 2,
    parameter GROUPS = 1,
    parameter IN_H = 4,
    parameter IN_W = 4,
    parameter OUT_PX = PX > 1 ? PX / K : 1  // do not set
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [PX*CH*BITS-1:0] in_data,
    output reg out_valid,
    input out_ready,
    output reg [OUT_PX*CH*BITS-1:0] out_data
);
  localparam OUT_W = IN_W / K;
  localparam IN_BEATS = (IN_W + PX - 1) / PX;
  localparam OUT_BEATS = (OUT_W + OUT_PX - 1) / OUT_PX;
  localparam LAST_PX = OUT_W - (OUT_BEATS - 1) * OUT_PX;  // pixels of a row's last beat
  localparam DEPTH = GROUPS * OUT_BEATS;
  localparam AW = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam W = OUT_PX * CH * BITS;
  localparam XW = $clog2(IN_BEATS + 1);
  localparam YW = $clog2(IN_H + 1);
  localparam GW = $clog2(GROUPS + 1);
  localparam KW = $clog2(K + 1);
  localparam [31:0] X_LAST = IN_BEATS - 1, Y_LAST = IN_H - 1, G_LAST = GROUPS - 1, K_LAST = K - 1;
  localparam [31:0] BEATS = OUT_BEATS, LAST_BEAT = OUT_BEATS - 1;

  function [BITS-1:0] larger(input [BITS-1:0] a, input [BITS-1:0] b);
    larger = (SIGNED != 0 ? $signed(a) > $signed(b) : a > b) ? a : b;
  endfunction

  // where the next beat belongs
  reg [XW-1:0] x, out_x;
  reg [YW-1:0] y;
  reg [GW-1:0] g;
  reg [KW-1:0] kx, ky;
  reg [AW-1:0] addr;
  wire x_last = x == X_LAST[XW-1:0], g_last = g == G_LAST[GW-1:0], y_last = y == Y_LAST[YW-1:0];
  wire kx_last = PX > 1 || kx == K_LAST[KW-1:0], ky_last = ky == K_LAST[KW-1:0];
  wire take = in_valid && in_ready;
  // a row of a window is whole
  wire whole = kx_last && out_x != BEATS[XW-1:0];  // rows past the last window never end one
  always @(posedge clk)
    if (rst) begin
      x <= {XW{1'b0}};
      out_x <= {XW{1'b0}};
      y <= {YW{1'b0}};
      g <= {GW{1'b0}};
      kx <= {KW{1'b0}};
      ky <= {KW{1'b0}};
      addr <= {AW{1'b0}};
    end else if (take) begin
      x <= x_last ? {XW{1'b0}} : x + 1'b1;
      kx <= x_last || kx_last ? {KW{1'b0}} : kx + 1'b1;
      if (x_last) out_x <= {XW{1'b0}};
      else if (whole) out_x <= out_x + 1'b1;
      if (x_last && g_last) addr <= {AW{1'b0}};
      else if (whole) addr <= addr + 1'b1;
      if (x_last) begin
        g <= g_last ? {GW{1'b0}} : g + 1'b1;
        if (g_last) begin
          y <= y_last ? {YW{1'b0}} : y + 1'b1;
          ky <= y_last || ky_last ? {KW{1'b0}} : ky + 1'b1;
        end
      end
    end

  // along the row
  wire [W-1:0] row;
  genvar p, c;
  generate
    if (PX == 1) begin : one_pixel
      reg [W-1:0] best;
      for (c = 0; c < CH; c = c + 1) begin : channel
        assign row[c*BITS+:BITS] = kx == {KW{1'b0}} ? in_data[c*BITS+:BITS] :
            larger(best[c*BITS+:BITS], in_data[c*BITS+:BITS]);
      end
      always @(posedge clk) if (take) best <= row;
    end else begin : pixels
      for (p = 0; p < OUT_PX; p = p + 1) begin : pixel
        for (c = 0; c < CH; c = c + 1) begin : channel
          reg [BITS-1:0] best;
          integer i;
          always @* begin
            best = in_data[p*K*CH*BITS+c*BITS+:BITS];
            for (i = 1; i < K; i = i + 1) best = larger(best, in_data[((p*K+i)*CH+c)*BITS+:BITS]);
          end
          if (p < LAST_PX) begin : kept
            assign row[(p*CH+c)*BITS+:BITS] = best;
          end else begin : beyond  // of the row's last beat
            assign row[(p*CH+c)*BITS+:BITS] = out_x == LAST_BEAT[XW-1:0] ? {BITS{1'b0}} : best;
          end
        end
      end
    end
  endgenerate

  // over the rows: the RAM is read while the beat is registered
  reg held, held_first, held_last;
  reg [W-1:0] held_row;
  reg [AW-1:0] held_addr;
  wire move = held && (!held_last || out_ready || !out_valid);
  assign in_ready = DEPTH > 1 ? !held || move : !held;  // one word: written before it is read
  wire [W-1:0] stored, best_row;
  generate
    for (c = 0; c < OUT_PX * CH; c = c + 1) begin : code
      assign best_row[c*BITS+:BITS] = held_first ? held_row[c*BITS+:BITS] :
          larger(held_row[c*BITS+:BITS], stored[c*BITS+:BITS]);
    end
  endgenerate
  mixq_ram #(
      .W(W), .DEPTH(DEPTH), .AW(AW), .BLOCK(DEPTH > 64 ? 1 : 0)
  ) rows (
      .clk(clk), .w_en(move && !held_last), .w_addr(held_addr), .w_data(best_row), .r_en(take && whole), .r_addr(addr),
      .q(stored)
  );
  always @(posedge clk) begin
    if (take && whole) begin
      held_row <= row;
      held_addr <= addr;
      held_first <= ky == {KW{1'b0}};
      held_last <= ky_last;
    end
    if (move && held_last) out_data <= best_row;
    if (rst) begin
      held <= 1'b0;
      out_valid <= 1'b0;
    end else begin
      if (take && whole) held <= 1'b1;
      else if (move) held <= 1'b0;
      if (move && held_last) out_valid <= 1'b1;
      else if (out_ready) out_valid <= 1'b0;
    end
  end
endmodule
