// Values that wait, first in, first out.
module lcp_queue #(
    parameter WIDTH = 8,
    parameter DEPTH = 8            // a power of two
) (
    input  logic             clock,
    input  logic             reset,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [WIDTH-1:0] in,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out
);
    localparam PLACE = $clog2(DEPTH);
    logic [WIDTH-1:0] memory [DEPTH];
    logic [PLACE:0]   head, tail;

    assign in_ready = head - tail != (PLACE + 1)'(DEPTH);
    assign out_valid = head != tail;
    assign out = memory[tail[PLACE-1:0]];

    always_ff @(posedge clock) begin
        if (in_valid && in_ready) begin
            memory[head[PLACE-1:0]] <= in;
            head <= head + 1'b1;
        end
        if (out_valid && out_ready) tail <= tail + 1'b1;
        if (reset) begin
            head <= '0;
            tail <= '0;
        end
    end

`ifdef FORMAL
`include "queue.svh"
`endif
endmodule
