// A board on a serial line: the UART top, its pins tied to a pseudo-terminal.
//
// cocotb raises `start` and waits for `done`; nothing else crosses into Python. What the line carries, bit by bit, is
// decided in line.cpp, once per cycle. Cycles take no simulated time, as in dnnzip_harness.sv.

module dnnzip_board (
    input  bit start,
    output bit done
);
    localparam int RESET_CYCLES = 4;
    localparam int CYCLES_PER_WAKE = 1000;

    // Opens the pseudo-terminal; the files are described in line.cpp.
    import "DPI-C" function void line_open(
        input string port, input string stop, input string result, input int owner, input int divisor,
        input int seed, input int lost, input int damaged);
    // The pin that the board drives in a cycle, and the one that it sees in the next. Ends with `done`.
    import "DPI-C" function void line_cycle(input bit tx, output bit rx, output bit done);

    bit clk;
    bit wake;
    bit woken;
    int cycles_left;
    bit rst;
    bit rx;
    wire tx;
    int reset_left;

    dnnzip_serial board (.clk(clk), .rst(rst), .rx(rx), .tx(tx), .open());

    initial begin
        string port, stop, result;
        int owner, divisor, seed, lost, damaged;
        rst = 1;
        rx = 1;
        reset_left = RESET_CYCLES;
        wait (start);
        if (!$value$plusargs("port=%s", port) || !$value$plusargs("stop=%s", stop)
            || !$value$plusargs("result=%s", result) || !$value$plusargs("owner=%d", owner)
            || !$value$plusargs("divisor=%d", divisor) || !$value$plusargs("seed=%d", seed)
            || !$value$plusargs("lost=%d", lost)
            || !$value$plusargs("damaged=%d", damaged))
            $fatal(1, "the board needs +port= +stop= +result= +owner= +divisor= +seed= +lost= +damaged=");
        line_open(port, stop, result, owner, divisor, seed, lost, damaged);
        while (!done) #1 wake = ~wake;
    end

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
        bit next_rx;
        bit is_done;
        if (reset_left != 0) begin
            reset_left <= reset_left - 1;
            rst <= reset_left != 1;
        end else begin
            line_cycle(tx, next_rx, is_done);
            rx <= next_rx;
            done <= is_done;
        end
    end
endmodule
