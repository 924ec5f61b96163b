// Streams a whole network through the decompressor, from memory to memory, at one word per cycle.
//
// cocotb raises `start` and waits for `done`; nothing else crosses into Python, so the simulation runs at the speed of
// the compiled model. The clock is made here for the same reason, and it stops with `done`. What is offered to the
// decompressor and what becomes of its beats is decided in memory.cpp, once per cycle.

module dnnzip_harness #(
    parameter int LANES = 4,
    parameter int WEIGHT_BITS = 16,
    parameter int CAUSE_BITS = 4
) (
    input  bit start,
    output bit done,
    output bit failed
);
    // Least significant first: weights, mask, last, cause.
    localparam int BEAT_BITS = LANES * WEIGHT_BITS + LANES + 1 + CAUSE_BITS;
    localparam int RESET_CYCLES = 4;
    localparam int CYCLES_PER_WAKE = 1000;

    // Opens the files; `patience` is the number of cycles without progress after which the decompressor hangs, `pauses`
    // the seed of the pauses on both sides, or 0 for none.
    import "DPI-C" function void memory_open(
        input string job, input string result, input string weights, input string failure, input int patience,
        input int pauses, input int lanes, input int weight_bits, input int cause_bits);
    // What happened in a cycle, and what is offered in the next one. Ends with `done`.
    import "DPI-C" function void memory_cycle(
        input bit taken, input bit beat_valid, input bit [BEAT_BITS-1:0] beat,
        output bit valid, output shortint unsigned word, output bit last, output bit ready, output bit reset,
        output bit done, output bit failed);

    bit clk;
    bit started;
    bit wake;
    bit woken;
    int cycles_left;
    bit rst = 1;
    bit i_valid;
    bit [16:0] i_payload;  // the word, and above it `last`
    wire i_ready;
    wire o_valid;
    bit o_ready;
    wire [BEAT_BITS-1:0] o_payload;
    int reset_left = RESET_CYCLES;

    dnnzip_decompressor decompressor (
        .clk(clk), .rst(rst),
        .i__payload(i_payload), .i__valid(i_valid), .i__ready(i_ready),
        .o__payload(o_payload), .o__valid(o_valid), .o__ready(o_ready));

    always @(posedge start) begin
        string job, result, weights, failure;
        int patience, pauses;
        if (!$value$plusargs("job=%s", job) || !$value$plusargs("result=%s", result)
            || !$value$plusargs("weights=%s", weights) || !$value$plusargs("failure=%s", failure)
            || !$value$plusargs("patience=%d", patience) || !$value$plusargs("pauses=%d", pauses))
            $fatal(1, "the harness needs +job= +result= +weights= +failure= +patience= +pauses=");
        memory_open(job, result, weights, failure, patience, pauses, LANES, WEIGHT_BITS, CAUSE_BITS);
        started = 1;
    end

    // The only process that waits, and for time alone: those that wait for events cost time in each step.
    initial while (!done) #1 wake = ~wake;

    // Cycles take no simulated time: cocotb's main loop runs once for each `wake`, not twice for each cycle, which is
    // worth a factor of five. Verilator's --converge-limit must be larger than the loop, two steps for a cycle.
    always @(wake or clk) begin
        if (clk) begin
            clk <= 0;
        end else if (started && !done && (cycles_left != 0 || woken != wake)) begin
            clk <= 1;
            woken <= wake;
            cycles_left <= cycles_left != 0 ? cycles_left - 1 : CYCLES_PER_WAKE - 1;
        end
    end

    always @(posedge clk) begin
        bit next_valid;
        shortint unsigned next_word;
        bit next_last;
        bit next_ready;
        bit next_reset;
        bit is_done;
        bit is_failed;
        if (reset_left != 0) begin
            o_ready <= 1;
            reset_left <= reset_left - 1;
            rst <= reset_left != 1;
        end else begin
            memory_cycle(i_valid & i_ready, o_valid, o_payload,
                         next_valid, next_word, next_last, next_ready, next_reset, is_done, is_failed);
            rst <= next_reset;
            o_ready <= next_ready;
            i_valid <= next_valid;
            i_payload <= {next_last, next_word};
            done <= is_done;
            failed <= is_failed;
        end
    end
endmodule
