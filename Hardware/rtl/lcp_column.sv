// A cell for each row, and the sum of their products: two clocks behind `passing`.
module lcp_column #(
    parameter ROWS = 32,
    parameter WORD = 8,
    parameter GATES = 0,
    localparam SUM = 2 * WORD + $clog2(ROWS),
    localparam CELLS = ROWS < 8 ? ROWS : 8
) (
    input  logic                  clock,
    input  logic                  load,
    input  logic                  swap,
    input  logic                  work,     // with `passing`
    input  logic                  add,      // a clock later
    input  logic [ROWS*WORD-1:0]  coming,
    input  logic [ROWS*WORD-1:0]  passing,
    output logic signed [SUM-1:0] sum
);
    logic [ROWS*2*WORD-1:0] products;
    logic [SUM-1:0]         result;

    generate
        for (genvar r = 0; r < ROWS; r += CELLS) begin : row
            lcp_cells #(.CELLS(CELLS), .WORD(WORD), .GATES(GATES)) cells (
                .clock(clock), .load(load), .swap(swap), .work(work), .coming(coming[r*WORD +: CELLS*WORD]),
                .passing(passing[r*WORD +: CELLS*WORD]), .products(products[r*2*WORD +: CELLS*2*WORD]));
        end
    endgenerate

    lcp_adder_tree #(.COUNT(ROWS), .WIDTH(2 * WORD), .GATES(GATES)) tree (.numbers(products), .sum(result));

    lcp_register #(.WIDTH(SUM), .GATES(GATES)) whole (.clock(clock), .load(add), .in(result), .out(sum));
endmodule
