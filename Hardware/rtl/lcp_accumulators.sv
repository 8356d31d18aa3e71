// Sums for each column: two banks, of which one is added to while the other is read out. A number is added four clocks behind `valid`;
// the same entry may be added to again with the third clock.
module lcp_accumulators #(
    parameter COLUMNS = 64,
    parameter ENTRIES = 64,
    parameter SUM = 21,            // bits of a column's sum
    parameter WIDTH = 32,          // bits of what is added up
    parameter SHIFT = 8,
    parameter GATES = 0,
    localparam ENTRY = $clog2(ENTRIES)
) (
    input  logic                     clock,
    // Added up: `sums` come a clock behind the rest.
    input  logic                     valid,
    input  logic [ENTRY-1:0]         entry,
    input  logic                     bank,
    input  logic                     clear,
    input  logic                     shift,
    input  logic [COLUMNS*SUM-1:0]   sums,
    // Read out, a clock behind `read`, and held until the next one.
    input  logic                     read,
    input  logic                     read_bank,
    input  logic [ENTRY-1:0]         read_entry,
    output logic [COLUMNS*WIDTH-1:0] result
);
    localparam ALL = COLUMNS * WIDTH;

    logic             adds, storing, adds_bank, store_bank, adds_clear, adds_shift;
    logic [ENTRY-1:0] adds_entry, store_entry;
    logic [ALL-1:0]   stored;
    logic [2*ALL-1:0] found;        // of both banks: no array, whose words Yosys takes for a memory that nobody writes
    logic             out_bank;

    always_ff @(posedge clock) begin
        adds <= valid;
        adds_entry <= entry;
        adds_bank <= bank;
        adds_clear <= clear;
        adds_shift <= shift;
        storing <= adds;
        store_entry <= adds_entry;
        store_bank <= adds_bank;
        if (read) out_bank <= read_bank;
    end

    generate
        for (genvar b = 0; b < 2; b++) begin : banks
            wire reads_out = read && read_bank == b;
            wire adds_here = valid && bank == b;
            lcp_memory #(.WIDTH(ALL), .DEPTH(ENTRIES)) bank_memory (
                .clock(clock), .read(adds_here || reads_out), .read_place(adds_here ? entry : read_entry),
                .found(found[b*ALL +: ALL]), .write(storing && store_bank == b), .write_place(store_entry), .word(stored));
        end
        for (genvar c = 0; c < COLUMNS; c++) begin : column
            wire signed [WIDTH-1:0] earlier = adds_bank ? found[ALL+c*WIDTH +: WIDTH] : found[c*WIDTH +: WIDTH];
            wire signed [WIDTH-1:0] start = adds_clear ? '0 : adds_shift ? earlier <<< SHIFT : earlier;
            wire signed [SUM-1:0] sum = sums[c*SUM +: SUM];
            wire signed [WIDTH-1:0] added = start + sum;
            lcp_register #(.WIDTH(WIDTH), .GATES(GATES)) next (
                .clock(clock), .load(adds), .in(added), .out(stored[c*WIDTH +: WIDTH]));
        end
    endgenerate

    assign result = out_bank ? found[2*ALL-1:ALL] : found[ALL-1:0];
endmodule
