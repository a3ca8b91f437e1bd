// N groups of W bits a pixel become one; a row of IN_GROUPS ends with zero channels where it is not a multiple. Each of the N
// groups of a row, BEATS beats of PX pixels, waits in a double buffer of its own; all are read at once.
/* verilator lint_off UNUSED */  // clk and rst of N = 1, high bits of constants
module mixq_channels_together #(
    parameter W = 8,
    parameter PX = 1,
    parameter N = 2,
    parameter BEATS = 4,
    parameter IN_GROUPS = 2
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [PX*W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [PX*N*W-1:0] out_data
);
  generate
    if (N == 1) begin : wires
      assign out_valid = in_valid;
      assign in_ready = out_ready;
      assign out_data = in_data;
    end else begin : parts
      localparam AW = $clog2(2 * BEATS);
      localparam NW = $clog2(N + 1);
      localparam OUT_GROUPS = (IN_GROUPS + N - 1) / N;
      localparam LAST_PARTS = IN_GROUPS - (OUT_GROUPS - 1) * N;
      localparam GW = $clog2(OUT_GROUPS + 1);
      localparam [31:0] X_LAST = BEATS - 1, ALL = BEATS, N_LAST = N - 1, G_LAST = OUT_GROUPS - 1, P_LAST = LAST_PARTS - 1;
      reg [AW-1:0] w_x, r_x;
      reg [NW-1:0] part;
      reg [GW-1:0] w_g, r_g;
      wire w_end = w_x == X_LAST[AW-1:0], r_end = r_x == X_LAST[AW-1:0];
      wire w_row_end = w_g == G_LAST[GW-1:0], r_row_end = r_g == G_LAST[GW-1:0];
      wire last_part = part == N_LAST[NW-1:0] || (w_row_end && part == P_LAST[NW-1:0]);
      wire can_put, can_get, w_half, r_half;
      reg shown, shown_last;
      wire put = in_valid && can_put;
      wire get = can_get && (out_ready || !shown);
      assign in_ready = can_put;
      assign out_valid = shown;
      mixq_pingpong halves (
          .clk(clk), .rst(rst), .put(put), .w_last(w_end && last_part), .get(get), .r_last(r_end),
          .can_put(can_put), .can_get(can_get), .w_half(w_half), .r_half(r_half)
      );
      wire [AW-1:0] w_addr = (w_half ? ALL[AW-1:0] : {AW{1'b0}}) + w_x;
      wire [AW-1:0] r_addr = (r_half ? ALL[AW-1:0] : {AW{1'b0}}) + r_x;
      genvar p, i;
      for (i = 0; i < N; i = i + 1) begin : bank
        localparam [31:0] I = i;
        wire [PX*W-1:0] q;
        mixq_ram #(
            .W(PX * W), .DEPTH(2 * BEATS), .AW(AW), .BLOCK(2 * BEATS > 64 ? 1 : 0)
        ) ram (
            .clk(clk), .w_en(put && part == I[NW-1:0]), .w_addr(w_addr), .w_data(in_data), .r_en(get), .r_addr(r_addr),
            .q(q)
        );
        for (p = 0; p < PX; p = p + 1) begin : pixel
          assign out_data[(p*N+i)*W+:W] = i >= LAST_PARTS && shown_last ? {W{1'b0}} : q[p*W+:W];
        end
      end
      always @(posedge clk)
        if (rst) begin
          w_x <= {AW{1'b0}};
          r_x <= {AW{1'b0}};
          part <= {NW{1'b0}};
          w_g <= {GW{1'b0}};
          r_g <= {GW{1'b0}};
          shown <= 1'b0;
          shown_last <= 1'b0;
        end else begin
          if (put) begin
            w_x <= w_end ? {AW{1'b0}} : w_x + 1'b1;
            if (w_end) part <= last_part ? {NW{1'b0}} : part + 1'b1;
            if (w_end && last_part) w_g <= w_row_end ? {GW{1'b0}} : w_g + 1'b1;
          end
          if (get) begin
            r_x <= r_end ? {AW{1'b0}} : r_x + 1'b1;
            if (r_end) r_g <= r_row_end ? {GW{1'b0}} : r_g + 1'b1;
            shown_last <= r_row_end;
          end
          if (get) shown <= 1'b1;
          else if (out_ready) shown <= 1'b0;
        end
    end
  endgenerate
endmodule
