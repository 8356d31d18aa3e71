`include "lcp_command.svh"
// The index logic makes the steps that nested loops make, in their order, however slow the memory is, and ends with the last one.
module test_walker;
    localparam ROWS = 8, LINES = 5, ENTRIES = 16, REGION = ROWS * LINES;
    logic clock = 0, reset = 1;
    always #5 clock = !clock;
    logic [32*`LCP_WORDS-1:0] command = '0;
    logic start = 0, hold = 0, valid, ready = 0;
    logic [23:0] line;
    logic [2:0] offset;
    logic [5:0] low, high;
    logic [3:0] entry;
    logic bank, first, clear, shift, opening, closing, last;
    lcp_walker #(.ROWS(ROWS), .LINES(LINES), .ENTRIES(ENTRIES)) walker (.*);

    typedef struct packed {
        logic [23:0] line;
        logic [2:0] offset;
        logic [5:0] low, high;
        logic [3:0] entry;
        logic bank, first, clear, shift, opening, closing, last;
    } step_t;
    step_t expected [$];
    int steps = 0, walks = 0, edges = 0, outside_ = 0, partial = 0;
    logic which = 0;

    function automatic int between(int least, int most);
        return least + int'($urandom_range(0, 32'(most - least)));
    endfunction
    function automatic int clip(int n);
        return n < 0 ? 0 : n > REGION ? REGION : n;
    endfunction

    // A command at random, and its steps by nested loops.
    task automatic make();
        int window_x, window_y, steps_x, steps_y, inners, outers, block, window, total, blocks;
        int in_x, in_y, in_line, rows, words, inner_x, inner_line, outer_line, outer_row;
        int window_step, step_right, window_row, window_line, step_row, step_line, shifts;
        window_x = between(1, 3);
        window_y = between(1, 3);
        window = window_x * window_y;
        steps_x = between(1, 5);
        steps_y = between(1, 5);
        inners = between(1, 3);
        outers = between(1, 3);
        block = between(1, ENTRIES / window) * window;
        in_x = between(-20, 10);
        in_y = between(-3, 2);
        in_line = between(100, 200);
        rows = between(1, 9);
        words = between(1, 60);
        inner_x = between(-8, 8);
        inner_line = between(-30, 30);
        outer_line = between(-30, 30);
        outer_row = between(-1, 2);
        window_step = between(0, 20);
        step_right = between(0, 40);
        window_row = between(0, 2);
        window_line = between(0, 9);
        step_row = between(0, 4);
        step_line = between(0, 30);
        shifts = between(0, 1);
        command = '0;
        `LCP_IN_LINE(command) = 24'(in_line);
        `LCP_IN_X(command) = 18'(in_x);
        `LCP_IN_Y(command) = 16'(in_y);
        `LCP_IN_ROWS(command) = 16'(rows);
        `LCP_IN_WORDS(command) = 18'(words);
        `LCP_INNER_X(command) = 18'(inner_x);
        `LCP_INNER_LINE(command) = 24'(inner_line);
        `LCP_OUTER_LINE(command) = 24'(outer_line);
        `LCP_OUTER_ROW(command) = 8'(outer_row);
        `LCP_INNERS(command) = 16'(inners - 1);
        `LCP_OUTERS(command) = 16'(outers - 1);
        `LCP_WINDOW_X(command) = 4'(window_x - 1);
        `LCP_WINDOW_Y(command) = 4'(window_y - 1);
        `LCP_STEPS_X(command) = 10'(steps_x - 1);
        `LCP_STEPS_Y(command) = 10'(steps_y - 1);
        `LCP_WINDOW_STEP(command) = 18'(window_step);
        `LCP_STEP_X(command) = 18'(step_right);
        `LCP_WINDOW_ROW(command) = 8'(window_row);
        `LCP_WINDOW_LINE(command) = 24'(window_line);
        `LCP_STEP_ROW(command) = 8'(step_row);
        `LCP_STEP_LINE(command) = 24'(step_line);
        `LCP_BLOCK(command) = 8'(block - 1);
        `LCP_SHIFTED(command) = 1'(shifts);
        total = window * steps_x * steps_y;
        blocks = (total + block - 1) / block;
        expected.delete();
        for (int b = 0; b < blocks; b++) begin
            for (int o = 0; o < outers; o++)
                for (int i = 0; i < inners; i++)
                    for (int n = b * block; n < total && n < (b + 1) * block; n++) begin
                        automatic step_t s;
                        automatic int wx = n % window_x, wy = n / window_x % window_y;
                        automatic int sx = n / window % steps_x, sy = n / window / steps_x;
                        automatic int x = in_x + wx * window_step + sx * step_right + i * inner_x;
                        automatic int y = in_y + wy * window_row + sy * step_row + o * outer_row;
                        automatic int l = in_line + wy * window_line + sy * step_line + o * outer_line + i * inner_line;
                        automatic int line_x = (x >>> 3) * 8;
                        s.line = 24'(l + (x >>> 3));
                        s.offset = 3'(x & 7);
                        s.low = 6'(clip(-line_x));
                        s.high = y < 0 || y >= rows ? '0 : 6'(clip(words - line_x));
                        s.entry = 4'(n - b * block);
                        s.bank = which;
                        s.first = n == b * block;
                        s.clear = o == 0 && i == 0;
                        s.shift = shifts == 1 && o > 0 && i == 0;
                        s.opening = s.first && s.clear;
                        s.closing = o == outers - 1 && i == inners - 1 && (n == total - 1 || n == (b + 1) * block - 1);
                        s.last = s.closing && n == total - 1;
                        expected.push_back(s);
                        if (s.low != 0) edges++;
                        if (s.high == 0) outside_++;
                        if (s.closing && int'(s.entry) != block - 1) partial++;
                    end
            which = !which;
        end
    endtask

    initial begin
        repeat (3) @(negedge clock);
        reset = 0;
        for (walks = 0; walks < 400; walks++) begin
            automatic int quiet = 0;
            make();
            ready = 0;
            @(negedge clock);
            start = 1;
            hold = $urandom_range(0, 1) == 1;
            @(negedge clock);
            start = 0;
            repeat (3) begin
                if (hold && valid) $fatal(1, "a walk begins although it is held");
                @(negedge clock);
            end
            hold = 0;
            while (expected.size() > 0) begin
                ready = $urandom_range(0, 2) != 0;
                #1;
                if (valid && ready) begin
                    automatic step_t s = expected.pop_front();
                    automatic step_t found = {line, offset, low, high, entry, bank, first, clear, shift, opening, closing, last};
                    if (s != found) $fatal(1, "walk %0d, step %0d: %p instead of %p", walks, steps, found, s);
                    steps++;
                    quiet = 0;
                end else if (quiet > 100) $fatal(1, "walk %0d stands still", walks);
                quiet++;
                @(negedge clock);
            end
            ready = 1;
            repeat (5) begin
                #1;
                if (valid) $fatal(1, "walk %0d goes on behind its end", walks);
                @(negedge clock);
            end
        end
        if (edges == 0 || outside_ == 0 || partial == 0) $fatal(1, "the test walks over no edges");
        $display("lcp_walker: %0d steps of %0d walks", steps, walks);
        $finish;
    end
endmodule
