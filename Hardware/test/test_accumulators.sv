// Sums are added up entry by entry, and read out of one bank while the other is added to.
module test_accumulators;
    localparam COLUMNS = 8, ENTRIES = 16, SUM = 12, WIDTH = 20;
    logic clock = 0;
    always #5 clock = !clock;
    logic valid = 0, bank = 0, clear = 0, shift = 0, read = 0, read_bank = 0;
    logic [3:0] entry = 0, read_entry = 0;
    logic [COLUMNS*SUM-1:0] sums = 0;
    logic [COLUMNS*WIDTH-1:0] result;
    lcp_accumulators #(
        .COLUMNS(COLUMNS), .ENTRIES(ENTRIES), .SUM(SUM), .WIDTH(WIDTH), .SHIFT(4)
    ) accumulators (.*);

    logic signed [WIDTH-1:0] expected [2][ENTRIES][COLUMNS];
    int last [ENTRIES];
    int wrong = 0, checked = 0, shifted = 0;

    // One bank is filled by three rounds over its entries, while the other one, filled before, is read.
    task automatic fill(input logic b, input logic checks);
        for (int round = 0; round < 3; round++)
            for (int e = 0; e < ENTRIES; e++) begin
                valid = 1;
                bank = b;
                entry = 4'(e);
                clear = round == 0;
                shift = round == 2 && e % 2 == 1;
                if (shift) shifted++;
                read = checks;
                read_bank = !b;
                read_entry = 4'((round * ENTRIES + e) / 2 % ENTRIES);
                @(negedge clock);
                // The sums come a clock later than the rest.
                for (int c = 0; c < COLUMNS; c++) begin
                    automatic logic signed [SUM-1:0] number = SUM'($urandom);
                    sums[c*SUM +: SUM] = number;
                    expected[b][e][c] = (round == 0 ? '0 : shift ? expected[b][e][c] <<< 4 : expected[b][e][c]) + WIDTH'(number);
                end
                if (checks) begin
                    for (int c = 0; c < COLUMNS; c++)
                        if (result[c*WIDTH +: WIDTH] != expected[!b][read_entry][c]) wrong++;
                    checked++;
                end
            end
        valid = 0;
        read = 0;
        repeat (3) @(negedge clock);
    endtask

    initial begin
        @(negedge clock);
        fill(0, 0);
        for (int n = 0; n < 100; n++) fill(n % 2 == 0, 1);
        if (wrong != 0 || checked < 1000 || shifted == 0) $fatal(1, "%0d of %0d sums are wrong", wrong, checked);
        $display("lcp_accumulators: %0d reads", checked);
        $finish;
    end
endmodule
