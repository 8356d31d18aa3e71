// The multiplier of gates gives what a multiplication gives: all products of eight bits, and many of others.
module test_multiplier;
    logic signed [7:0] a, b;
    logic signed [15:0] product;
    lcp_multiplier #(.WORD(8), .GATES(1)) eight (.left(a), .right(b), .product(product));

    logic signed [15:0] c, d;
    logic signed [31:0] product16;
    lcp_multiplier #(.WORD(16), .GATES(1)) sixteen (.left(c), .right(d), .product(product16));

    logic signed [4:0] e, f;
    logic signed [9:0] product5;
    lcp_multiplier #(.WORD(5), .GATES(1)) five (.left(e), .right(f), .product(product5));

    int wrong = 0;
    initial begin
        for (int i = -128; i < 128; i++)
            for (int j = -128; j < 128; j++) begin
                a = 8'(i);
                b = 8'(j);
                e = 5'(i);
                f = 5'(j);
                #1;
                if (product != 16'(i * j)) wrong++;
                if (product5 != 10'(e * f)) wrong++;
            end
        for (int n = 0; n < 100000; n++) begin
            c = n < 4 ? (n[0] ? 16'sh8000 : 16'sh7FFF) : 16'($urandom);
            d = n < 4 ? (n[1] ? 16'sh8000 : 16'sh7FFF) : 16'($urandom);
            #1;
            if (product16 != 32'(c) * 32'(d)) wrong++;
        end
        if (wrong != 0) $fatal(1, "%0d products are wrong", wrong);
        $display("lcp_multiplier: 65,536 products of 8 bits, 100,000 of 16, all of 5");
        $finish;
    end
endmodule
