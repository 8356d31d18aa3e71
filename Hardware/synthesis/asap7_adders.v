// The library's own full adder in place of lcp_full_adder.
module lcp_full_adder (
    input a, input b, input c, output sum_n, output carry_n
);
    FAx1_ASAP7_75t_R adder (.A(a), .B(b), .CI(c), .CON(carry_n), .SN(sum_n));
endmodule
