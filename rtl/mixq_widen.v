// N codes of IN bits as codes of OUT > IN bits. Wires.
module mixq_widen #(
    parameter N = 1,
    parameter IN = 2,
    parameter OUT = 4,
    parameter SIGNED = 0
) (
    input [N*IN-1:0] in_data,
    output [N*OUT-1:0] out_data
);
  genvar i;
  generate
    for (i = 0; i < N; i = i + 1) begin : code
      wire sign = SIGNED != 0 && in_data[i*IN+IN-1];
      assign out_data[i*OUT+:OUT] = {{OUT - IN{sign}}, in_data[i*IN+:IN]};
    end
  endgenerate
endmodule
