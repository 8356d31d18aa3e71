// A register that takes what is there with `load`. On a chip its clock is stopped otherwise, which takes less room than to choose between
// the old number and the new one for every bit, and far less power.
module lcp_register #(
    parameter WIDTH = 8,
    parameter GATES = 0
) (
    input  logic             clock,
    input  logic             load,
    input  logic [WIDTH-1:0] in,
    output logic [WIDTH-1:0] out
);
    generate
        if (GATES) begin : gated
            wire gated_clock;
            lcp_clock_gate gate_ (.clock(clock), .enable(load), .gated_clock(gated_clock));
            always_ff @(posedge gated_clock) out <= in;
        end else begin : enabled
            always_ff @(posedge clock) if (load) out <= in;
        end
    endgenerate
endmodule
