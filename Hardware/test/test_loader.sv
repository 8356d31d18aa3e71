`include "lcp_command.svh"
// Every chunk's weights come to every group of columns, in order and before they are used, and the constants once for a command and not
// before those of the command before it were used.
module test_loader;
    localparam COLUMNS = 16, TOGETHER = 2, CONSTANT_LINES = 3;
    logic clock = 0, reset = 1;
    always #5 clock = !clock;
    logic offered = 0, taken;
    logic [32*`LCP_WORDS-1:0] command = '0;
    logic request_valid, request_ready = 0, answer_valid = 0, answer_ready;
    logic [23:0] request_line;
    logic [COLUMNS-1:0] load;
    logic full, swap = 0, constants_full, constants_used = 0;
    logic [CONSTANT_LINES-1:0] constants_load;
    lcp_loader #(.COLUMNS(COLUMNS), .TOGETHER(TOGETHER), .CONSTANT_LINES(CONSTANT_LINES)) loader (.*);

    // Lines on their way; what each column has.
    int asked [$];
    int held [COLUMNS], constants [CONSTANT_LINES];
    int swaps = 0, commands = 0, waits = 0;

    logic wanted;
    int line;
    int groups, lines, chunks, blocks, weight_line, constant_line;

    // One clock: memory and cells do what they do.
    task automatic tick();
        request_ready = $urandom_range(0, 3) != 0;
        answer_valid = asked.size() > 0 && $urandom_range(0, 3) != 0;
        #1;
        if (answer_valid && answer_ready) begin
            line = asked.pop_front();
            for (int c = 0; c < COLUMNS; c++) held[c] = load[c] ? line * TOGETHER + c % TOGETHER : held[c];
            for (int l = 0; l < CONSTANT_LINES; l++) constants[l] = constants_load[l] ? line : constants[l];
        end else if (load != '0 || constants_load != '0) $fatal(1, "a line is taken that is not there");
        if (request_valid && request_ready) asked.push_back(int'(request_line));
        @(negedge clock);
    endtask

    initial begin
        repeat (3) @(negedge clock);
        reset = 0;
        for (commands = 0; commands < 150; commands++) begin
            groups = 1 << $urandom_range(0, 3);
            lines = int'($urandom_range(1, 32'(COLUMNS / groups / TOGETHER)));
            chunks = int'($urandom_range(1, 5));
            blocks = int'($urandom_range(1, 3));
            weight_line = int'($urandom_range(0, 1000));
            constant_line = weight_line + chunks * lines;
            command = '0;
            `LCP_GROUPS(command) = 2'($clog2(groups));
            `LCP_CHUNK_LINES(command) = 8'(lines - 1);
            `LCP_CHUNKS(command) = 24'(chunks - 1);
            `LCP_BLOCKS(command) = 16'(blocks);
            `LCP_WEIGHT_LINE(command) = 24'(weight_line);
            `LCP_CONSTANT_LINE(command) = 24'(constant_line);
            offered = 1;
            wanted = 1;
            while (wanted) begin
                #1;
                wanted = !taken;
                tick();
            end
            offered = 0;
            for (int b = 0; b < blocks; b++)
                for (int k = 0; k < chunks; k++) begin
                    automatic int quiet = 0;
                    while (!full) begin
                        quiet++;
                        if (quiet > 200) $fatal(1, "chunk %0d of command %0d does not come", k, commands);
                        // The command before is done some time.
                        constants_used = constants_full && quiet == 100;
                        tick();
                        constants_used = 0;
                    end
                    for (int c = 0; c < COLUMNS; c++) begin
                        automatic int place = c % (COLUMNS / groups);
                        if (place < lines * TOGETHER && held[c] != (weight_line + k * lines) * TOGETHER + place)
                            $fatal(1, "column %0d has %0d", c, held[c]);
                    end
                    // The next one may come, and must not take this one's place.
                    repeat ($urandom_range(0, 20)) begin
                        automatic int before_ = held[0];
                        tick();
                        if (held[0] != before_) $fatal(1, "weights that are not used yet are lost");
                    end
                    swap = 1;
                    tick();
                    swap = 0;
                    swaps++;
                end
            if (!constants_full) begin
                waits++;
                for (int n = 0; n < 200 && !constants_full; n++) tick();
            end else if (constants[0] != constant_line) begin
                // They wait for those of the command before.
                constants_used = 1;
                tick();
                constants_used = 0;
                for (int n = 0; n < 200 && !constants_full; n++) tick();
            end
            for (int l = 0; l < CONSTANT_LINES; l++)
                if (!constants_full || constants[l] != constant_line + l) $fatal(1, "constants of command %0d are %0d", commands, constants[l]);
            // Those of the next command must wait until these are used.
            if (commands % 2 == 0) begin
                constants_used = 1;
                tick();
                constants_used = 0;
            end
        end
        if (waits == 0) $fatal(1, "no command waited for its constants");
        $display("lcp_loader: %0d chunks of %0d commands", swaps, commands);
        $finish;
    end
endmodule
