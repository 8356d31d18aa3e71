`include "lcp_command.svh"
// Brings the weights of the chunks, in the order in which they are needed, to the cells, and a command's constants to the lanes. While a
// chunk is computed with, the next one comes; at a command's end the first one of the next command.
module lcp_loader #(
    parameter COLUMNS = 64,
    parameter TOGETHER = 4,        // columns in a line
    parameter CONSTANT_LINES = 4,
    localparam ROUND = $clog2(COLUMNS / TOGETHER + CONSTANT_LINES + 1)
) (
    input  logic                     clock,
    input  logic                     reset,
    // The command after the one that is walked.
    input  logic                     offered,
    output logic                     taken,
    input  logic [32*`LCP_WORDS-1:0] command,
    // The memory.
    output logic                     request_valid,
    input  logic                     request_ready,
    output logic [23:0]              request_line,
    input  logic                     answer_valid,
    output logic                     answer_ready,
    // The cells: which columns take the line that is there.
    output logic [COLUMNS-1:0]       load,
    output logic                     full,        // a chunk has come
    input  logic                     swap,        // and is used from now on
    // The lanes' constants.
    output logic [CONSTANT_LINES-1:0] constants_load,
    output logic                     constants_full, // those of a command have come
    input  logic                     constants_used  // its last number is made
);
    // What is asked for: chunks of the first block, constants, chunks of the other blocks.
    logic               asking;
    logic [23:0]        weight_line, chunk_line, constant_line;
    logic [7:0]         chunk_lines;
    logic [23:0]        chunks, ask_chunk;
    logic [15:0]        blocks, ask_block;
    logic [ROUND-1:0]   ask_round;
    logic               ask_constants;

    // What comes.
    logic               coming;
    logic [1:0]         groups;
    logic [23:0]        come_chunk;
    logic [15:0]        come_block;
    logic [ROUND-1:0]   come_round;
    logic               come_constants;

    // The same walk twice: (block 0: chunks), constants, (other blocks: chunks).
    assign taken = offered && !asking && !coming;
    assign request_valid = asking;
    assign request_line = chunk_line;

    wire ask_round_ends = ask_round == ROUND'(ask_constants ? CONSTANT_LINES - 1 : chunk_lines);
    wire ask_chunks_end = ask_chunk == chunks;

    always_ff @(posedge clock) begin
        if (taken) begin
            asking <= 1'b1;
            weight_line <= `LCP_WEIGHT_LINE(command);
            chunk_line <= `LCP_WEIGHT_LINE(command);
            constant_line <= `LCP_CONSTANT_LINE(command);
            ask_chunk <= '0;
            ask_block <= '0;
            ask_round <= '0;
            ask_constants <= 1'b0;
        end else if (asking && request_ready) begin
            ask_round <= ask_round_ends ? '0 : ask_round + 1'b1;
            chunk_line <= chunk_line + 1'b1;
            if (ask_round_ends && ask_constants) begin
                ask_constants <= 1'b0;
                ask_block <= 16'd1;
                chunk_line <= weight_line;
                asking <= blocks != 16'd1;
            end else if (ask_round_ends) begin
                ask_chunk <= ask_chunks_end ? '0 : ask_chunk + 1'b1;
                if (ask_chunks_end) begin
                    chunk_line <= ask_block == '0 ? constant_line : weight_line;
                    ask_constants <= ask_block == '0;
                    ask_block <= ask_block + 1'b1;
                    asking <= ask_block == '0 || ask_block + 1'b1 != blocks;
                end
            end
        end
        if (reset) asking <= 1'b0;
    end

    wire come_round_ends = come_round == ROUND'(come_constants ? CONSTANT_LINES - 1 : chunk_lines);
    wire come_chunks_end = come_chunk == chunks;
    assign answer_ready = come_constants ? !constants_full : !full || swap;
    wire comes = answer_valid && answer_ready && coming;

    always_ff @(posedge clock) begin
        if (taken) begin
            coming <= 1'b1;
            groups <= `LCP_GROUPS(command);
            chunk_lines <= `LCP_CHUNK_LINES(command);
            chunks <= `LCP_CHUNKS(command);
            blocks <= `LCP_BLOCKS(command);
            come_chunk <= '0;
            come_block <= '0;
            come_round <= '0;
            come_constants <= 1'b0;
        end else if (comes) begin
            come_round <= come_round_ends ? '0 : come_round + 1'b1;
            if (come_round_ends && come_constants) begin
                come_constants <= 1'b0;
                come_block <= 16'd1;
                coming <= blocks != 16'd1;
            end else if (come_round_ends) begin
                come_chunk <= come_chunks_end ? '0 : come_chunk + 1'b1;
                if (come_chunks_end) begin
                    come_constants <= come_block == '0;
                    come_block <= come_block + 1'b1;
                    coming <= come_block == '0 || come_block + 1'b1 != blocks;
                end
            end
        end
        if (swap) full <= 1'b0;
        if (comes && !come_constants && come_round_ends) full <= 1'b1;
        if (constants_used) constants_full <= 1'b0;
        if (comes && come_constants && come_round_ends) constants_full <= 1'b1;
        if (reset) begin
            coming <= 1'b0;
            full <= 1'b0;
            constants_full <= 1'b0;
        end
    end

    // In every group of columns the same ones take the line.
    generate
        for (genvar c = 0; c < COLUMNS; c++) begin : column
            localparam PLACE1 = c / TOGETHER;
            localparam PLACE2 = c % (COLUMNS / 2) / TOGETHER;
            localparam PLACE4 = c % (COLUMNS / 4) / TOGETHER;
            localparam PLACE8 = c % (COLUMNS / 8) / TOGETHER;
            wire [ROUND-1:0] place = ROUND'(groups[1] ? (groups[0] ? PLACE8 : PLACE4) : groups[0] ? PLACE2 : PLACE1);
            assign load[c] = comes && !come_constants && come_round == place;
        end
        for (genvar l = 0; l < CONSTANT_LINES; l++) begin : constant
            assign constants_load[l] = comes && come_constants && come_round == l;
        end
    endgenerate

`ifdef FORMAL
`include "loader.svh"
`endif
endmodule
