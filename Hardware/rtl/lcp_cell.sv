// One cell of the array: a number that stays, the one that comes after it, and the product with the number that passes.
module lcp_cell #(
    parameter WORD = 8,
    parameter GATES = 0
) (
    input  logic                     clock,
    input  logic                     load,     // `coming` becomes the next number that stays
    input  logic                     swap,     // the next number stays from now on
    input  logic signed [WORD-1:0]   coming,
    input  logic signed [WORD-1:0]   passing,
    output logic signed [2*WORD-1:0] product   // of the clock before
);
    logic signed [WORD-1:0] following;
    logic signed [WORD-1:0] staying;
    logic signed [2*WORD-1:0] result;

    lcp_multiplier #(.WORD(WORD), .GATES(GATES)) multiplier (.left(staying), .right(passing), .product(result));

    always_ff @(posedge clock) begin
        if (load) following <= coming;
        if (swap) staying <= following;
        product <= result;
    end
endmodule
