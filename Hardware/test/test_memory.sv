// What is read beside what was written last, also in the same clock, and held meanwhile.
module test_memory;
    logic clock = 0, read = 0, write = 0;
    logic [3:0] read_place = 0, write_place = 0;
    logic [11:0] found, word = 0;
    lcp_memory #(.WIDTH(12), .DEPTH(16)) memory (.*);
    always #5 clock = !clock;

    logic [11:0] words [16];
    logic [11:0] expected;
    int reads = 0, together = 0;

    initial begin
        for (int n = 0; n < 16; n++) begin
            write = 1;
            write_place = 4'(n);
            word = 12'($urandom);
            words[n] = word;
            @(negedge clock);
        end
        read = 1;
        @(negedge clock);
        expected = words[0];
        for (int n = 0; n < 20000; n++) begin
            read = $urandom_range(0, 1) == 1;
            write = $urandom_range(0, 1) == 1;
            read_place = 4'($urandom);
            write_place = $urandom_range(0, 3) == 0 ? read_place : 4'($urandom);
            word = 12'($urandom);
            if (read) begin
                expected = words[read_place];
                reads++;
                if (write && read_place == write_place) together++;
            end
            if (write) words[write_place] = word;
            @(negedge clock);
            if (found != expected) $fatal(1, "%h was read, not %h", found, expected);
        end
        if (together < 100) $fatal(1, "hardly a word is read and written at once");
        $display("lcp_memory: %0d reads", reads);
        $finish;
    end
endmodule
