// What becomes of a sum: bias, rescaling, rounding, ReLU. In eight bits it is Documentation/integer-arithmetic.md's "Rescaling a sum",
// in fixed point "Convolution". Four clocks, while `move` is there.
module lcp_lane #(
    parameter WORD = 8,
    parameter WIDTH = 32,
    parameter FRACTION = 13        // bits behind the point; only fixed point has any
) (
    input  logic                    clock,
    input  logic                    move,
    input  logic signed [WIDTH-1:0] sum,
    // The column's constants.
    input  logic signed [31:0]      bias,
    input  logic [14:0]             multiplier,
    input  logic [4:0]              right,
    // The command's.
    input  logic                    direct,   // only shifted, not multiplied
    input  logic                    raw,      // a piece of the sum itself
    input  logic [7:0]              piece,    // which one, with the sum
    input  logic signed [WORD-1:0]  zero,
    input  logic signed [WORD-1:0]  least,
    input  logic signed [WORD-1:0]  most,
    output logic signed [WORD-1:0]  number,
    output logic                    clipped   // the number was beyond what a word holds
);
    localparam signed [WORD-1:0] LOW = {1'b1, {(WORD - 1) {1'b0}}};
    localparam signed [WORD-1:0] HIGH = {1'b0, {(WORD - 1) {1'b1}}};

    // All clocks hand on the raw piece.
    logic [WIDTH-1:0]       whole;
    logic [7:0]             piece1;
    logic [WORD-1:0]        raw2, raw3;

    generate
        if (WORD == 8) begin : eight
            logic signed [WIDTH-1:0] biased;
            logic signed [15:0]      short, short3;
            logic signed [31:0]      product;
            // The constants go along with the sum: the next one may be another column's.
            logic [4:0]              right1;
            logic [14:0]             multiplier1, multiplier2;

            // Rounded to the nearest, halves up: the bit below the new lowest one is added.
            wire signed [WIDTH:0] doubled = $signed({biased, 1'b0}) >>> right1;
            wire signed [WIDTH:0] rounded = $signed(doubled[WIDTH:1]) + $signed({1'b0, doubled[0]});
            wire signed [15:0] sixteen = rounded > 32767 ? 16'sd32767 : rounded < -32768 ? -16'sd32768 : rounded[15:0];

            // Only the product's upper bits are needed, and the highest one below them.
            wire signed [17:0] upper = $signed(product[31:15]) + $signed({1'b0, product[14]});
            wire signed [12:0] scaled = $signed(upper[17:6]) + $signed({1'b0, upper[5]});
            wire signed [16:0] real_ = (direct ? 17'(short3) : 17'(scaled)) + 17'(zero);
            wire beyond = real_ > 127 || real_ < -128;
            wire signed [7:0] word = real_ > 127 ? HIGH : real_ < -128 ? LOW : real_[7:0];

            always_ff @(posedge clock) begin
                if (move) begin
                    biased <= sum + WIDTH'(bias);
                    right1 <= right;
                    multiplier1 <= multiplier;
                    piece1 <= piece;
                    short <= sixteen;
                    multiplier2 <= multiplier1;
                    raw2 <= WORD'(biased >> (piece1 * WORD));
                    product <= short * $signed({1'b0, multiplier2});
                    short3 <= short;
                    raw3 <= raw2;
                    number <= raw ? raw3 : word < least ? least : word > most ? most : word;
                    clipped <= !raw && beyond;
                end
            end
        end else begin : fixed
            logic signed [WIDTH-1:0] biased;
            logic signed [WORD-1:0]  word3;
            logic                    beyond3;
            logic signed [WIDTH-1:0] rounded2;

            always_ff @(posedge clock) begin
                if (move) begin
                    biased <= sum + (WIDTH'(bias) <<< FRACTION);
                    piece1 <= piece;
                    rounded2 <= (biased + (WIDTH'(1) <<< (FRACTION - 1))) >>> FRACTION;
                    raw2 <= WORD'(biased >> (piece1 * WORD));
                    word3 <= rounded2 > HIGH ? HIGH : rounded2 < LOW ? LOW : rounded2[WORD-1:0];
                    beyond3 <= rounded2 > HIGH || rounded2 < LOW;
                    raw3 <= raw2;
                    number <= raw ? raw3 : word3 < least ? least : word3 > most ? most : word3;
                    clipped <= !raw && beyond3;
                end
            end
        end
    endgenerate
endmodule
