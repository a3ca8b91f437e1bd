// reached = x >= word addr of TABLE, signed, combinational; TW even. Two bits of x a step of a carry chain that keeps the result of
// the lower bits where they are equal. The table is in the LUTs of the comparison up to 16 words (TW / 2 LUTs for 8 words), in
// LUTs of its own for 32.
`ifdef SYNTHESIS
`ifndef MIXQ_PRIMITIVES
`define MIXQ_PRIMITIVES
`endif
`endif
/* verilator lint_off UNUSED */
/* verilator lint_off WIDTH */  // two bits beside integers
module mixq_threshold #(
    parameter TW = 8,
    parameter AW = 3,  // 0..5
    parameter [32*TW-1:0] TABLE = 0
) (
    input [TW-1:0] x,
    input [4:0] addr,  // zero above AW
    output reached
);
`ifdef MIXQ_PRIMITIVES
  localparam STEPS = TW / 2;
  // entry v of a LUT: bits 1:0 are x's, the others the address; the highest bit is the sign and counts inverted
  function [63:0] equal(input integer step);
    integer v;
    for (v = 0; v < 64; v = v + 1)
      equal[v] = TABLE[(v/4)*TW+2*step+:2] == v % 4;
  endfunction
  function [63:0] above(input integer step);
    integer v;
    for (v = 0; v < 64; v = v + 1)
      above[v] = (v % 4 ^ (step == STEPS - 1 ? 2 : 0)) > (TABLE[(v/4)*TW+2*step+:2] ^ (step == STEPS - 1 ? 2 : 0));
  endfunction
  function [63:0] column(input integer bit_);  // of 32 words
    integer v;
    for (v = 0; v < 64; v = v + 1) column[v] = TABLE[(v%32)*TW+bit_];
  endfunction
  wire [STEPS-1:0] same, more, sum;
  genvar i;
  generate
    for (i = 0; i < STEPS; i = i + 1) begin : steps
      if (AW <= 3) begin : eight
        localparam [63:0] S = equal(i), D = above(i);
        LUT6_2 #(
            .INIT({S[31:0], D[31:0]})
        ) lut (
            .I0(x[2*i]), .I1(x[2*i+1]), .I2(addr[0]), .I3(addr[1]), .I4(addr[2]), .I5(1'b1), .O5(more[i]), .O6(same[i])
        );
      end else if (AW == 4) begin : sixteen
        LUT6 #(
            .INIT(equal(i))
        ) lut_same (
            .I0(x[2*i]), .I1(x[2*i+1]), .I2(addr[0]), .I3(addr[1]), .I4(addr[2]), .I5(addr[3]), .O(same[i])
        );
        LUT6 #(
            .INIT(above(i))
        ) lut_more (
            .I0(x[2*i]), .I1(x[2*i+1]), .I2(addr[0]), .I3(addr[1]), .I4(addr[2]), .I5(addr[3]), .O(more[i])
        );
      end else begin : words
        localparam [63:0] C0 = column(2 * i), C1 = column(2 * i + 1);
        wire t0, t1;
        LUT6_2 #(
            .INIT({C1[31:0], C0[31:0]})
        ) rom (
            .I0(addr[0]), .I1(addr[1]), .I2(addr[2]), .I3(addr[3]), .I4(addr[4]), .I5(1'b1), .O5(t0), .O6(t1)
        );
        // {t1, t0, x1, x0}: equal, and x above t; the sign the other way round
        LUT6_2 #(
            .INIT(i == STEPS - 1 ? 64'h84218421_3B023B02 : 64'h84218421_08CE08CE)
        ) lut (
            .I0(x[2*i]), .I1(x[2*i+1]), .I2(t0), .I3(t1), .I4(1'b0), .I5(1'b1), .O5(more[i]), .O6(same[i])
        );
      end
    end
  endgenerate
  mixq_carry #(
      .W(STEPS)
  ) chain (
      .ci(1'b1), .di(more), .s(same), .o(sum), .co(reached)
  );
`else
  wire [31:0] at = {27'b0, addr} * TW;
  wire [TW-1:0] word = TABLE[at+:TW];
  assign reached = $signed(x) >= $signed(word);
`endif
endmodule
