// A source of the units' benches: the beats of a file in order, with pauses (STALL of 256 cycles, at least GAP - 1 after a
// beat). It does not wait for ready and keeps its data.
/* verilator lint_off WIDTH */
/* verilator lint_off UNUSED */
/* verilator lint_off UNSIGNED */
/* verilator lint_off BLKSEQ */
module bench_source #(
    parameter W = 8, COUNT = 1, STALL = 64, GAP = 1, SEED = 1,
    parameter FILE = "in.hex"
) (
    input clk, rst, ready,
    output reg valid,
    output [W-1:0] data
);
  reg [W-1:0] beats[0:COUNT-1];
  reg [31:0] next, wait_left, random;
  initial $readmemh(FILE, beats);
  assign data = valid ? beats[next] : {W{1'b1}};
  wire taken = valid && ready;
  wire [31:0] after = taken ? next + 1 : next;
  wire [31:0] gap = taken ? GAP - 1 : wait_left;
  always @(posedge clk) begin
    random <= rst ? SEED * 32'd2654435761 + 32'd12345 : {random[30:0], random[31] ^ random[21] ^ random[1] ^ random[0]};
    if (rst) begin
      valid <= 1'b0;
      next <= 0;
      wait_left <= 0;
    end else begin
      next <= after;
      wait_left <= gap != 0 ? gap - 1 : 0;
      if (taken || !valid) valid <= after < COUNT && gap == 0 && {24'b0, random[10:3]} >= STALL;
    end
  end
endmodule
