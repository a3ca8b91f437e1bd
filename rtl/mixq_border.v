// The coefficients of one output channel's block, completed by those that the block before it spilled.
//
// acc: the NPX + KERNEL - 1 accumulators, complete with strobe. The last KERNEL - 1 wait for the next block. head: the block
// is the first of a row; its first LEAD coefficients belong to the row before and what they get from here is edge, like what
// the others would get from a block on the left: the columns that are missing.
module mixq_border #(
    parameter ACC = 8,
    parameter NPX = 1,
    parameter KERNEL = 1,
    parameter LEAD = 0,
    parameter EDGE = KERNEL > 1 ? (KERNEL - 1) * ACC : 1  // derived
) (
    input                               clk,
    input                               strobe,
    input                               head,
    input  [(NPX+KERNEL-1)*ACC-1:0]     acc,
    input  [EDGE-1:0]                   edges,
    output reg [NPX*ACC-1:0]            q
);
  genvar v;
  generate
    if (KERNEL == 1) begin : none
      always @(posedge clk) if (strobe) q <= acc;
      wire unused = &{1'b0, head, edges};
    end else begin : some
      reg [(KERNEL-1)*ACC-1:0] tail;
      wire [(NPX+KERNEL-1)*ACC-1:0] sum;
      for (v = 0; v < NPX + KERNEL - 1; v = v + 1) begin : coefficients
        wire [ACC-1:0] here = acc[v*ACC+:ACC];
        if (v < LEAD) begin : ahead
          mixq_switched #(.W(ACC)) add (
              .a(tail[v*ACC+:ACC]), .b(here), .c(edges[v*ACC+:ACC]), .sel(head), .s(sum[v*ACC+:ACC])
          );
        end else if (v < KERNEL - 1) begin : spilled
          mixq_switched #(.W(ACC)) add (
              .a(here), .b(tail[v*ACC+:ACC]), .c(edges[v*ACC+:ACC]), .sel(head), .s(sum[v*ACC+:ACC])
          );
        end else begin : plain
          assign sum[v*ACC+:ACC] = here;
        end
      end
      always @(posedge clk)
        if (strobe) begin
          q <= sum[NPX*ACC-1:0];
          tail <= sum[NPX*ACC+:(KERNEL-1)*ACC];
        end
    end
  endgenerate
endmodule
