// What holds of the loader in every clock: a request that nobody took stays, columns and lanes take only what came, and nothing that waits to be used
// is overwritten.
logic began = 0, waits = 0;
logic [23:0] before;
always @(posedge clock) begin
    began <= 1;
    waits <= request_valid && !request_ready && !reset;
    before <= request_line;
    if (!began) assume (reset);
    else begin
        assert (!waits || request_valid && request_line == before);
        assert (load == 0 || answer_valid && answer_ready);
        assert (constants_load == 0 || answer_valid && answer_ready);
        assert (load == 0 || constants_load == 0);
        assert (!full || load == 0 || swap);
        assert (!constants_full || constants_load == 0);
    end
end
