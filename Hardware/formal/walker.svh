// What holds of the index logic in every clock, for any command: a request that nobody took stays, a walk stays within its block and ends with
// its last step.
logic began = 0, waits = 0, ended = 0;
localparam STATE = 24 + OFFSET + 2 * PLACE + ENTRY + 7;
logic [STATE-1:0] before;
wire [STATE-1:0] now = {line, offset, low, high, entry, bank, first, clear, shift, opening, closing, last};
logic [32*`LCP_WORDS-1:0] command_before;
always @(posedge clock) begin
    began <= 1;
    waits <= valid && !ready && !reset;
    ended <= valid && ready && last && !reset;
    before <= now;
    command_before <= command;
    if (!began) assume (reset);
    // The array changes the command when a walk has ended and begins with the next one then, and blocks have at most as many steps as there are
    // entries.
    assume (`LCP_BLOCK(command) < ENTRIES);
    if (began) assume (command == command_before || start);
    if (start) assume (!running && !valid);
    if (began) begin
        assert (!waits || valid && now == before);
        assert (!ended || !valid);
        assert (!running || count <= `LCP_BLOCK(command));
        if (valid) begin
            assert (entry <= `LCP_BLOCK(command));
            assert (low <= LINES * ROWS && high <= LINES * ROWS);
            assert (first == (entry == 0));
            assert (!opening || first && clear);
            assert (!last || closing && !running);
            assert (!shift || !clear);
        end
    end
end
