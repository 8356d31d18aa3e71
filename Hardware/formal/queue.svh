// What holds of a queue in every clock, whatever comes: nothing is lost or made up, and what went in first comes out first.
// One value, of which the place in the queue is known; any.
logic         began = 0, marked = 0;
logic [PLACE:0] ahead;
logic [WIDTH-1:0] mark;
(* anyseq *) logic chosen;
wire enters = in_valid && in_ready;
wire leaves = out_valid && out_ready;
wire [PLACE:0] held = head - tail;
wire [PLACE-1:0] marked_place = tail[PLACE-1:0] + ahead[PLACE-1:0];
always @(posedge clock) begin
    began <= 1;
    if (!marked && enters && chosen) begin
        marked <= 1;
        mark <= in;
        ahead <= held - leaves;
    end else if (marked && leaves) begin
        if (ahead == 0) marked <= 0;
        else ahead <= ahead - 1'b1;
    end
    if (reset) marked <= 0;
    if (!began) assume (reset);
    else begin
        assert (held <= DEPTH);
        assert (in_ready == (held < DEPTH));
        assert (out_valid == (held > 0));
        if (marked) begin
            assert (ahead < held);
            assert (memory[marked_place] == mark);
            if (ahead == 0) assert (out == mark);
        end
    end
end
