// A group of N * W bits a pixel becomes N groups of W bits; of a row's OUT_GROUPS the last ones may be padding and are dropped. A
// group of a row, BEATS beats of PX pixels, waits in a double buffer and is read N times.
/* verilator lint_off UNUSED */  // clk and rst of N = 1, high bits of constants
module mixq_channels_apart #(
    parameter W = 8,
    parameter PX = 1,
    parameter N = 2,
    parameter BEATS = 4,
    parameter IN_GROUPS = 1,
    parameter OUT_GROUPS = 2
) (
    input clk,
    input rst,
    input in_valid,
    output in_ready,
    input [PX*N*W-1:0] in_data,
    output out_valid,
    input out_ready,
    output [PX*W-1:0] out_data
);
  generate
    if (N == 1) begin : wires
      assign out_valid = in_valid;
      assign in_ready = out_ready;
      assign out_data = in_data;
    end else begin : parts
      localparam AW = $clog2(2 * BEATS);
      localparam NW = $clog2(N + 1);
      localparam GW = $clog2(OUT_GROUPS + 1);
      localparam [31:0] X_LAST = BEATS - 1, ALL = BEATS, N_LAST = N - 1, G_LAST = OUT_GROUPS - 1;
      reg [AW-1:0] w_x, r_x;
      reg [NW-1:0] part;
      reg [GW-1:0] g;
      wire w_last = w_x == X_LAST[AW-1:0];
      wire r_end = r_x == X_LAST[AW-1:0];
      wire row_end = g == G_LAST[GW-1:0];
      wire last_part = part == N_LAST[NW-1:0] || row_end;
      wire can_put, can_get, w_half, r_half;
      reg shown;
      reg [N-1:0] chosen;  // part of the word shown, one-hot
      wire put = in_valid && can_put;
      wire get = can_get && (out_ready || !shown);
      assign in_ready = can_put;
      assign out_valid = shown;
      mixq_pingpong halves (
          .clk(clk), .rst(rst), .put(put), .w_last(w_last), .get(get), .r_last(r_end && last_part),
          .can_put(can_put), .can_get(can_get), .w_half(w_half), .r_half(r_half)
      );
      wire [AW-1:0] w_addr = (w_half ? ALL[AW-1:0] : {AW{1'b0}}) + w_x;
      wire [AW-1:0] r_addr = (r_half ? ALL[AW-1:0] : {AW{1'b0}}) + r_x;
      wire [PX*N*W-1:0] q;
      mixq_ram #(
          .W(PX * N * W), .DEPTH(2 * BEATS), .AW(AW), .BLOCK(2 * BEATS > 64 ? 1 : 0)
      ) ram (
          .clk(clk), .w_en(put), .w_addr(w_addr), .w_data(in_data), .r_en(get), .r_addr(r_addr), .q(q)
      );
      genvar p, i;
      for (p = 0; p < PX; p = p + 1) begin : pixel
        reg [W-1:0] any;
        integer k;
        always @* begin
          any = {W{1'b0}};
          for (k = 0; k < N; k = k + 1) any = any | ({W{chosen[k]}} & q[(p*N+k)*W+:W]);
        end
        assign out_data[p*W+:W] = any;
      end
      for (i = 0; i < N; i = i + 1) begin : choose
        localparam [31:0] I = i;
        always @(posedge clk) if (get) chosen[i] <= part == I[NW-1:0];
      end
      always @(posedge clk)
        if (rst) begin
          w_x <= {AW{1'b0}};
          r_x <= {AW{1'b0}};
          part <= {NW{1'b0}};
          g <= {GW{1'b0}};
          shown <= 1'b0;
        end else begin
          if (put) w_x <= w_last ? {AW{1'b0}} : w_x + 1'b1;
          if (get) begin
            r_x <= r_end ? {AW{1'b0}} : r_x + 1'b1;
            if (r_end) begin
              part <= last_part ? {NW{1'b0}} : part + 1'b1;
              g <= row_end ? {GW{1'b0}} : g + 1'b1;
            end
          end
          if (get) shown <= 1'b1;
          else if (out_ready) shown <= 1'b0;
        end
    end
  endgenerate
endmodule
