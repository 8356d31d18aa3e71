`include "lcp_command.svh"
// Reads finished blocks out, sends the sums through the lanes, keeps the largest of each window, and writes them as lines.
module lcp_drain #(
    parameter ROWS = 32,
    parameter PARTS = 2,
    parameter WORD = 8,
    parameter WIDTH = 32,
    parameter ENTRIES = 64,
    localparam ENTRY = $clog2(ENTRIES),
    localparam PIECES = WIDTH / WORD,
    localparam COLUMNS = ROWS * PARTS,
    localparam CLIPS = $clog2(COLUMNS + 1)
) (
    input  logic                     clock,
    input  logic                     reset,
    // A block that is finished, with its command.
    input  logic                     finished,
    input  logic                     finished_bank,
    input  logic [ENTRY-1:0]         finished_count, // steps, less one
    input  logic                     finished_last,  // of its command
    input  logic [32*`LCP_WORDS-1:0] command,
    output logic [1:0]               freed,          // banks of which the last sum was taken
    output logic                     idle,           // everything is written
    output logic                     done,      // a command that asks for it was written
    // Its constants.
    input  logic                     constants_full,
    output logic                     constants_used,
    // The accumulators.
    output logic                     read,
    output logic                     read_bank,
    output logic [ENTRY-1:0]         read_entry,
    // The lanes, four clocks behind the accumulators.
    output logic                     move,
    output logic                     direct,
    output logic                     raw,
    output logic [7:0]               piece,
    output logic [WORD-1:0]          zero,
    output logic [WORD-1:0]          least,
    output logic [WORD-1:0]          most,
    input  logic [COLUMNS*WORD-1:0]  numbers,
    input  logic [COLUMNS-1:0]       clipped,
    // The memory.
    output logic                     write_valid,
    input  logic                     write_ready,
    output logic [PARTS-1:0]         write_mask,
    output logic [PARTS*24-1:0]      write_line,
    output logic [COLUMNS*WORD-1:0]  write_words,
    output logic [31:0]              clips           // numbers that were clipped
);
    // What a command says, for each bank.
    logic [ENTRY-1:0] counts [2];
    logic [1:0]       lasts, raws, directs, interrupts;
    logic [7:0]       parts [2];
    logic [7:0]       windows [2];
    logic [9:0]       steps_x [2];
    logic [23:0]      out_line [2], out_row [2];
    logic [15:0]      out_step [2], out_part [2];
    logic [WORD-1:0]  zeros [2], leasts [2], mosts [2];

    // What is read: bank by bank in turn.
    logic             bank;
    logic             begun;        // the command's first line is known
    logic             ending;       // its last sum was read, and is not written
    logic [1:0]       busy;
    logic [ENTRY-1:0] entry;
    logic [7:0]       window;
    logic [7:0]       slice;
    logic [9:0]       step_x;
    logic [23:0]      row_line, step_line;

    // Behind the accumulators: the read, then four clocks of the lanes.
    localparam DEPTH = 5;
    logic [DEPTH-1:0] going, opens, closes, ends, calls;
    logic             frees, frees_bank;
    logic [24*DEPTH-1:0] lines;
    logic [8*DEPTH-1:0]  slices;
    logic [PARTS-1:0]    mask;
    logic [15:0]         apart;     // lines from a part to the next

    assign move = !write_valid || write_ready;
    wire [7:0] slice_last = raws[bank] ? 8'(PIECES - 1) : '0;
    wire slice_ends = slice == slice_last;
    wire window_ends = window == windows[bank];
    wire entry_ends = entry == counts[bank];
    wire block_ends = slice_ends && entry_ends;

    assign read = busy[bank] && constants_full && begun && !ending && move;
    assign read_bank = bank;
    assign read_entry = entry;

    always_ff @(posedge clock) begin
        if (finished) begin
            busy[finished_bank] <= 1'b1;
            counts[finished_bank] <= finished_count;
            lasts[finished_bank] <= finished_last;
            interrupts[finished_bank] <= `LCP_INTERRUPT(command);
            raws[finished_bank] <= `LCP_RAW(command);
            directs[finished_bank] <= `LCP_DIRECT(command);
            parts[finished_bank] <= `LCP_PARTS(command);
            windows[finished_bank] <= 8'((`LCP_WINDOW_X(command) + 1) * (`LCP_WINDOW_Y(command) + 1) - 1);
            steps_x[finished_bank] <= `LCP_STEPS_X(command);
            out_line[finished_bank] <= `LCP_OUT_LINE(command);
            out_row[finished_bank] <= `LCP_OUT_ROW(command);
            out_step[finished_bank] <= `LCP_OUT_STEP(command);
            out_part[finished_bank] <= `LCP_OUT_PART(command);
            zeros[finished_bank] <= WORD'(`LCP_ZERO(command));
            leasts[finished_bank] <= WORD'(`LCP_LEAST(command));
            mosts[finished_bank] <= WORD'(`LCP_MOST(command));
        end
        if (busy[bank] && !begun) begin
            // A command begins.
            begun <= 1'b1;
            entry <= '0;
            slice <= '0;
            window <= '0;
            step_x <= '0;
            row_line <= out_line[bank];
            step_line <= out_line[bank];
        end else if (read) begin
            slice <= slice_ends ? '0 : slice + 1'b1;
            if (slice_ends) begin
                entry <= entry_ends ? '0 : entry + 1'b1;
                window <= window_ends ? '0 : window + 1'b1;
                if (window_ends) begin
                    step_x <= step_x == steps_x[bank] ? '0 : step_x + 1'b1;
                    step_line <= step_x == steps_x[bank] ? row_line + out_row[bank] : step_line + 24'(out_step[bank]);
                    if (step_x == steps_x[bank]) row_line <= row_line + out_row[bank];
                end
            end
            if (block_ends) begin
                bank <= !bank;
                if (lasts[bank]) begun <= 1'b0;
                if (lasts[bank]) ending <= 1'b1;
            end
        end
        if (constants_used) ending <= 1'b0;
        for (int b = 0; b < 2; b++)
            if (freed[b]) busy[b] <= 1'b0;
        if (reset) begin
            busy <= '0;
            bank <= 1'b0;
            begun <= 1'b0;
            ending <= 1'b0;
        end
    end

    // With the numbers.
    always_ff @(posedge clock) begin
        if (move) begin
            going <= {going[DEPTH-2:0], read};
            frees <= read && block_ends;
            frees_bank <= bank;
            opens <= {opens[DEPTH-2:0], window == '0};
            closes <= {closes[DEPTH-2:0], window_ends};
            ends <= {ends[DEPTH-2:0], block_ends && lasts[bank]};
            calls <= {calls[DEPTH-2:0], interrupts[bank]};
            lines <= {lines[24*(DEPTH-1)-1:0], step_line + 24'(slice)};
            slices <= {slices[8*(DEPTH-1)-1:0], slice};
            if (read) begin
                // The same for all that is under way: another command's first number comes when the one earlier is written.
                direct <= directs[bank];
                raw <= raws[bank];
                zero <= zeros[bank];
                least <= leasts[bank];
                most <= mosts[bank];
                apart <= out_part[bank];
                for (int p = 0; p < PARTS; p++) mask[p] <= p <= parts[bank];
            end
        end
        if (reset) begin
            going <= '0;
            frees <= 1'b0;
        end
    end
    // A sum that waits stands in the accumulators.
    assign freed = {frees && move && frees_bank, frees && move && !frees_bank};
    assign piece = slices[7:0];

    // The largest of a window.
    logic [COLUMNS*WORD-1:0] largest, chosen;
    always_comb begin
        for (int c = 0; c < COLUMNS; c++)
            chosen[c*WORD +: WORD] =
                !opens[DEPTH-1] && $signed(largest[c*WORD +: WORD]) > $signed(numbers[c*WORD +: WORD])
                    ? largest[c*WORD +: WORD] : numbers[c*WORD +: WORD];
    end

    logic [CLIPS-1:0] clipped_now;
    always_comb begin
        clipped_now = '0;
        for (int c = 0; c < COLUMNS; c++) clipped_now += CLIPS'(clipped[c] && mask[c/ROWS]);
    end

    wire [PARTS*24-1:0] part_lines;
    generate
        for (genvar p = 0; p < PARTS; p++) begin : part_line
            wire [23:0] line;
            if (p == 0) begin : first
                assign line = lines[24*(DEPTH-1) +: 24];
            end else begin : further
                assign line = part_line[p-1].line + 24'(apart);
            end
            assign part_lines[p*24 +: 24] = line;
        end
    endgenerate

    logic interrupt_next;
    always_ff @(posedge clock) begin
        if (move) begin
            write_valid <= going[DEPTH-1] && closes[DEPTH-1];
            write_mask <= mask;
            write_line <= part_lines;
            write_words <= chosen;
            if (going[DEPTH-1]) largest <= chosen;
            if (going[DEPTH-1]) clips <= clips + 32'(clipped_now);
            interrupt_next <= going[DEPTH-1] && ends[DEPTH-1] && calls[DEPTH-1];
        end
        if (reset) begin
            write_valid <= 1'b0;
            clips <= '0;
            interrupt_next <= 1'b0;
        end
    end
    assign done = interrupt_next && write_valid && write_ready;
    // The lanes have taken the last sum's constants.
    assign constants_used = move && going[DEPTH-1] && ends[DEPTH-1];
    assign idle = busy == '0 && going == '0 && !write_valid;

`ifdef FORMAL
`include "drain.svh"
`endif
endmodule
