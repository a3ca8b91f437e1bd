// The rows that a layer is looking at: beats of a stream in, words of one block of pixels out.
//
// A word is WORD_PIXELS pixels of the channels that are multiplied together; it stands at block*WORDS + word of its row.
// BANKS groups of the stream side by side make a word, or a group falls into PARTS words, one a cycle. Any order within a
// row is fine, so beats are only put beside each other. PORTS > 1: a memory per row of the ring and PORTS rows read at
// once; PORTS = 1: the row is part of the address. Reading takes two cycles: memory, then row select and zero.
/* verilator lint_off WIDTH */  // parameters are 32 bits wide
module mixq_ring #(
    parameter BITS = 8,
    parameter IN_CHANNELS = 1,  // of a beat
    parameter IN_PIXELS = 1,
    parameter WORD_PIXELS = 1,  // a multiple of IN_PIXELS
    parameter BEATS = 1,  // of a row of one channel group
    parameter GROUPS = 1,  // of a row of the stream
    parameter BANKS = 1,
    parameter PARTS = 1,
    parameter WORDS = 1,  // of a block
    parameter BLOCKS = 1,  // of a row
    parameter ROWS = 4,  // of the ring
    parameter PORTS = 3,
    parameter RAM = "block",
    parameter ADDRESS = 8,  // bits
    parameter SELECT = 2,  // bits of a row's number
    // derived
    parameter BEAT = IN_CHANNELS * IN_PIXELS * BITS,
    parameter BANK = WORD_PIXELS * (IN_CHANNELS / PARTS) * BITS,
    parameter WORD = BANKS * BANK
) (
    input                           clk,
    input                           rst,
    input                           s_valid,
    output                          s_ready,
    input      [          BEAT-1:0] s_data,
    input                           room,      // for one row more
    output                          row_taken,  // its last beat is here
    output                          row_done,   // and can be read
    input      [       ADDRESS-1:0] r_address,
    input      [PORTS*SELECT-1:0]   r_select,  // PORTS > 1
    input      [         PORTS-1:0] r_zero,
    output reg [    PORTS*WORD-1:0] r_data
);
  localparam GATHER = WORD_PIXELS / IN_PIXELS;
  localparam DEPTH = WORDS * BLOCKS * (PORTS > 1 ? 1 : ROWS);
  localparam CHANNELS = IN_CHANNELS / PARTS;
  localparam BW = BEATS > 1 ? $clog2(BEATS) : 1;
  localparam GW = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam HW = GATHER > 1 ? $clog2(GATHER) : 1;
  localparam KW = BANKS > 1 ? $clog2(BANKS) : 1;
  localparam PW = PARTS > 1 ? $clog2(PARTS) : 1;
  genvar i, j;

  // ---- gathering ----
  reg [BW-1:0] beat;
  reg [GW-1:0] group;
  reg [HW-1:0] position;
  reg [KW-1:0] bank;
  reg [SELECT-1:0] row;
  reg [ADDRESS-1:0] base, column, at;  // of the row, of the word in its block, of the block
  wire accept = s_valid && s_ready;
  wire last_beat = beat == BEATS[BW:0] - 1;
  wire last_group = group == GROUPS[GW:0] - 1;
  wire last_bank = bank == BANKS[KW:0] - 1;
  wire complete = last_beat || position == GATHER[HW:0] - 1;
  wire last_row = row == ROWS[SELECT:0] - 1;
  wire [ADDRESS-1:0] next_base = PORTS > 1 || last_row ? {ADDRESS{1'b0}} : base + WORDS[ADDRESS-1:0] * BLOCKS[ADDRESS-1:0];
  wire [ADDRESS-1:0] next_column = last_bank ? column + PARTS[ADDRESS-1:0] : column;
  reg [GATHER*BEAT-1:0] gathered;
  reg full, full_ends;  // gathered is a block; the last of its row
  reg [ADDRESS-1:0] full_at;
  reg [SELECT-1:0] full_row;
  reg [KW-1:0] full_bank;
  wire take;  // gathered is written, or moves on
  assign s_ready = room && !(full && !take);
  assign row_taken = accept && last_beat && last_group;
  always @(posedge clk) begin
    if (take) full <= 1'b0;
    if (accept) begin
      beat <= last_beat ? {BW{1'b0}} : beat + 1'b1;
      position <= complete ? {HW{1'b0}} : position + 1'b1;
      full <= complete;
      full_ends <= last_beat && last_group;
      full_at <= at;
      full_row <= row;
      full_bank <= bank;
      if (complete) at <= at + WORDS[ADDRESS-1:0];
      if (last_beat) begin
        group <= last_group ? {GW{1'b0}} : group + 1'b1;
        bank <= last_bank || last_group ? {KW{1'b0}} : bank + 1'b1;
        column <= next_column;
        at <= base + next_column;
        if (last_group) begin
          row <= last_row ? {SELECT{1'b0}} : row + 1'b1;
          base <= next_base;
          column <= {ADDRESS{1'b0}};
          at <= next_base;
        end
      end
    end
    if (rst) begin
      beat <= 0;
      group <= 0;
      position <= 0;
      bank <= 0;
      row <= 0;
      base <= 0;
      column <= 0;
      at <= 0;
      full <= 1'b0;
    end
  end
  generate
    for (i = 0; i < GATHER; i = i + 1) begin : place
      // a short last block is filled up with zero pixels
      always @(posedge clk)
        if (accept) begin
          if (position == i[HW-1:0]) gathered[i*BEAT+:BEAT] <= s_data;
          else if (position == 0) gathered[i*BEAT+:BEAT] <= {BEAT{1'b0}};
        end
    end
  endgenerate

  // ---- writing ----
  wire w_enable, w_ends;
  wire [ADDRESS-1:0] w_address;
  wire [SELECT-1:0] w_row;
  wire [KW-1:0] w_bank;
  wire [BANK-1:0] w_data;
  wire done = w_enable && w_ends;
  reg done_later;
  always @(posedge clk) done_later <= done && !rst;
  assign row_done = done_later;
  generate
    if (PARTS == 1) begin : whole
      assign take = 1'b1;
      assign w_enable = full;
      assign w_ends = full_ends;
      assign w_address = full_at;
      assign w_row = full_row;
      assign w_bank = full_bank;
      assign w_data = gathered;
    end else begin : parts
      reg busy, ends;
      reg [PW-1:0] part;
      reg [GATHER*BEAT-1:0] held;
      reg [ADDRESS-1:0] address;
      reg [SELECT-1:0] held_row;
      wire last = part == PARTS[PW:0] - 1;
      wire [PARTS*BANK-1:0] words;
      assign take = !busy || last;
      assign w_enable = busy;
      assign w_ends = ends && last;
      assign w_address = address;
      assign w_row = held_row;
      assign w_bank = full_bank & {KW{1'b0}};
      always @(posedge clk) begin
        if (take) begin
          busy <= full && !rst;
          held <= gathered;
          address <= full_at;
          held_row <= full_row;
          ends <= full_ends;
          part <= 0;
        end else begin
          address <= address + 1'b1;
          part <= part + 1'b1;
        end
        if (rst) busy <= 1'b0;
      end
      for (i = 0; i < PARTS; i = i + 1) begin : word
        for (j = 0; j < WORD_PIXELS; j = j + 1) begin : pixel
          assign words[i*BANK+j*CHANNELS*BITS+:CHANNELS*BITS] = held[(j*IN_CHANNELS+i*CHANNELS)*BITS+:CHANNELS*BITS];
        end
      end
      mixq_select #(.WIDTH(BANK), .WAYS(PARTS), .SELECT(PW)) pick (.way(part), .d(words), .q(w_data));
    end
  endgenerate

  // ---- reading ----
  reg [PORTS-1:0] zero;
  reg [PORTS*SELECT-1:0] select;
  always @(posedge clk) begin
    zero <= r_zero;
    select <= r_select;
  end
  generate
    if (PORTS == 1) begin : one
      wire [WORD-1:0] q;
      for (i = 0; i < BANKS; i = i + 1) begin : banks
        mixq_bank #(.WIDTH(BANK), .DEPTH(DEPTH), .ADDRESS(ADDRESS), .RAM(RAM)) ram (
            .clk(clk), .w_enable(w_enable && w_bank == i[KW-1:0]), .w_address(w_address), .w_data(w_data),
            .r_address(r_address), .r_data(q[i*BANK+:BANK])
        );
      end
      always @(posedge clk) r_data <= zero[0] ? {WORD{1'b0}} : q;
      wire unused = &{1'b0, w_row, select};
    end else begin : several
      wire [ROWS*WORD-1:0] q;
      for (j = 0; j < ROWS; j = j + 1) begin : rows
        for (i = 0; i < BANKS; i = i + 1) begin : banks
          mixq_bank #(.WIDTH(BANK), .DEPTH(DEPTH), .ADDRESS(ADDRESS), .RAM(RAM)) ram (
              .clk(clk), .w_enable(w_enable && w_bank == i[KW-1:0] && w_row == j[SELECT-1:0]), .w_address(w_address),
              .w_data(w_data), .r_address(r_address), .r_data(q[j*WORD+i*BANK+:BANK])
          );
        end
      end
      for (i = 0; i < PORTS; i = i + 1) begin : ports
        wire [WORD-1:0] picked;
        mixq_select #(.WIDTH(WORD), .WAYS(ROWS), .SELECT(SELECT)) pick (
            .way(select[i*SELECT+:SELECT]), .d(q), .q(picked)
        );
        always @(posedge clk) r_data[i*WORD+:WORD] <= zero[i] ? {WORD{1'b0}} : picked;
      end
    end
  endgenerate
endmodule
/* verilator lint_on WIDTH */
