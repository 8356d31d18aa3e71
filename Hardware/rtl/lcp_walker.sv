`include "lcp_command.svh"
// The index logic: walks the steps of a command, chunk by chunk of every block of steps, asks the memory for the lines of each and says
// what is to be done with them. It ends by itself where the map ends.
module lcp_walker #(
    parameter ROWS = 32,
    parameter LINES = 5,
    parameter ENTRIES = 64,
    localparam OFFSET = $clog2(ROWS),
    localparam PLACE = $clog2(LINES * ROWS + 1),
    localparam ENTRY = $clog2(ENTRIES)
) (
    input  logic                     clock,
    input  logic                     reset,
    input  logic [32*`LCP_WORDS-1:0] command,
    input  logic                     start,       // the command is there from now on until the last step is taken
    input  logic                     hold,        // nothing may be read yet
    // The request, and with it what is to be done with the answer.
    output logic                     valid,
    input  logic                     ready,
    output logic [23:0]              line,
    output logic [OFFSET-1:0]        offset,
    output logic [PLACE-1:0]         low,
    output logic [PLACE-1:0]         high,
    output logic [ENTRY-1:0]         entry,
    output logic                     bank,
    output logic                     first,       // of a chunk
    output logic                     clear,       // the first chunk: nothing was added up before
    output logic                     shift,       // what was added up before counts 2^WORD times
    output logic                     opening,     // the first step of a block
    output logic                     closing,     // the last step of a block
    output logic                     last         // the last step of the command
);
    // With a sign: Yosys 0.23 forgets that of a parameter, and then the other side's, too.
    localparam signed [18:0] REGION = LINES * ROWS;

    // Where the walk is: the step's own window, and the beginning of the block.
    logic               running;
    logic [3:0]         window_x, window_y;
    logic [9:0]         step_x, step_y, block_x, block_y;
    logic signed [17:0] x, base_x, start_x;
    logic signed [15:0] y, base_y, start_y;
    logic [23:0]        row_line, base_line, start_line;
    logic [ENTRY-1:0]   count;
    logic               which;
    // The chunk.
    logic [15:0]        inner, outer;
    logic signed [17:0] chunk_x;
    logic signed [15:0] chunk_y;
    logic [23:0]        inner_line, outer_line;

    wire window_x_ends = window_x == `LCP_WINDOW_X(command);
    wire window_y_ends = window_y == `LCP_WINDOW_Y(command);
    wire step_x_ends = step_x == `LCP_STEPS_X(command);
    wire step_y_ends = step_y == `LCP_STEPS_Y(command);
    wire walk_ends = window_x_ends && window_y_ends && step_x_ends && step_y_ends;
    wire block_ends = walk_ends || count == `LCP_BLOCK(command);
    wire inner_ends = inner == `LCP_INNERS(command);
    wire outer_ends = outer == `LCP_OUTERS(command);
    wire chunks_end = inner_ends && outer_ends;

    wire advance = running && !hold && (!valid || ready);

    // The step after this one.
    logic [3:0]         next_window_x, next_window_y;
    logic [9:0]         next_step_x, next_step_y;
    logic signed [17:0] next_x, next_base_x;
    logic signed [15:0] next_y, next_base_y;
    logic [23:0]        next_row_line, next_base_line;
    always_comb begin
        next_window_x = window_x + 1'b1;
        next_window_y = window_y;
        next_step_x = step_x;
        next_step_y = step_y;
        next_x = x + $signed(`LCP_WINDOW_STEP(command));
        next_base_x = base_x;
        next_y = y;
        next_base_y = base_y;
        next_row_line = row_line;
        next_base_line = base_line;
        if (window_x_ends) begin
            next_window_x = '0;
            next_x = base_x;
            next_window_y = window_y + 1'b1;
            next_y = y + 16'($signed(`LCP_WINDOW_ROW(command)));
            next_row_line = row_line + `LCP_WINDOW_LINE(command);
            if (window_y_ends) begin
                next_window_y = '0;
                next_y = base_y;
                next_row_line = base_line;
                next_step_x = step_x + 1'b1;
                next_base_x = base_x + $signed(`LCP_STEP_X(command));
                if (step_x_ends) begin
                    next_step_x = '0;
                    next_base_x = $signed(`LCP_IN_X(command));
                    next_step_y = step_y + 1'b1;
                    next_base_y = base_y + 16'($signed(`LCP_STEP_ROW(command)));
                    next_base_line = base_line + `LCP_STEP_LINE(command);
                end
                next_x = next_base_x;
                next_y = next_base_y;
                next_row_line = next_base_line;
            end
        end
    end

    always_ff @(posedge clock) begin
        if (start) begin
            {window_x, window_y, step_x, step_y, block_x, block_y} <= '0;
            x <= $signed(`LCP_IN_X(command));
            base_x <= $signed(`LCP_IN_X(command));
            start_x <= $signed(`LCP_IN_X(command));
            y <= $signed(`LCP_IN_Y(command));
            base_y <= $signed(`LCP_IN_Y(command));
            start_y <= $signed(`LCP_IN_Y(command));
            row_line <= `LCP_IN_LINE(command);
            base_line <= `LCP_IN_LINE(command);
            start_line <= `LCP_IN_LINE(command);
            count <= '0;
            {inner, outer, inner_line, outer_line} <= '0;
            chunk_x <= '0;
            chunk_y <= '0;
            running <= 1'b1;
        end else if (advance) begin
            count <= count + 1'b1;
            window_x <= next_window_x;
            window_y <= next_window_y;
            step_x <= next_step_x;
            step_y <= next_step_y;
            x <= next_x;
            base_x <= next_base_x;
            y <= next_y;
            base_y <= next_base_y;
            row_line <= next_row_line;
            base_line <= next_base_line;
            if (block_ends) begin
                count <= '0;
                inner <= inner_ends ? '0 : inner + 1'b1;
                chunk_x <= inner_ends ? '0 : chunk_x + $signed(`LCP_INNER_X(command));
                inner_line <= inner_ends ? '0 : inner_line + `LCP_INNER_LINE(command);
                if (inner_ends) begin
                    outer <= outer_ends ? '0 : outer + 1'b1;
                    chunk_y <= outer_ends ? '0 : chunk_y + 16'($signed(`LCP_OUTER_ROW(command)));
                    outer_line <= outer_ends ? '0 : outer_line + `LCP_OUTER_LINE(command);
                end
                if (chunks_end) begin
                    // The next block begins where this one ends; a block ends with a window.
                    block_x <= next_step_x;
                    block_y <= next_step_y;
                    start_x <= next_base_x;
                    start_y <= next_base_y;
                    start_line <= next_base_line;
                    which <= !which;
                    if (walk_ends) running <= 1'b0;
                end else begin
                    window_x <= '0;
                    window_y <= '0;
                    step_x <= block_x;
                    step_y <= block_y;
                    x <= start_x;
                    base_x <= start_x;
                    y <= start_y;
                    base_y <= start_y;
                    row_line <= start_line;
                    base_line <= start_line;
                end
            end
        end
        if (reset) begin
            running <= 1'b0;
            which <= 1'b0;
        end
    end

    // The request, a clock later.
    wire signed [17:0] word_x = x + chunk_x;
    wire signed [15:0] word_y = y + chunk_y;
    // The first word of the lines that are read, as a place in the row.
    wire signed [17:0] line_x = {word_x[17:OFFSET], {OFFSET{1'b0}}};
    wire signed [18:0] words_left = $signed({1'b0, `LCP_IN_WORDS(command)}) - line_x;
    wire signed [18:0] words_before = -line_x;
    wire is_row = word_y >= 0 && word_y < $signed({1'b0, `LCP_IN_ROWS(command)});

    always_ff @(posedge clock) begin
        if (!valid || ready) begin
            valid <= running && !hold && !start;
            line <= row_line + inner_line + outer_line + 24'($signed(word_x[17:OFFSET]));
            offset <= word_x[OFFSET-1:0];
            low <= line_x < 0 ? (words_before > REGION ? PLACE'(REGION) : words_before[PLACE-1:0]) : '0;
            high <= !is_row || words_left < 0 ? '0 : words_left > REGION ? PLACE'(REGION) : words_left[PLACE-1:0];
            entry <= count;
            bank <= which;
            first <= count == '0;
            clear <= inner == '0 && outer == '0;
            shift <= `LCP_SHIFTED(command) && inner == '0 && outer != '0;
            opening <= count == '0 && inner == '0 && outer == '0;
            closing <= block_ends && chunks_end;
            last <= walk_ends && chunks_end;
        end
        if (reset) valid <= 1'b0;
    end

`ifdef FORMAL
`include "walker.svh"
`endif
endmodule
