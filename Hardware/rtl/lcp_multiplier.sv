// left × right, both signed. As gates it is the array of Baugh and Wooley, a row of full adders for each bit of `right`, every
// second row in inverted bits; otherwise whatever the tools make of a multiplication, a DSP in an FPGA.
module lcp_multiplier #(
    parameter WORD = 8,
    parameter GATES = 0
) (
    input  logic signed [WORD-1:0]   left,
    input  logic signed [WORD-1:0]   right,
    output logic signed [2*WORD-1:0] product
);
    generate
        if (GATES == 0) begin : behaviour
            assign product = left * right;
        end else begin : gates
            // Row j has the bits of weight j to j + WORD - 1, in inverted form where j is odd and above 1, and their carries.
            for (genvar j = 0; j < WORD; j++) begin : row
                localparam INVERTED = j > 1 && j % 2 == 1;
                logic [WORD-1:0] bits;
                logic [WORD-1:0] sums;
                logic [WORD-1:0] carries;
                for (genvar i = 0; i < WORD; i++) begin : place
                    // Where one of the two bits is a sign, the inverted product and two constants stand for the negative weight.
                    localparam NEGATIVE = (i == WORD - 1) != (j == WORD - 1);
                    assign bits[i] = (left[i] & right[j]) ^ (NEGATIVE != INVERTED);
                    if (j == 0) begin : first
                        assign sums[i] = bits[i];
                        assign carries[i] = 1'b0;
                    end else begin : next
                        wire above;
                        if (i < WORD - 1) begin : inner
                            assign above = row[j-1].sums[i+1];
                        end else begin : top
                            // The constant of weight WORD, and nothing above the other rows.
                            assign above = j == 1 ? 1'b1 : INVERTED;
                        end
                        if (j == 1) begin : half
                            assign sums[i] = bits[i] ^ above;
                            assign carries[i] = bits[i] & above;
                        end else begin : full
                            // What comes from row 1 is not inverted, and what row 2 makes is.
                            lcp_full_adder adder (
                                .a(bits[i]), .b(above), .c(row[j-1].carries[i]),
                                .sum_n(sums[i]), .carry_n(carries[i]));
                        end
                    end
                end
                assign product[j] = sums[0] ^ (j > 1 && j % 2 == 0);
            end
            // The last row's bits and carries, rippling. They are inverted where WORD is odd.
            localparam FINAL = (WORD - 1) % 2 == 0;
            for (genvar k = 0; k < WORD; k++) begin : ripple
                // True or inverted, every second bit.
                localparam INVERTED = k % 2 == 1;
                wire carry, upper, lower, sum;
                assign lower = row[WORD-1].carries[k] ^ (FINAL != INVERTED);
                if (k < WORD - 1) begin : inner
                    assign upper = row[WORD-1].sums[k+1] ^ (FINAL != INVERTED);
                end else begin : top
                    assign upper = INVERTED;
                end
                if (k == 0) begin : first
                    assign sum = ~(upper ^ lower);
                    assign carry = ~(upper & lower);
                end else begin : next
                    lcp_full_adder adder (
                        .a(upper), .b(lower), .c(ripple[k-1].carry), .sum_n(sum), .carry_n(carry));
                end
                // The constant of the highest weight turns the highest bit over.
                assign product[WORD+k] = sum ^ !INVERTED ^ (k == WORD - 1);
            end
        end
    endgenerate
endmodule
