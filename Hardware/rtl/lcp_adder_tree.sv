// The sum of COUNT signed numbers, a power of two, in log2(COUNT) levels of adders. As gates its bits are inverted by turns, in a
// level from bit to bit and from level to level, so that no inverters stand between the full adders.
module lcp_adder_tree #(
    parameter COUNT = 32,
    parameter WIDTH = 16,
    parameter GATES = 0
) (
    input  logic [COUNT*WIDTH-1:0]                   numbers,
    output logic signed [WIDTH+$clog2(COUNT)-1:0]    sum
);
    localparam LEVELS = $clog2(COUNT);

    generate
        for (genvar l = 0; l <= LEVELS; l++) begin : level
            localparam W = WIDTH + l;
            logic [(COUNT >> l)*W-1:0] sums;
            if (l == 0) begin : first
                for (genvar n = 0; n < COUNT; n++) begin : number
                    for (genvar k = 0; k < WIDTH; k++) begin : place
                        assign sums[n*WIDTH+k] = numbers[n*WIDTH+k] ^ (GATES != 0 && k % 2 == 1);
                    end
                end
            end else begin : next
                for (genvar n = 0; n < COUNT >> l; n++) begin : pair
                    wire [W-2:0] left = level[l-1].sums[2*n*(W-1) +: W-1];
                    wire [W-2:0] right = level[l-1].sums[(2*n+1)*(W-1) +: W-1];
                    if (GATES == 0) begin : behaviour
                        assign sums[n*W +: W] = {left[W-2], left} + {right[W-2], right};
                    end else begin : gates
                        for (genvar k = 0; k < W; k++) begin : place
                            // Whether this place's inputs are inverted.
                            localparam INVERTED = (k + l - 1) % 2 == 1;
                            wire a, b, carry;
                            // The sign once more, which comes from a place of the other form.
                            assign a = k < W - 1 ? left[k < W - 1 ? k : 0] : ~left[W-2];
                            assign b = k < W - 1 ? right[k < W - 1 ? k : 0] : ~right[W-2];
                            if (k == 0) begin : half
                                assign sums[n*W] = INVERTED ? a ^ b : ~(a ^ b);
                                assign carry = INVERTED ? ~(a | b) : ~(a & b);
                            end else begin : full
                                lcp_full_adder adder (
                                    .a(a), .b(b), .c(place[k-1].carry), .sum_n(sums[n*W+k]), .carry_n(carry));
                            end
                        end
                    end
                end
            end
        end
        for (genvar k = 0; k < WIDTH + LEVELS; k++) begin : result
            assign sum[k] = level[LEVELS].sums[k] ^ (GATES != 0 && (k + LEVELS) % 2 == 1);
        end
    endgenerate
endmodule
