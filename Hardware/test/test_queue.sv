// What goes in comes out, in order, whatever both sides do; and never more goes in than there is room.
module test_queue;
    logic clock = 0, reset = 1;
    logic in_valid = 0, in_ready, out_valid, out_ready = 0;
    logic [15:0] in = 0, out;
    lcp_queue #(.WIDTH(16), .DEPTH(8)) queue (.*);
    always #5 clock = !clock;

    int sent = 0, got = 0, most = 0;
    initial begin
        repeat (3) @(negedge clock);
        reset = 0;
        for (int n = 0; n < 20000; n++) begin
            // Each side is quick for a while, and slow for a while.
            in_valid = $urandom_range(0, 9) < (n / 500 % 2 == 0 ? 8 : 2);
            out_ready = $urandom_range(0, 9) < (n / 700 % 2 == 0 ? 2 : 8);
            in = 16'(sent);
            #1;
            if (out_valid && out != 16'(got)) $fatal(1, "number %0d came as %0d", got, out);
            if (out_valid != (sent > got)) $fatal(1, "the queue says it is %s", out_valid ? "not empty" : "empty");
            if (in_ready != (sent - got < 8)) $fatal(1, "the queue says it is %s", in_ready ? "not full" : "full");
            if (sent - got > most) most = sent - got;
            if (out_valid && out_ready) got++;
            if (in_valid && in_ready) sent++;
            @(negedge clock);
        end
        if (most != 8 || got < 1000) $fatal(1, "the test did not fill the queue");
        $display("lcp_queue: %0d values", got);
        $finish;
    end
endmodule
