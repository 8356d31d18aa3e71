// What holds of the drain in every clock: a line that was not taken stays, and meanwhile nothing moves and nothing is counted.
logic began = 0, waits = 0;
logic [PARTS*(25+ROWS*WORD)-1:0] before;
logic [31:0] clips_before;
always @(posedge clock) begin
    began <= 1;
    waits <= write_valid && !write_ready && !reset;
    before <= {write_mask, write_line, write_words};
    clips_before <= clips;
    if (!began) assume (reset);
    else begin
        assert (!waits || write_valid && {write_mask, write_line, write_words} == before && clips == clips_before);
        assert (!write_valid || write_ready || !move);
        assert (!done || write_valid && write_ready);
        assert (!idle || !write_valid);
        assert (!read || move);
    end
end
