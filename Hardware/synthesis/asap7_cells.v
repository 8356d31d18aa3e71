// The library's own cells in place of lcp_full_adder and lcp_clock_gate.
module lcp_full_adder (
    input a, input b, input c, output sum_n, output carry_n
);
    FAx1_ASAP7_75t_R adder (.A(a), .B(b), .CI(c), .CON(carry_n), .SN(sum_n));
endmodule

module lcp_clock_gate (
    input clock, input enable, output gated_clock
);
    ICGx1_ASAP7_75t_R gate_ (.CLK(clock), .ENA(enable), .SE(1'b0), .GCLK(gated_clock));
endmodule
