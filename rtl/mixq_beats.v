// When a block's pixels leave: NPX / OUT_PIXELS slots of SPACING cycles behind every strobe.
//
// The first PRE slots of a row's first block complete the row before. A slot before the first row, behind the last one or
// past the row's BEATS is not a beat: its credit comes back at once. group: output group of the beat; last: of its row.
/* verilator lint_off UNSIGNED */  // PRE may be 0
/* verilator lint_off WIDTH */  // parameters are 32 bits wide
module mixq_beats #(
    parameter SLOTS = 1,  // of a block
    parameter SPACING = 1,
    parameter PRE = 0,
    parameter ROW = 1,  // slots of a row
    parameter BEATS = 1,  // of a row
    parameter GROUPS = 1,
    parameter GROUP = 1,  // bits
    parameter SLOT = 1  // bits
) (
    input                  clk,
    input                  rst,
    input                  strobe,  // the accumulators are complete
    input                  start,
    input                  flush,
    output     [ SLOT-1:0] slot,    // a cycle after strobe and on: which pixels are taken
    output reg             valid,   // another cycle later
    output reg             last,
    output reg [GROUP-1:0] group,
    output reg             released
);
  localparam XW = ROW > 1 ? $clog2(ROW) : 1;
  localparam WW = SPACING > 1 ? $clog2(SPACING) : 1;
  reg busy, starting, flushing;
  reg [SLOT-1:0] at;
  reg [WW-1:0] wait_for;
  reg [XW-1:0] x;
  reg [GROUP-1:0] row_group;
  wire now = busy && wait_for == 0;
  wire last_slot = at == SLOTS[SLOT:0] - 1;
  wire pre = {1'b0, at} < PRE[SLOT:0];
  wire in_row = now && (pre ? !starting : !flushing);
  wire end_row = x == ROW[XW:0] - 1;
  wire beat = {1'b0, x} < BEATS[XW:0];
  assign slot = at;
  always @(posedge clk) begin
    if (busy) wait_for <= wait_for == 0 ? SPACING[WW:0] - 1 : wait_for - 1'b1;
    if (now) begin
      at <= at + 1'b1;
      if (last_slot) busy <= 1'b0;
    end
    if (in_row) begin
      x <= end_row ? {XW{1'b0}} : x + 1'b1;
      if (end_row) row_group <= row_group == GROUPS[GROUP:0] - 1 ? {GROUP{1'b0}} : row_group + 1'b1;
    end
    if (strobe) begin
      busy <= 1'b1;
      at <= {SLOT{1'b0}};
      wait_for <= {WW{1'b0}};
      starting <= start;
      flushing <= flush;
    end
    valid <= in_row && beat;
    released <= now && !(in_row && beat);
    last <= x == BEATS[XW:0] - 1;
    group <= row_group;
    if (rst) begin
      busy <= 1'b0;
      x <= {XW{1'b0}};
      row_group <= {GROUP{1'b0}};
      valid <= 1'b0;
      released <= 1'b0;
    end
  end
endmodule
/* verilator lint_on WIDTH */
/* verilator lint_on UNSIGNED */
