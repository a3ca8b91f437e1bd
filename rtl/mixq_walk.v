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
  localparam YO = OUT_ROWS + KERNEL, YI = IN_ROWS + PAD_TOP;
  localparam YW = $clog2((YO > YI ? YO : YI) + 1);  // any row number, padding included
  localparam FW = $clog2(ROOM + 1);
  localparam RW = $clog2(ROWS + 1);
  localparam AW = $clog2(ROWS + KERNEL + 1) + 1;
  // the words of a row are read from the first to the last
  localparam INORDER = STEPS_ROWS == 1 && STEPS_WORDS == WORDS && DEPTHWISE == 0;
  localparam ROW_WORDS = WORDS * BLOCKS;
  localparam LAST_FREED = IN_ROWS - (OUT_ROWS - 1 > PAD_TOP ? OUT_ROWS - 1 - PAD_TOP : 0);
  localparam NEEDED = KERNEL - PAD_TOP < IN_ROWS ? KERNEL - PAD_TOP : IN_ROWS;
  localparam TOP = (ROWS * KERNEL - PAD_TOP) % ROWS;  // slot of the row above the frame by PAD_TOP
  localparam ADVANCE = (IN_ROWS - OUT_ROWS + 1 + ROWS * (OUT_ROWS + 1)) % ROWS;

  reg [CW-1:0] word;
  reg [KW-1:0] krow;
  reg [BW-1:0] block;
  reg [GW-1:0] group;
  reg [YW-1:0] y, ky_later;  // y + krow * PORTS
  reg fresh, fresh_row, flushing;
  reg [ADDRESS-1:0] at, base;  // of the word, of the block
  reg [WEIGHTS-1:0] weight, weight_base;
  reg [SELECT-1:0] slot_later, top;  // of the first port's row
  reg signed [AW-1:0] ahead;  // rows in the ring beyond those that the next output row needs
  reg [RW-1:0] vacant;  // rows of the ring
  reg [FW-1:0] credit;

  wire [YW-1:0] ky = STEPS_ROWS == 1 ? y : ky_later;
  wire [SELECT-1:0] slot = STEPS_ROWS == 1 ? top : slot_later;
  assign room = vacant != 0;
  wire rows_ok = flushing || !fresh_row || !ahead[AW-1];
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

  // sums of few signals: a table each, then one adder
  localparam MORE = IN_ROWS + PAD_TOP > KERNEL ? IN_ROWS + PAD_TOP - KERNEL : 0;
  wire more = y < MORE;  // the next output row needs one row more
  reg [FW-1:0] credit_change;
  reg [RW-1:0] vacant_change;
  reg [AW-1:0] ahead_change;
  always @* begin
    case ({go && fresh, returned, released})
      3'b000: credit_change = 0;
      3'b001, 3'b010: credit_change = 1;
      3'b011: credit_change = 2;
      3'b100: credit_change = -BEATS;
      3'b101, 3'b110: credit_change = 1 - BEATS;
      default: credit_change = 2 - BEATS;
    endcase
    vacant_change = row_taken ? freed - 1'b1 : freed;
    case ({end_frame, end_row && more, row_done})
      3'b000, 3'b011: ahead_change = 0;
      3'b001: ahead_change = 1;
      3'b010: ahead_change = -1;
      3'b100, 3'b110: ahead_change = -NEEDED;
      default: ahead_change = 1 - NEEDED;
    endcase
  end

  always @(posedge clk) begin
    credit <= credit + credit_change;
    vacant <= vacant + vacant_change;
    ahead <= ahead + ahead_change;
    if (go) begin
      fresh <= last_step;
      word <= last_word ? {CW{1'b0}} : word + 1'b1;
      at <= at + 1'b1;
      weight <= weight + 1'b1;
      if (last_word) begin
        if (!INORDER) at <= base;
        krow <= last_krow ? {KW{1'b0}} : krow + 1'b1;
        slot_later <= later(slot, PORTS % ROWS);
        ky_later <= ky + PORTS[YW-1:0];
      end
    end
    if (end_block) begin
      fresh_row <= 1'b0;
      flushing <= 1'b0;
      slot_later <= top;
      ky_later <= y;
      block <= last_block ? {BW{1'b0}} : block + 1'b1;
      base <= next_base;
      if (!INORDER) at <= next_base;
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
      ky_later <= last_row ? {YW{1'b0}} : y + 1'b1;
      top <= next_top;
      slot_later <= next_top;
    end
    if (end_frame) begin
      flushing <= FLUSH != 0;
    end
    if (rst) begin
      word <= 0;
      krow <= 0;
      block <= 0;
      group <= 0;
      y <= 0;
      ky_later <= 0;
      fresh <= 1'b1;
      fresh_row <= 1'b1;
      flushing <= 1'b0;
      at <= 0;
      base <= 0;
      weight <= 0;
      weight_base <= 0;
      slot_later <= TOP[SELECT-1:0];
      top <= TOP[SELECT-1:0];
      ahead <= -NEEDED;
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
