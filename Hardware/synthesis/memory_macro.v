// Memories are macros of a foundry: their area and time are not counted.
(* blackbox *)
module lcp_memory #(
    parameter WIDTH = 32,
    parameter DEPTH = 64
) (
    input clock, input read, input [$clog2(DEPTH)-1:0] read_place, output [WIDTH-1:0] found,
    input write, input [$clog2(DEPTH)-1:0] write_place, input [WIDTH-1:0] word
);
endmodule
