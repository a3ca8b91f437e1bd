// A FIFO of at least DEPTH beats: registers for 0 and 1, LUT RAM up to LUT_DEPTH beats, else block RAM. in_ready is a register's
// output; a beat leaves two cycles after it came (registers: one), one a cycle.
module mixq_fifo #(
    parameter W = 8,
    parameter DEPTH = 0,
    parameter LUT_DEPTH = 64
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [W-1:0] out_data
);
  generate
    if (DEPTH < 2) begin : registers
      mixq_skid #(
          .W(W)
      ) skid (
          .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
          .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data)
      );
    end else begin : memory
      localparam AW = $clog2(DEPTH);
      localparam CW = $clog2(DEPTH + 1);
      /* verilator lint_off WIDTH */
      localparam [AW-1:0] LAST = DEPTH - 1;
      localparam [CW-1:0] FULL = DEPTH;
      /* verilator lint_on WIDTH */
      // the RAM's read register is the place in front of the output
      reg [AW-1:0] w_addr, r_addr;
      reg [CW-1:0] used;
      reg full, shown;
      assign in_ready = !full;
      assign out_valid = shown;
      wire put = in_valid && !full;
      wire get = used != {CW{1'b0}} && (out_ready || !shown);
      wire [CW-1:0] next = put == get ? used : put ? used + 1'b1 : used - 1'b1;
      always @(posedge clk)
        if (rst) begin
          w_addr <= {AW{1'b0}};
          r_addr <= {AW{1'b0}};
          used <= {CW{1'b0}};
          full <= 1'b0;
          shown <= 1'b0;
        end else begin
          if (put) w_addr <= w_addr == LAST ? {AW{1'b0}} : w_addr + 1'b1;
          if (get) r_addr <= r_addr == LAST ? {AW{1'b0}} : r_addr + 1'b1;
          used <= next;
          full <= next == FULL;
          if (get) shown <= 1'b1;
          else if (out_ready) shown <= 1'b0;
        end
      mixq_ram #(
          .W(W), .DEPTH(DEPTH), .AW(AW), .BLOCK(DEPTH > LUT_DEPTH ? 1 : 0)
      ) ram (
          .clk(clk), .w_en(put), .w_addr(w_addr), .w_data(in_data), .r_en(get), .r_addr(r_addr), .q(out_data)
      );
    end
  endgenerate
endmodule
