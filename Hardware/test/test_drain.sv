`include "lcp_command.svh"
// Finished blocks are read out once and in order, with their command's constants, windows become their largest number, every line goes where
// the command says, and nothing is lost while the memory takes nothing.
module test_drain;
    localparam ROWS = 4, PARTS = 2, WORD = 8, WIDTH = 16, ENTRIES = 8;
    logic clock = 0, reset = 1;
    always #5 clock = !clock;
    logic finished = 0, finished_bank = 0, finished_last = 0;
    logic [2:0] finished_count = 0;
    logic [32*`LCP_WORDS-1:0] command = '0;
    logic [1:0] freed;
    logic idle, done, constants_full = 0, constants_used;
    logic read, read_bank;
    logic [2:0] read_entry;
    logic move, direct, raw;
    logic [7:0] piece;
    logic [WORD-1:0] zero, least, most;
    logic [PARTS*ROWS*WORD-1:0] numbers;
    logic [PARTS*ROWS-1:0] clipped;
    logic write_valid, write_ready = 0;
    logic [PARTS-1:0] write_mask;
    logic [PARTS*24-1:0] write_line;
    logic [PARTS*ROWS*WORD-1:0] write_words;
    logic [31:0] clips;
    lcp_drain #(.ROWS(ROWS), .PARTS(PARTS), .WORD(WORD), .WIDTH(WIDTH), .ENTRIES(ENTRIES)) drain (.*);

    // Accumulators and lanes in short: a number of each bank, entry and column, five clocks behind the read.
    logic signed [WORD-1:0] sums [2][ENTRIES][PARTS][ROWS];
    logic [PARTS*ROWS*WORD-1:0] lanes [5];
    always_ff @(posedge clock) begin
        if (move) begin
            lanes[4] <= lanes[3];
            lanes[3] <= lanes[2];
            lanes[2] <= lanes[1];
            lanes[1] <= lanes[0];
        end
        if (read)
            for (int p = 0; p < PARTS; p++)
                for (int r = 0; r < ROWS; r++)
                    lanes[0][(p*ROWS+r)*WORD +: WORD] <= sums[read_bank][read_entry][p][r];
    end
    assign numbers = lanes[4];
    assign clipped = '0;

    typedef struct packed {
        logic is_last;   // of those that are written together
        logic [23:0] line;
        logic [ROWS*WORD-1:0] words;
    } line_t;
    line_t expected [$];
    int commands = 0, lines = 0, held = 0, interrupts = 0, wanted_interrupts = 0, used = 0;
    logic [1:0] owned = 0;
    logic bank = 0;

    always @(posedge clock) if (!reset) begin
        if (write_valid && !write_ready) held++;
        if (write_valid && write_ready) begin
            automatic logic ends = 0;
            for (int p = 0; p < PARTS; p++) if (write_mask[p]) begin
                automatic logic [23:0] line = write_line[p*24 +: 24];
                automatic logic [ROWS*WORD-1:0] words = write_words[p*ROWS*WORD +: ROWS*WORD];
                if (expected.size() == 0 || ends) $fatal(1, "a line is written that nobody asked for");
                if (line != expected[0].line || words != expected[0].words)
                    $fatal(1, "line %0d is %x, not line %0d with %x", line, words, expected[0].line, expected[0].words);
                ends = expected[0].is_last;
                expected.delete(0);
                lines++;
            end
            if (!ends) $fatal(1, "a line is left out");
        end
        if (done) interrupts++;
        if (constants_used) begin
            used++;
            constants_full <= 0;
        end else if (!constants_full && $urandom_range(0, 3) == 0) constants_full <= 1;
        owned <= owned & ~freed;
    end
    always @(negedge clock) write_ready = $urandom_range(0, 2) != 0;

    initial begin
        repeat (3) @(negedge clock);
        reset = 0;
        for (commands = 0; commands < 200; commands++) begin
            automatic int window_x = int'($urandom_range(1, 2)), window_y = int'($urandom_range(1, 2));
            automatic int window = window_x * window_y;
            automatic int steps_x = int'($urandom_range(1, 4)), steps_y = int'($urandom_range(1, 3));
            automatic int parts = int'($urandom_range(1, PARTS));
            automatic int block = int'($urandom_range(1, 32'(ENTRIES / window))) * window;
            automatic int total = window * steps_x * steps_y;
            automatic int first = int'($urandom_range(0, 500)), row = int'($urandom_range(1, 50));
            automatic int step = int'($urandom_range(1, 9)), part_step = int'($urandom_range(1, 5));
            automatic logic signed [WORD-1:0] largest [PARTS][ROWS];
            automatic int done = 0;
            while (done < total) begin
                automatic int count = total - done < block ? total - done : block;
                // Where two banks are read out there is nowhere to add to.
                while (owned[bank]) @(negedge clock);
                for (int e = 0; e < count; e++)
                    for (int p = 0; p < PARTS; p++)
                        for (int r = 0; r < ROWS; r++) sums[bank][e][p][r] = WORD'($urandom);
                for (int e = 0; e < count; e++) begin
                    automatic int n = done + e;
                    for (int p = 0; p < parts; p++) begin
                        automatic line_t l;
                        for (int r = 0; r < ROWS; r++) begin
                            if (n % window == 0 || sums[bank][e][p][r] > largest[p][r]) largest[p][r] = sums[bank][e][p][r];
                            l.words[r*WORD +: WORD] = largest[p][r];
                        end
                        l.is_last = p == parts - 1;
                        l.line = 24'(first + n / window / steps_x * row + n / window % steps_x * step + p * part_step);
                        if (n % window == window - 1) expected.push_back(l);
                    end
                end
                done += count;
                command = '0;
                `LCP_INTERRUPT(command) = 1'(commands % 3 == 0);
                `LCP_PARTS(command) = 8'(parts - 1);
                `LCP_WINDOW_X(command) = 4'(window_x - 1);
                `LCP_WINDOW_Y(command) = 4'(window_y - 1);
                `LCP_STEPS_X(command) = 10'(steps_x - 1);
                `LCP_OUT_LINE(command) = 24'(first);
                `LCP_OUT_ROW(command) = 24'(row);
                `LCP_OUT_STEP(command) = 16'(step);
                `LCP_OUT_PART(command) = 16'(part_step);
                finished = 1;
                finished_bank = bank;
                finished_count = 3'(count - 1);
                finished_last = done == total;
                if (finished_last && commands % 3 == 0) wanted_interrupts++;
                owned[bank] = 1;
                bank = !bank;
                @(negedge clock);
                finished = 0;
                repeat ($urandom_range(0, 12)) @(negedge clock);
            end
        end
        for (int n = 0; n < 5000 && !idle; n++) @(negedge clock);
        repeat (3) @(negedge clock);
        if (!idle || expected.size() != 0) $fatal(1, "%0d lines are not written", expected.size());
        if (interrupts != wanted_interrupts || used != commands || held < 100)
            $fatal(1, "%0d interrupts, not %0d; constants of %0d commands, not %0d; %0d clocks held up",
                interrupts, wanted_interrupts, used, commands, held);
        $display("lcp_drain: %0d lines of %0d commands", lines, commands);
        $finish;
    end
endmodule
