// What each block of columns sees of the lines that came: ROWS words behind its own offset. Words that lie outside the map's row are
// `pad`.
module lcp_taps #(
    parameter ROWS = 32,
    parameter WORD = 8,
    parameter LINES = 5,
    parameter BLOCKS = 8,
    localparam REGION = LINES * ROWS,
    localparam PLACE = $clog2(REGION + 1)
) (
    input  logic [REGION*WORD-1:0]      lines,
    input  logic [PLACE-1:0]            low,      // the first word of the row
    input  logic [PLACE-1:0]            high,     // the first word behind it
    input  logic [$clog2(ROWS)-1:0]     offset,   // of block 0
    input  logic [BLOCKS*PLACE-1:0]     offsets,  // of each block, from block 0's
    input  logic [WORD-1:0]             pad,
    output logic [BLOCKS*ROWS*WORD-1:0] passing
);
    logic [REGION*WORD-1:0] row;

    generate
        for (genvar w = 0; w < REGION; w++) begin : word
            assign row[w*WORD +: WORD] = w >= low && w < high ? lines[w*WORD +: WORD] : pad;
        end
        for (genvar b = 0; b < BLOCKS; b++) begin : block
            wire [PLACE-1:0] place = offsets[b*PLACE +: PLACE] + PLACE'(offset);
            // Only what can still be reached is shifted: behind the step of 2^k words ROWS + 2^k - 1 of them are left.
            for (genvar k = PLACE; k >= 0; k--) begin : step
                localparam LEFT = ROWS + (1 << k) - 1 < REGION ? ROWS + (1 << k) - 1 : REGION;
                logic [LEFT*WORD-1:0] words;
                if (k == PLACE) begin : first
                    assign words = row[LEFT*WORD-1:0];
                end else begin : next
                    localparam BEFORE = ROWS + (2 << k) - 1 < REGION ? ROWS + (2 << k) - 1 : REGION;
                    wire [BEFORE*WORD-1:0] shifted = step[k+1].words >> (WORD << k);
                    assign words = place[k] ? shifted[LEFT*WORD-1:0] : step[k+1].words[LEFT*WORD-1:0];
                end
            end
            assign passing[b*ROWS*WORD +: ROWS*WORD] = step[0].words;
        end
    endgenerate
endmodule
