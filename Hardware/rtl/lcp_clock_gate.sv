// The clock, where `enable` is there before it rises. A library of cells has one of its own.
module lcp_clock_gate (
    input  logic clock,
    input  logic enable,
    output logic gated_clock
);
    logic open;
    always_latch if (!clock) open = enable;
    assign gated_clock = clock && open;
endmodule
