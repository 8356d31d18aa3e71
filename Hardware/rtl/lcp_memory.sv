// A memory with a port to read, a clock later, and one to write. A chip has a macro in its place, and its area is not counted.
module lcp_memory #(
    parameter WIDTH = 32,
    parameter DEPTH = 64
) (
    input  logic                     clock,
    input  logic                     read,
    input  logic [$clog2(DEPTH)-1:0] read_place,
    output logic [WIDTH-1:0]         found,      // held until the next read
    input  logic                     write,
    input  logic [$clog2(DEPTH)-1:0] write_place,
    input  logic [WIDTH-1:0]         word
);
    // On an FPGA a block of memory, and not lookup tables.
    (* ram_style = "block" *) logic [WIDTH-1:0] words [DEPTH];

    always_ff @(posedge clock) begin
        if (read) found <= words[read_place];
        if (write) words[write_place] <= word;
    end
endmodule
