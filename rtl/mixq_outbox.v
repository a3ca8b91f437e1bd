// The queue behind a layer. Nobody asks whether it is full: a block starts only with room for its beats, and popped gives
// the room of one beat back.
module mixq_outbox #(
    parameter WIDTH = 8,
    parameter DEPTH = 16  // a power of two
) (
    input                  clk,
    input                  rst,
    input                  push,
    input      [WIDTH-1:0] data,
    output                 popped,
    output reg             m_valid,
    input                  m_ready,
    output reg [WIDTH-1:0] m_data
);
  localparam AW = $clog2(DEPTH);
  (* ram_style = "distributed" *) reg [WIDTH-1:0] mem[0:DEPTH-1];
  reg [AW:0] to, from;
  assign popped = to != from && (!m_valid || m_ready);
  always @(posedge clk) begin
    if (push) mem[to[AW-1:0]] <= data;
    if (popped) m_data <= mem[from[AW-1:0]];
    to <= to + {{AW{1'b0}}, push};
    from <= from + {{AW{1'b0}}, popped};
    m_valid <= popped || (m_valid && !m_ready);
    if (rst) begin
      to <= 0;
      from <= 0;
      m_valid <= 1'b0;
    end
  end
endmodule
