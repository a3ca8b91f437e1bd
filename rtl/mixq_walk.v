// The order of a layer: for row, output group, block, kernel row, word of channels: one step a cycle.
//
// A block starts when the rows it reads are in the ring and the queue behind the layer has room for its beats (credit);
// nothing stops it then. After the last block of a frame, FLUSH walks one block more whose products do not count.
// tag, as long as the step's addresses: {flush, start of frame, first block of a row, last step, first step}; only the last
// step's upper three matter.
/* verilator lint_off WIDTH */  // parameters are 32 bits wide
/* verilator lint_off UNSIGNED */  // padding may be 0
module mixq_walk #(
    parameter OUT_ROWS = 1,
    parameter GROUPS = 1,  // of output channels
    parameter BLOCKS = 1,  // of a row
    parameter STEPS_ROWS = 1,  // kernel_h / PORTS
    parameter STEPS_WORDS = 1,  // words of channels of a block that are summed
    parameter WORDS = 1,  // words of a block in the ring
    parameter DEPTHWISE = 0,  // a group reads its own word
    parameter PORTS = 1,  // kernel rows at once
    parameter KERNEL = 1,  // rows
    parameter PAD_TOP = 0,
    parameter IN_ROWS = 1,
    parameter ROWS = 2,  // of the ring
    parameter FLUSH = 0,
    parameter BEATS = 1,  // that a block reserves
    parameter ROOM = 16,  // of the queue
    parameter ADDRESS = 8,
    parameter SELECT = 1,
    parameter WEIGHTS = 1  // address bits of the weight memories
) (
    input                           clk,
    input                           rst,
    input                           row_taken,  // the ring has one row less to give
    input                           row_done,  // and one more to read
    output                          room,      // for a row
    input                           returned,  // two ways that a beat's credit comes back
    input                           released,
    output reg [       ADDRESS-1:0] r_address,
    output reg [PORTS*SELECT-1:0]   r_select,
    output reg [         PORTS-1:0] r_zero,
    output reg [       WEIGHTS-1:0] w_address,
    output reg [               4:0] tag
);
  localparam CW = STEPS_WORDS > 1 ? $clog2(STEPS_WORDS) : 1;
  localparam KW = STEPS_ROWS > 1 ? $clog2(STEPS_ROWS) : 1;
  localparam BW = BLOCKS > 1 ? $clog2(BLOCKS) : 1;
  localparam GW = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam YW = $clog2(OUT_ROWS + IN_ROWS + 2 * KERNEL + 1) + 1;  // any row number, padding included
  localparam FW = $clog2(ROOM + 1) + 1;
  localparam RW = $clog2(ROWS + 1) + 1;
  localparam ROW_WORDS = WORDS * BLOCKS;
  localparam LAST_FREED = IN_ROWS - (OUT_ROWS - 1 > PAD_TOP ? OUT_ROWS - 1 - PAD_TOP : 0);
  localparam NEEDED = KERNEL - PAD_TOP < IN_ROWS ? KERNEL - PAD_TOP : IN_ROWS;
  localparam TOP = (ROWS * KERNEL - PAD_TOP) % ROWS;  // slot of the row above the frame by PAD_TOP
  localparam ADVANCE = (IN_ROWS - OUT_ROWS + 1 + ROWS * (OUT_ROWS + 1)) % ROWS;

  reg [CW-1:0] word;
  reg [KW-1:0] krow;
  reg [BW-1:0] block;
  reg [GW-1:0] group;
  reg [YW-1:0] y, ky;  // ky: y + krow * PORTS
  reg fresh, fresh_row, flushing;
  reg [ADDRESS-1:0] at, base;  // of the word, of the block
  reg [WEIGHTS-1:0] weight, weight_base;
  reg [SELECT-1:0] slot, top;  // of the first port's row
  reg [YW-1:0] have, needed;  // rows of this frame
  reg [RW-1:0] vacant;  // rows of the ring
  reg [FW-1:0] credit;

  assign room = vacant != 0;
  wire rows_ok = flushing || !fresh_row || have >= needed;
  wire go = !fresh || (rows_ok && credit >= BEATS[FW-1:0]);
  wire last_word = word == STEPS_WORDS[CW:0] - 1;
  wire last_krow = krow == STEPS_ROWS[KW:0] - 1;
  wire last_step = last_word && last_krow;
  wire last_block = block == BLOCKS[BW:0] - 1 || flushing;
  wire last_group = group == GROUPS[GW:0] - 1;
  wire last_row = y == OUT_ROWS[YW-1:0] - 1'b1;
  wire end_block = go && last_step;
  wire end_group = end_block && last_block && !flushing;
  wire end_row = end_group && last_group;
  wire end_frame = end_row && last_row;

  /* verilator lint_off UNUSED */
  function [SELECT-1:0] later(input [SELECT-1:0] from, input integer by);  // by < ROWS
    reg [SELECT:0] sum;
    begin
      sum = {1'b0, from} + by[SELECT:0];
      if (sum >= ROWS[SELECT:0]) sum = sum - ROWS[SELECT:0];
      later = sum[SELECT-1:0];
    end
  endfunction
  /* verilator lint_on UNUSED */
  function [ADDRESS-1:0] row_base(input [SELECT-1:0] row);
    integer k;
    begin
      row_base = {ADDRESS{1'b0}};
      for (k = 1; k < ROWS; k = k + 1) if (row == k[SELECT-1:0]) row_base = k * ROW_WORDS;
    end
  endfunction
  wire [ADDRESS-1:0] group_base = DEPTHWISE != 0 && !last_group ? {{ADDRESS - GW{1'b0}}, group} + 1'b1 : {ADDRESS{1'b0}};
  wire [ADDRESS-1:0] next_base = base + WORDS[ADDRESS-1:0];
  wire [SELECT-1:0] next_top = last_row ? later(top, ADVANCE) : later(top, 1 % ROWS);
  wire [RW-1:0] freed = !end_row ? {RW{1'b0}} : last_row ? LAST_FREED[RW-1:0] : y >= PAD_TOP[YW-1:0] ? {{RW - 1{1'b0}}, 1'b1} : {RW{1'b0}};

  always @(posedge clk) begin
    credit <= credit - (go && fresh ? BEATS[FW-1:0] : {FW{1'b0}}) + {{FW - 1{1'b0}}, returned} + {{FW - 1{1'b0}}, released};
    vacant <= vacant + freed - {{RW - 1{1'b0}}, row_taken};
    have <= have + {{YW - 1{1'b0}}, row_done} - (end_frame ? IN_ROWS[YW-1:0] : {YW{1'b0}});
    if (go) begin
      fresh <= last_step;
      word <= last_word ? {CW{1'b0}} : word + 1'b1;
      at <= at + 1'b1;
      weight <= weight + 1'b1;
      if (last_word) begin
        at <= base;
        krow <= last_krow ? {KW{1'b0}} : krow + 1'b1;
        slot <= later(slot, PORTS % ROWS);
        ky <= ky + PORTS[YW-1:0];
      end
    end
    if (end_block) begin
      fresh_row <= 1'b0;
      flushing <= 1'b0;
      slot <= top;
      ky <= y;
      block <= last_block ? {BW{1'b0}} : block + 1'b1;
      base <= next_base;
      at <= next_base;
      weight <= weight_base;
      if (flushing) begin
        fresh_row <= 1'b1;
        base <= {ADDRESS{1'b0}};
        at <= {ADDRESS{1'b0}};
      end
    end
    if (end_group) begin
      group <= last_group ? {GW{1'b0}} : group + 1'b1;
      base <= group_base;
      at <= group_base;
      weight <= last_group ? {WEIGHTS{1'b0}} : weight + 1'b1;
      weight_base <= last_group ? {WEIGHTS{1'b0}} : weight + 1'b1;
    end
    if (end_row) begin
      fresh_row <= 1'b1;
      y <= last_row ? {YW{1'b0}} : y + 1'b1;
      ky <= last_row ? {YW{1'b0}} : y + 1'b1;
      top <= next_top;
      slot <= next_top;
      if (needed != IN_ROWS[YW-1:0]) needed <= needed + 1'b1;
    end
    if (end_frame) begin
      needed <= NEEDED[YW-1:0];
      flushing <= FLUSH != 0;
    end
    if (rst) begin
      word <= 0;
      krow <= 0;
      block <= 0;
      group <= 0;
      y <= 0;
      ky <= 0;
      fresh <= 1'b1;
      fresh_row <= 1'b1;
      flushing <= 1'b0;
      at <= 0;
      base <= 0;
      weight <= 0;
      weight_base <= 0;
      slot <= TOP[SELECT-1:0];
      top <= TOP[SELECT-1:0];
      have <= 0;
      needed <= NEEDED[YW-1:0];
      vacant <= ROWS[RW-1:0];
      credit <= ROOM[FW-1:0];
    end
  end

  // ---- the step's addresses ----
  always @(posedge clk) begin
    r_address <= PORTS == 1 ? at + row_base(slot) : at;
    w_address <= weight;
    tag <= rst || !go ? 5'b0 :
        {flushing, y == 0 && group == 0 && block == 0 && !flushing, block == 0 || flushing, last_step, fresh};
  end
  genvar p;
  generate
    for (p = 0; p < PORTS; p = p + 1) begin : ports
      localparam [YW-1:0] AT = p, FROM = PAD_TOP, TO = IN_ROWS + PAD_TOP;
      wire [YW-1:0] row = ky + AT;
      always @(posedge clk) begin
        r_select[p*SELECT+:SELECT] <= later(slot, p % ROWS);
        r_zero[p] <= row < FROM || row >= TO;
      end
    end
  endgenerate
endmodule
/* verilator lint_on UNSIGNED */
/* verilator lint_on WIDTH */
