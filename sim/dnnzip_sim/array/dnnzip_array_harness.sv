// Runs a program on the accelerator: walks, runs and vectors in, sums out, and a memory behind its read channels.
//
// cocotb raises `start` and waits for `done`; nothing else crosses into Python. The clock is made here and stops with
// `done`. What is offered and what becomes of the results is decided in array.cpp, once per cycle.

module dnnzip_array_harness #(
    parameter int COLUMNS = 16,
    parameter int ROWS = 16,
    parameter int BUS_BITS = 16,
    parameter int CAUSE_BITS = 4,
    parameter int FAULT_BITS = 2
) (
    input  bit start,
    output bit done,
    output bit failed
);
    localparam int RESET_CYCLES = 4;
    localparam int CYCLES_PER_WAKE = 1000;
    localparam int FIGURES = 8;

    import "DPI-C" function void array_open(
        input string job, input string result, input string failure, input int columns, input int rows,
        input int bus_bits);
    // What happened in a cycle, and what is offered in the next one. Ends with `done`. Figures are those of
    // `FIGURES` of the accelerator, in that order.
    import "DPI-C" function void array_cycle(
        input bit walk_taken, input bit run_taken, input bit vector_taken, input bit burst_taken,
        input int unsigned address, input byte unsigned length, input bit data_taken, input bit sums_valid,
        input byte unsigned trouble, input bit [FIGURES*32-1:0] figures,
        output bit walk_valid, output int unsigned walk, output bit run_valid, output longint unsigned run,
        output bit vector_valid, output bit burst_ready, output bit data_valid, output bit data_last,
        output bit sums_ready, output bit reset, output bit done, output bit failed);
    // The vector that is offered, the data that is offered: asked for only when there is a new one.
    import "DPI-C" function void array_vector(output bit [COLUMNS*8-1:0] vector);
    import "DPI-C" function void array_data(output bit [BUS_BITS-1:0] data);
    import "DPI-C" function void array_sums(input bit [ROWS*32-1:0] sums);

    bit clk;
    bit wake;
    bit woken;
    int cycles_left;
    bit rst;
    int reset_left;

    bit walk_valid, run_valid, vector_valid, burst_ready, data_valid, data_last, sums_ready;
    bit [31:0] walk;
    bit [63:0] run;
    bit [COLUMNS*8-1:0] vector;
    bit [BUS_BITS-1:0] data;
    wire walk_ready, run_ready, vector_ready, burst_valid, data_ready, sums_valid;
    wire [39:0] burst;
    wire [ROWS*32-1:0] sums;
    wire [CAUSE_BITS-1:0] cause;
    wire [FAULT_BITS-1:0] fault;
    wire memory_failed;
    wire [FIGURES*32-1:0] figures;

    dnnzip_array array (
        .clk(clk), .rst(rst), .base(0),
        .walks__payload(walk), .walks__valid(walk_valid), .walks__ready(walk_ready),
        .runs__payload(run), .runs__valid(run_valid), .runs__ready(run_ready),
        .i__payload(vector), .i__valid(vector_valid), .i__ready(vector_ready),
        .o__payload(sums), .o__valid(sums_valid), .o__ready(sums_ready),
        .ar__payload(burst), .ar__valid(burst_valid), .ar__ready(burst_ready),
        // The data, above it the response and `last`.
        .r__payload({data_last, 2'b00, data}), .r__valid(data_valid), .r__ready(data_ready),
        .cause(cause), .fault(fault), .memory_failed(memory_failed),
        .figure_vectors(figures[31:0]), .figure_lacks_tile(figures[63:32]), .figure_lacks_vector(figures[95:64]),
        .figure_lacks_room(figures[127:96]), .figure_bus_moves(figures[159:128]),
        .figure_memory_words(figures[191:160]), .figure_runs(figures[223:192]),
        .figure_loading(figures[255:224]));

    initial begin
        string job, result, failure;
        rst = 1;
        reset_left = RESET_CYCLES;
        wait (start);
        if (!$value$plusargs("job=%s", job) || !$value$plusargs("result=%s", result)
            || !$value$plusargs("failure=%s", failure))
            $fatal(1, "the harness needs +job= +result= +failure=");
        array_open(job, result, failure, COLUMNS, ROWS, BUS_BITS);
        while (!done) #1 wake = ~wake;
    end

    // Cycles take no simulated time; see dnnzip_harness.sv.
    always @(wake or clk) begin
        if (clk) begin
            clk <= 0;
        end else if (!done && (cycles_left != 0 || woken != wake)) begin
            clk <= 1;
            woken <= wake;
            cycles_left <= cycles_left != 0 ? cycles_left - 1 : CYCLES_PER_WAKE - 1;
        end
    end

    always @(posedge clk) begin
        bit next_walk_valid, next_run_valid, next_vector_valid, next_burst_ready, next_data_valid, next_data_last;
        bit next_sums_ready, next_reset, is_done, is_failed;
        int unsigned next_walk;
        longint unsigned next_run;
        bit [COLUMNS*8-1:0] next_vector;
        bit [BUS_BITS-1:0] next_data;
        if (reset_left != 0) begin
            reset_left <= reset_left - 1;
            rst <= reset_left != 1;
        end else begin
            if (sums_valid & sums_ready) array_sums(sums);
            array_cycle(walk_valid & walk_ready, run_valid & run_ready, vector_valid & vector_ready,
                        burst_valid & burst_ready, burst[31:0], burst[39:32], data_valid & data_ready, sums_valid,
                        cause != 0 ? 8'(cause) : fault != 0 ? 8'd64 + 8'(fault) : memory_failed ? 8'd128 : 8'd0,
                        figures,
                        next_walk_valid, next_walk, next_run_valid, next_run, next_vector_valid, next_burst_ready,
                        next_data_valid, next_data_last, next_sums_ready, next_reset, is_done, is_failed);
            if (next_vector_valid & (~vector_valid | vector_ready)) begin
                array_vector(next_vector);
                vector <= next_vector;
            end
            if (next_data_valid & (~data_valid | data_ready)) begin
                array_data(next_data);
                data <= next_data;
            end
            rst <= next_reset;
            walk_valid <= next_walk_valid;
            walk <= next_walk;
            run_valid <= next_run_valid;
            run <= next_run;
            vector_valid <= next_vector_valid;
            burst_ready <= next_burst_ready;
            data_valid <= next_data_valid;
            data_last <= next_data_last;
            sums_ready <= next_sums_ready;
            done <= is_done;
            failed <= is_failed;
        end
    end
endmodule
