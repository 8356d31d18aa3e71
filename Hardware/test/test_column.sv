// Sums of a column beside those that were added up here, as registers with a choice and with a clock that is stopped.
module test_column;
    localparam ROWS = 16, WORD = 8, SUM = 2 * WORD + 4;
    logic clock = 0, load = 0, swap = 0, work = 0, add = 0;
    logic [ROWS*WORD-1:0] coming = '0, passing = '0;
    logic signed [SUM-1:0] plain, gates;
    lcp_column #(.ROWS(ROWS), .WORD(WORD), .GATES(0)) usual (
        .clock(clock), .load(load), .swap(swap), .work(work), .add(add), .coming(coming), .passing(passing), .sum(plain));
    lcp_column #(.ROWS(ROWS), .WORD(WORD), .GATES(1)) gated (
        .clock(clock), .load(load), .swap(swap), .work(work), .add(add), .coming(coming), .passing(passing), .sum(gates));
    always #5 clock = !clock;

    int next [ROWS], stays [ROWS], products [ROWS], expected = 0, sums = 0, held = 0;

    function automatic int word(logic [ROWS*WORD-1:0] words, int r);
        return int'($signed(words[r*WORD +: WORD]));
    endfunction

    initial begin
        // Everything is set first: a register has no number before.
        for (int n = 0; n < 4; n++) begin
            {load, swap, work, add} = 4'b1111;
            @(negedge clock);
        end
        for (int r = 0; r < ROWS; r++) {next[r], stays[r], products[r]} = '0;
        for (int n = 0; n < 20000; n++) begin
            automatic int total = 0;
            automatic logic [ROWS*WORD-1:0] a, b;
            for (int r = 0; r < ROWS; r++) begin
                a[r*WORD +: WORD] = WORD'($urandom);
                b[r*WORD +: WORD] = $urandom_range(0, 7) == 0 ? 8'h80 : WORD'($urandom);
            end
            coming = a;
            passing = b;
            load = $urandom_range(0, 2) == 0;
            swap = $urandom_range(0, 3) == 0;
            work = $urandom_range(0, 3) != 0;
            add = $urandom_range(0, 3) != 0;
            @(posedge clock);
            for (int r = 0; r < ROWS; r++) total += products[r];
            if (add) expected = total;
            else held++;
            for (int r = 0; r < ROWS; r++) begin
                if (work) products[r] = stays[r] * word(passing, r);
                if (swap) stays[r] = next[r];
                if (load) next[r] = word(coming, r);
            end
            @(negedge clock);
            if (int'(plain) != expected || int'(gates) != expected)
                $fatal(1, "sum %0d is %0d, and %0d with stopped clocks, not %0d", n, plain, gates, expected);
            sums++;
        end
        if (held < 1000) $fatal(1, "hardly a sum is held");
        $display("lcp_column: %0d sums, with clocks that stop and without", sums);
        $finish;
    end
endmodule
