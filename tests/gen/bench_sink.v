// A sink of the units' benches: writes what it takes, and a line "protocol" when an offer is changed or withdrawn.
/* verilator lint_off WIDTH */
/* verilator lint_off UNUSED */
/* verilator lint_off UNSIGNED */
/* verilator lint_off BLKSEQ */
module bench_sink #(
    parameter W = 8, COUNT = 1, STALL = 64, SEED = 1,
    parameter FILE = "out.hex"
) (
    input clk, rst, valid,
    output reg ready,
    input [W-1:0] data,
    output done
);
  integer file;
  reg [31:0] taken, random;
  reg waiting;
  reg [W-1:0] offered;
  initial file = $fopen(FILE, "w");
  assign done = taken >= COUNT;
  always @(posedge clk) begin
    random <= rst ? SEED * 32'd2246822519 + 32'd54321 : {random[30:0], random[31] ^ random[21] ^ random[1] ^ random[0]};
    ready <= !rst && {24'b0, random[12:5]} >= STALL;
    if (rst) begin
      taken <= 0;
      waiting <= 1'b0;
    end else begin
      if (waiting && (!valid || data !== offered)) $fdisplay(file, "protocol");
      if (valid !== 1'b0 && ready) begin
        $fdisplay(file, "%h", data);
        taken <= taken + 1;
      end
      waiting <= valid && !ready;
      offered <= data;
    end
  end
endmodule
