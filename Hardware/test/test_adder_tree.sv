// The adder tree of gates, and the one that is not, give the sum; so do trees of other sizes.
module test_adder_tree;
    logic [32*16-1:0] numbers;
    logic signed [20:0] gates, plain;
    lcp_adder_tree #(.COUNT(32), .WIDTH(16), .GATES(1)) tree (.numbers(numbers), .sum(gates));
    lcp_adder_tree #(.COUNT(32), .WIDTH(16), .GATES(0)) other (.numbers(numbers), .sum(plain));

    logic [8*7-1:0] few_numbers;
    logic signed [9:0] few_sum;
    lcp_adder_tree #(.COUNT(8), .WIDTH(7), .GATES(1)) third (.numbers(few_numbers), .sum(few_sum));

    logic [32*16-1:0] next;
    logic [8*7-1:0] few_next;
    int wrong = 0;
    initial begin
        for (int n = 0; n < 20000; n++) begin
            int sum, sum8;
            sum = 0;
            sum8 = 0;
            for (int i = 0; i < 32; i++) begin
                // All the largest, all the least, and anything.
                automatic logic signed [15:0] number = n == 0 ? 16'sh7FFF : n == 1 ? 16'sh8000 : 16'($urandom);
                next[i*16 +: 16] = number;
                sum += 32'(number);
            end
            for (int i = 0; i < 8; i++) begin
                automatic logic signed [6:0] number = n == 0 ? 7'sh3F : n == 1 ? 7'sh40 : 7'($urandom);
                few_next[i*7 +: 7] = number;
                sum8 += 32'(number);
            end
            numbers = next;
            few_numbers = few_next;
            #1;
            if (32'(gates) != sum || 32'(plain) != sum || 32'(few_sum) != sum8) wrong++;
        end
        if (wrong != 0) $fatal(1, "%0d sums are wrong", wrong);
        $display("lcp_adder_tree: 20,000 sums of 32 and of 8");
        $finish;
    end
endmodule
