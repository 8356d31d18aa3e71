// The sum of three bits of one weight, both of its bits inverted: so a library's full adder is made, and since a full adder of
// inverted bits gives the inverted sum, rows of them need no inverters between them. In a chip the library's own takes its place.
module lcp_full_adder (
    input  logic a,
    input  logic b,
    input  logic c,
    output logic sum_n,
    output logic carry_n
);
    assign sum_n = ~(a ^ b ^ c);
    assign carry_n = ~((a & b) | (a & c) | (b & c));
endmodule
