// Some cells of a column: for each a number that stays, the one that comes after it, and the product with the number that passes.
module lcp_cells #(
    parameter CELLS = 8,
    parameter WORD = 8,
    parameter GATES = 0
) (
    input  logic                    clock,
    input  logic                    load,     // `coming` becomes the next number that stays
    input  logic                    swap,     // the next number stays from now on
    input  logic                    work,     // there is something to multiply
    input  logic [CELLS*WORD-1:0]   coming,
    input  logic [CELLS*WORD-1:0]   passing,
    output logic [CELLS*2*WORD-1:0] products  // of the clock before
);
    logic [CELLS*WORD-1:0]   following, staying;
    logic [CELLS*2*WORD-1:0] results;

    lcp_register #(.WIDTH(CELLS * WORD), .GATES(GATES)) next (
        .clock(clock), .load(load), .in(coming), .out(following));
    lcp_register #(.WIDTH(CELLS * WORD), .GATES(GATES)) now (
        .clock(clock), .load(swap), .in(following), .out(staying));
    lcp_register #(.WIDTH(2 * CELLS * WORD), .GATES(GATES)) made (
        .clock(clock), .load(work), .in(results), .out(products));

    generate
        for (genvar c = 0; c < CELLS; c++) begin : cell_
            lcp_multiplier #(.WORD(WORD), .GATES(GATES)) multiplier (
                .left(staying[c*WORD +: WORD]), .right(passing[c*WORD +: WORD]),
                .product(results[c*2*WORD +: 2*WORD]));
        end
    endgenerate
endmodule
