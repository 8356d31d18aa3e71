// A lane rounds, multiplies and clamps as Documentation/integer-arithmetic.md says, also while it is held up, and with other constants
// for every sum.
module test_lane;
    logic clock = 0, move = 1;
    always #5 clock = !clock;

    logic signed [31:0] sum, bias;
    logic [14:0] multiplier;
    logic [4:0] right;
    logic direct = 0, raw = 0;
    logic [7:0] piece;
    logic signed [7:0] zero = 0, least = -128, most = 127, number;
    logic clipped;
    lcp_lane #(.WORD(8), .WIDTH(32)) eight (.*);

    logic signed [47:0] sum48;
    logic signed [15:0] zero16 = 0, least16 = -32768, most16 = 32767, number16;
    logic clipped16;
    lcp_lane #(.WORD(16), .WIDTH(48)) fixed (
        .clock(clock), .move(move), .sum(sum48), .bias(bias), .multiplier(15'd0), .right(5'd0), .direct(1'b0), .raw(raw),
        .piece(piece), .zero(zero16), .least(least16), .most(most16), .number(number16), .clipped(clipped16));

    function automatic longint shifted(longint n, int s);
        return s == 0 ? n : (n + (64'sd1 <<< (s - 1))) >>> s;
    endfunction
    function automatic longint clamp(longint n, longint l, longint h);
        return n < l ? l : n > h ? h : n;
    endfunction

    longint expected[$], expected16[$];
    int wrong = 0, seen = 0, held = 0, clips = 0;

    initial begin
        for (int mode = 0; mode < 3; mode++) begin
            direct = mode == 1;
            raw = mode == 2;
            zero = 8'($urandom_range(0, 255));
            least = -8'sd100;
            most = 8'sd90;
            least16 = mode == 0 ? -16'sd32768 : 16'sd0;
            expected.delete();
            expected16.delete();
            for (int n = 0; n < 20000; n++) begin
                automatic longint t, value;
                @(negedge clock);
                move = $urandom_range(0, 4) != 0;
                if (!move) begin
                    held++;
                    continue;
                end
                // What was given four clocks before.
                #1;
                sum = 32'($urandom) >>> $urandom_range(2, 31);
                bias = 32'($urandom) >>> $urandom_range(2, 31);
                multiplier = 15'($urandom_range(16384, 32767));
                right = 5'($urandom_range(0, 30));
                piece = raw ? 8'($urandom_range(0, 2)) : '0;
                sum48 = 48'({$urandom, $urandom}) >>> $urandom_range(8, 46);
                t = clamp(shifted(64'(sum) + 64'(bias), int'(right)), -32768, 32767);
                value = direct ? t : shifted(shifted(t * 64'(multiplier), 15), 6);
                value = clamp(clamp(value + 64'(zero), -128, 127), 64'(least), 64'(most));
                if (raw) value = 64'($signed(8'((64'(sum) + 64'(bias)) >>> (8 * piece))));
                expected.push_back(value);
                value = 64'(sum48) + (64'(bias) <<< 13);
                value = raw ? 64'($signed(16'(value >>> (16 * piece))))
                    : clamp(clamp(shifted(value, 13), -32768, 32767), 64'(least16), 64'(most16));
                expected16.push_back(value);
                @(posedge clock);
                #1;
                if (expected.size() >= 4) begin
                    if (64'(number) != expected.pop_front()) wrong++;
                    if (64'(number16) != expected16.pop_front()) wrong++;
                    if (clipped) clips++;
                    seen++;
                end
            end
        end
        if (wrong != 0 || seen < 40000 || held < 1000 || clips == 0)
            $fatal(1, "%0d of %0d numbers are wrong (%0d clocks held up, %0d clipped)", wrong, seen, held, clips);
        $display("lcp_lane: %0d numbers of 8 bits and of 16", seen);
        $finish;
    end
endmodule
