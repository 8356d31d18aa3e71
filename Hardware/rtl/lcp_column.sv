// A cell for each row, and the sum of their products: two clocks behind `passing`.
module lcp_column #(
    parameter ROWS = 32,
    parameter WORD = 8,
    parameter GATES = 0,
    localparam SUM = 2 * WORD + $clog2(ROWS)
) (
    input  logic                  clock,
    input  logic                  load,
    input  logic                  swap,
    input  logic [ROWS*WORD-1:0]  coming,
    input  logic [ROWS*WORD-1:0]  passing,
    output logic signed [SUM-1:0] sum
);
    logic [ROWS*2*WORD-1:0] products;
    logic signed [SUM-1:0] result;

    generate
        for (genvar r = 0; r < ROWS; r++) begin : row
            lcp_cell #(.WORD(WORD), .GATES(GATES)) cell_ (
                .clock(clock), .load(load), .swap(swap), .coming(coming[r*WORD +: WORD]),
                .passing(passing[r*WORD +: WORD]), .product(products[r*2*WORD +: 2*WORD]));
        end
    endgenerate

    lcp_adder_tree #(.COUNT(ROWS), .WIDTH(2 * WORD), .GATES(GATES)) tree (.numbers(products), .sum(result));

    always_ff @(posedge clock) sum <= result;
endmodule
