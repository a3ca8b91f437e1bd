// mixq_tap - writes what goes over a stream to taps/NAME.hex, one transfer a line, and watches the handshake:
// valid, once up, stays up with its data until ready. Simulation only, behind MIXQ_TAPS; +record=F frames.
module mixq_tap #(
    parameter W = 8,
    parameter BEATS = 1,   // of a frame
    parameter NAME = "tap"
) (
    input clk,
    input rst,
    input valid,
    input ready,
    input [W-1:0] data
);
  integer file, frames, beats;
  reg waiting;
  reg [W-1:0] kept;
  initial begin
    frames = 1;
    if (!$value$plusargs("record=%d", frames)) frames = 1;
    beats = 0;
    waiting = 0;
    kept = 0;
    file = $fopen({"taps/", NAME, ".hex"}, "w");
  end
  always @(posedge clk) begin
    if (rst) waiting <= 0;
    else begin
      if (waiting && !valid) $display("protocol: %s: valid fell before ready", NAME);
      if (waiting && valid && data !== kept) $display("protocol: %s: data changed before ready", NAME);
      waiting <= valid && !ready;
      kept <= data;
      if (valid && ready && beats < frames * BEATS) begin
        $fwrite(file, "%h\n", data);
        beats <= beats + 1;
      end
    end
  end
endmodule
