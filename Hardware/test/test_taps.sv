// Every block sees its own words of the lines, and padding where the row ends.
module test_taps;
    localparam ROWS = 8, WORD = 8, LINES = 3, BLOCKS = 8, REGION = ROWS * LINES, PLACE = $clog2(REGION + 1);
    logic [REGION*WORD-1:0] lines;
    logic [PLACE-1:0] low, high;
    logic [$clog2(ROWS)-1:0] offset;
    logic [BLOCKS*PLACE-1:0] offsets;
    logic [WORD-1:0] pad;
    logic [BLOCKS*ROWS*WORD-1:0] passing;
    lcp_taps #(.ROWS(ROWS), .WORD(WORD), .LINES(LINES), .BLOCKS(BLOCKS)) taps (.*);

    int wrong = 0, padded = 0;
    initial begin
        for (int n = 0; n < 20000; n++) begin
            automatic int step = $urandom_range(0, 2);
            for (int w = 0; w < REGION; w++) lines[w*WORD +: WORD] = WORD'($urandom);
            low = PLACE'($urandom_range(0, REGION));
            high = PLACE'($urandom_range(0, REGION));
            offset = 3'($urandom);
            pad = WORD'($urandom);
            for (int b = 0; b < BLOCKS; b++) offsets[b*PLACE +: PLACE] = PLACE'(b * step);
            #1;
            for (int b = 0; b < BLOCKS; b++)
                for (int r = 0; r < ROWS; r++) begin
                    automatic int word = int'(offset) + b * step + r;
                    if (word < REGION) begin
                        automatic logic inside_ = word >= int'(low) && word < int'(high);
                        if (!inside_) padded++;
                        if (passing[(b*ROWS+r)*WORD +: WORD] != (inside_ ? lines[word*WORD +: WORD] : pad)) wrong++;
                    end
                end
        end
        if (wrong != 0 || padded == 0) $fatal(1, "%0d words are wrong, %0d were padding", wrong, padded);
        $display("lcp_taps: 20,000 windows");
        $finish;
    end
endmodule
