`include "lcp_command.svh"
// An array of ROWS × COLUMNS cells that computes a branch, command by command. Documentation/hardware.md has the block diagram.
module lcp_array #(
    parameter ROWS = 32,           // a power of two, and the words of a line
    parameter COLUMNS = 64,        // a multiple of ROWS or of eight
    parameter WORD = 8,            // 8 for numbers of eight bits, 16 for fixed point 3.13
    parameter WIDTH = WORD == 8 ? 32 : 48,
    parameter ENTRIES = 64,        // sums that a column adds up at the same time
    parameter LINES = 5,           // lines of the map that are read together
    parameter TOGETHER = 4,        // columns that get their weights together
    parameter GATES = 0,           // multipliers and adders as gates, for a chip
    localparam BLOCKS = 8,
    localparam WIDE = COLUMNS / BLOCKS,
    localparam PARTS = COLUMNS / ROWS,
    localparam LINE = ROWS * WORD,
    localparam CONSTANT = 64,
    localparam CONSTANTS = TOGETHER * LINE / CONSTANT,
    localparam CONSTANT_LINES = (COLUMNS + CONSTANTS - 1) / CONSTANTS
) (
    input  logic                     clock,
    input  logic                     reset,
    // Commands, word by word.
    input  logic                     command_valid,
    output logic                     command_ready,
    input  logic [31:0]              command_word,
    output logic                     done,
    output logic                     idle,
    output logic [31:0]              clips,
    // Feature maps: LINES lines from any line on, in the order in which they were asked for.
    output logic                     map_request_valid,
    input  logic                     map_request_ready,
    output logic [23:0]              map_request_line,
    input  logic                     map_answer_valid,
    output logic                     map_answer_ready,
    input  logic [LINES*LINE-1:0]    map_answer,
    // Weights and constants: a line of TOGETHER × ROWS words.
    output logic                     weight_request_valid,
    input  logic                     weight_request_ready,
    output logic [23:0]              weight_request_line,
    input  logic                     weight_answer_valid,
    output logic                     weight_answer_ready,
    input  logic [TOGETHER*LINE-1:0] weight_answer,
    // Results: a number of every column, as lines, each with its place; those that are in `write_mask` are written.
    output logic                     write_valid,
    input  logic                     write_ready,
    output logic [PARTS-1:0]         write_mask,
    output logic [PARTS*24-1:0]      write_line,
    output logic [PARTS*LINE-1:0]    write_words
);
    localparam OFFSET = $clog2(ROWS);
    localparam PLACE = $clog2(LINES * ROWS + 1);
    localparam ENTRY = $clog2(ENTRIES);
    localparam SUM = 2 * WORD + $clog2(ROWS);
    // Clocks from a step that is taken to its sum in the accumulators.
    localparam DELAY = 5;

    // MARK: Commands

    logic [32*`LCP_WORDS-1:0] next, current;
    logic [4:0]               words;
    logic                     next_valid, next_loading, active, start, released;
    logic                     loader_taken, drain_idle;
    logic                     finished, finished_bank, finished_last;
    logic [ENTRY-1:0]         finished_count;

    assign command_ready = !next_valid;
    assign idle = !active && !next_valid && words == '0 && drain_idle && !start;

    always_ff @(posedge clock) begin
        start <= 1'b0;
        if (command_valid && command_ready) begin
            next <= {command_word, next[32*`LCP_WORDS-1:32]};
            words <= words == 5'(`LCP_WORDS - 1) ? '0 : words + 1'b1;
            next_valid <= words == 5'(`LCP_WORDS - 1);
        end
        if (loader_taken) next_loading <= 1'b1;
        if (finished && finished_last) active <= 1'b0;
        if (next_valid && next_loading && !active) begin
            current <= next;
            next_valid <= 1'b0;
            next_loading <= 1'b0;
            active <= 1'b1;
            start <= 1'b1;
            released <= 1'b0;
        end else if (active && drain_idle) begin
            released <= 1'b1;
        end
        if (reset) begin
            {next_valid, next_loading, active, released, start} <= '0;
            words <= '0;
        end
    end

    // MARK: The walk

    logic              step_valid, step_ready;
    logic [OFFSET-1:0] step_offset;
    logic [PLACE-1:0]  step_low, step_high;
    logic [ENTRY-1:0]  step_entry;
    logic              step_bank, step_first, step_clear, step_shift, step_opening, step_closing, step_last;

    lcp_walker #(.ROWS(ROWS), .LINES(LINES), .ENTRIES(ENTRIES)) walker (
        .clock(clock), .reset(reset), .command(current), .start(start), .hold(`LCP_WAIT(current) && !released),
        .valid(step_valid), .ready(step_ready), .line(map_request_line), .offset(step_offset), .low(step_low),
        .high(step_high), .entry(step_entry), .bank(step_bank), .first(step_first), .clear(step_clear),
        .shift(step_shift), .opening(step_opening), .closing(step_closing), .last(step_last));

    // What is to be done with the answers that are on their way.
    localparam STEP = OFFSET + 2 * PLACE + ENTRY + 7;
    logic            queue_ready, queued;
    logic [STEP-1:0] step;
    assign map_request_valid = step_valid && queue_ready;
    assign step_ready = map_request_ready && queue_ready;

    logic take;
    lcp_queue #(.WIDTH(STEP), .DEPTH(8)) queue (
        .clock(clock), .reset(reset), .in_valid(step_valid && map_request_ready), .in_ready(queue_ready),
        .in({step_offset, step_low, step_high, step_entry, step_bank, step_first, step_clear, step_shift, step_opening,
            step_closing, step_last}),
        .out_valid(queued), .out_ready(take), .out(step));

    logic [OFFSET-1:0] offset;
    logic [PLACE-1:0]  low, high;
    logic [ENTRY-1:0]  entry;
    logic              bank, first, clear, shift, opening, closing, last;
    assign {offset, low, high, entry, bank, first, clear, shift, opening, closing, last} = step;

    // MARK: Steps that are taken

    logic       weights_full, swap;
    logic [1:0] used, freed;
    // Clocks since a step was taken, and its entry, both up to 2. An entry may be added to again with the third clock: a chunk of one
    // step is followed by the next one three clocks later, a chunk of two steps two clocks behind its second one.
    logic [1:0] since, latest;

    assign take = queued && map_answer_valid && (!first || weights_full && 3'(since) + 3'(latest) >= 3'd2)
        && (!opening || !used[bank]);
    assign map_answer_ready = take;
    assign swap = take && first;

    always_ff @(posedge clock) begin
        if (take) begin
            since <= '0;
            latest <= entry < 2 ? 2'(entry) : 2'd2;
        end else if (since != 2'd2) since <= since + 1'b1;
        used <= used & ~freed;
        if (take && opening) used[bank] <= 1'b1;
        if (reset) begin
            used <= '0;
            since <= 2'd2;
        end
    end

    // Each block's place in the lines: its group of columns' number, so many steps further.
    logic [BLOCKS*PLACE-1:0] offsets;
    generate
        for (genvar b = 0; b < BLOCKS; b++) begin : block_offset
            wire [2:0] group = 3'(3'(b) >> (2'd3 - `LCP_GROUPS(current)));
            always_ff @(posedge clock) offsets[b*PLACE +: PLACE] <= PLACE'(group * `LCP_GROUP_STEP(current));
        end
    endgenerate

    logic [BLOCKS*LINE-1:0] tapped, passing;
    lcp_taps #(.ROWS(ROWS), .WORD(WORD), .LINES(LINES), .BLOCKS(BLOCKS)) taps (
        .lines(map_answer), .low(low), .high(high), .offset(offset), .offsets(offsets),
        .pad(WORD'(`LCP_PAD(current))), .passing(tapped));
    lcp_register #(.WIDTH(BLOCKS * LINE), .GATES(GATES)) passing_now (
        .clock(clock), .load(take), .in(tapped), .out(passing));

    // MARK: Cells

    logic [DELAY-1:0]          taken;      // how many clocks ago steps were
    logic [COLUMNS-1:0]        load;
    logic [COLUMNS*SUM-1:0]    sums;
    logic [CONSTANT_LINES-1:0] constants_load;
    logic                      constants_full, constants_used;

    lcp_loader #(.COLUMNS(COLUMNS), .TOGETHER(TOGETHER), .CONSTANT_LINES(CONSTANT_LINES)) loader (
        .clock(clock), .reset(reset), .offered(next_valid && !next_loading), .taken(loader_taken), .command(next),
        .request_valid(weight_request_valid), .request_ready(weight_request_ready), .request_line(weight_request_line),
        .answer_valid(weight_answer_valid), .answer_ready(weight_answer_ready), .load(load), .full(weights_full),
        .swap(swap), .constants_load(constants_load), .constants_full(constants_full), .constants_used(constants_used));

    generate
        for (genvar c = 0; c < COLUMNS; c++) begin : column
            lcp_column #(.ROWS(ROWS), .WORD(WORD), .GATES(GATES)) cells (
                .clock(clock), .load(load[c]), .swap(swap), .work(taken[0]), .add(taken[1]), .coming(weight_answer[c%TOGETHER*LINE +: LINE]),
                .passing(passing[c/WIDE*LINE +: LINE]), .sum(sums[c*SUM +: SUM]));
        end
    endgenerate

    // MARK: Sums

    logic [DELAY-1:0]       banks, closings, lasts;
    logic [1:0]             clears, shifts;
    logic [ENTRY*DELAY-1:0] entries;
    always_ff @(posedge clock) begin
        taken <= {taken[DELAY-2:0], take};
        banks <= {banks[DELAY-2:0], bank};
        closings <= {closings[DELAY-2:0], closing};
        lasts <= {lasts[DELAY-2:0], last};
        clears <= {clears[0], clear};
        shifts <= {shifts[0], shift};
        entries <= {entries[ENTRY*(DELAY-1)-1:0], entry};
        if (reset) taken <= '0;
    end
    assign finished = taken[DELAY-1] && closings[DELAY-1];
    assign finished_bank = banks[DELAY-1];
    assign finished_last = lasts[DELAY-1];
    assign finished_count = entries[ENTRY*(DELAY-1) +: ENTRY];

    logic                  read, read_bank;
    logic [ENTRY-1:0]      read_entry;
    logic [COLUMNS*WIDTH-1:0] result;
    lcp_accumulators #(
        .COLUMNS(COLUMNS), .ENTRIES(ENTRIES), .SUM(SUM), .WIDTH(WIDTH), .SHIFT(WORD), .GATES(GATES)
    ) accumulators (
        .clock(clock), .valid(taken[1]), .entry(entries[ENTRY +: ENTRY]), .bank(banks[1]), .clear(clears[1]),
        .shift(shifts[1]), .sums(sums), .read(read), .read_bank(read_bank), .read_entry(read_entry),
        .result(result));

    // MARK: Results

    logic [COLUMNS*CONSTANT-1:0] constants;
    generate
        for (genvar c = 0; c < COLUMNS; c++) begin : constant
            lcp_register #(.WIDTH(CONSTANT), .GATES(GATES)) column_constant (
                .clock(clock), .load(constants_load[c/CONSTANTS]),
                .in(weight_answer[c%CONSTANTS*CONSTANT +: CONSTANT]), .out(constants[c*CONSTANT +: CONSTANT]));
        end
    endgenerate

    logic                    move, direct, raw;
    logic [7:0]              piece;
    logic [WORD-1:0]         zero, least, most;
    logic [COLUMNS*WORD-1:0] numbers;
    logic [COLUMNS-1:0]      clipped;
    generate
        for (genvar c = 0; c < COLUMNS; c++) begin : lane
            lcp_lane #(.WORD(WORD), .WIDTH(WIDTH)) finish (
                .clock(clock), .move(move), .sum(result[c*WIDTH +: WIDTH]), .bias(constants[c*CONSTANT +: 32]),
                .multiplier(constants[c*CONSTANT+32 +: 15]), .right(constants[c*CONSTANT+48 +: 5]), .direct(direct),
                .raw(raw), .piece(piece), .zero(zero), .least(least), .most(most),
                .number(numbers[c*WORD +: WORD]), .clipped(clipped[c]));
        end
    endgenerate

    lcp_drain #(.ROWS(ROWS), .PARTS(PARTS), .WORD(WORD), .WIDTH(WIDTH), .ENTRIES(ENTRIES)) drain (
        .clock(clock), .reset(reset), .finished(finished), .finished_bank(finished_bank),
        .finished_count(finished_count), .finished_last(finished_last), .command(current), .freed(freed),
        .idle(drain_idle), .done(done), .constants_full(constants_full), .constants_used(constants_used),
        .read(read), .read_bank(read_bank), .read_entry(read_entry), .move(move), .direct(direct), .raw(raw), .piece(piece), .zero(zero), .least(least), .most(most),
        .numbers(numbers), .clipped(clipped), .write_valid(write_valid), .write_ready(write_ready),
        .write_mask(write_mask), .write_line(write_line), .write_words(write_words), .clips(clips));
endmodule
