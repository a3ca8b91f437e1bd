// The pixels of one output channel in beats of OUT_PIXELS. OFFSET = LEAD modulo OUT_PIXELS: that many pixels of a block
// end a beat that the block before has begun.
module mixq_pick #(
    parameter ACC = 8,
    parameter NPX = 1,
    parameter OUT_PIXELS = 1,
    parameter OFFSET = 0,
    parameter SLOT = 1
) (
    input                           clk,
    input                           strobe,  // pixels will be the next block's
    input      [         SLOT-1:0]  slot,
    input      [      NPX*ACC-1:0]  pixels,
    output reg [OUT_PIXELS*ACC-1:0] q
);
  localparam SLOTS = NPX / OUT_PIXELS;
  localparam HELD = OFFSET > 0 ? OUT_PIXELS - OFFSET : 0;
  wire [(NPX+HELD)*ACC-1:0] line;  // beats begin at multiples of OUT_PIXELS
  wire [OUT_PIXELS*ACC-1:0] picked;
  generate
    if (HELD == 0) begin : aligned
      assign line = pixels;
      wire unused = strobe;
    end else begin : shifted
      reg [HELD*ACC-1:0] held;
      always @(posedge clk) if (strobe) held <= pixels[(NPX-HELD)*ACC+:HELD*ACC];
      assign line = {pixels, held};
    end
  endgenerate
  mixq_select #(.WIDTH(OUT_PIXELS * ACC), .WAYS(SLOTS), .SELECT(SLOT)) pick (
      .way(slot), .d(line[NPX*ACC-1:0]), .q(picked)
  );
  generate
    if (HELD > 0) begin : rest
      wire unused = &{1'b0, line[NPX*ACC+:HELD*ACC]};
    end
  endgenerate
  always @(posedge clk) q <= picked;
endmodule
