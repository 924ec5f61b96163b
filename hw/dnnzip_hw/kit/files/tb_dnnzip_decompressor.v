// A testbench of the decompressor that checks itself, in plain Verilog-2005.
//
// It offers the words of sample/words.hex and compares every beat with sample/expected.hex: four times, without pauses,
// with an idle source, with a stalled sink, and with both. README.md says how to run it. It ends with a line that starts
// with PASS or FAIL; after FAIL by $stop, which makes a simulator in batch mode leave with an error.

module tb_dnnzip_decompressor;

`include "sample/parameters.vh"

  localparam [31:0] PATIENCE = 20000; // cycles without a word in or a beat out
  localparam [31:0] SILENCE = 64; // cycles after the last beat in which none may follow
  localparam [31:0] MOST_SHOWN = 10;

  reg [I_BITS - 1:0] words [0:WORDS - 1];
  reg [O_BITS - 1:0] expected [0:BEATS - 1];

  reg clk;
  reg rst;
  reg [I_BITS - 1:0] i_payload;
  reg i_valid;
  wire i_ready;
  wire [O_BITS - 1:0] o_payload;
  wire o_valid;
  reg o_ready;

  dnnzip_decompressor dut (
      .clk(clk),
      .rst(rst),
      .i__payload(i_payload),
      .i__valid(i_valid),
      .i__ready(i_ready),
      .o__payload(o_payload),
      .o__valid(o_valid),
      .o__ready(o_ready)
  );

  reg [1:0] round; // bit 0: the source idles, bit 1: the sink stalls
  reg [31:0] word; // the next to offer
  reg [31:0] beat; // the next to come
  reg [31:0] quiet; // cycles since something moved
  reg [31:0] faults;
  reg [31:0] cycles;
  reg [15:0] noise; // a linear feedback shift register
  reg waiting; // a beat was offered and not taken
  reg [O_BITS - 1:0] waited;

  // Bits of a beat that have to be as expected: not the weights of idle lanes, the cause of an end beat alone.
  reg [O_BITS - 1:0] compared;
  wire [O_BITS - 1:0] wanted = beat < BEATS ? expected[beat] : {O_BITS{1'b0}};
  integer lane;
  always @* begin
    compared = {O_BITS{1'b0}};
    for (lane = 0; lane < LANES; lane = lane + 1) begin
      compared[MASK_OFFSET + lane] = 1'b1;
      if (wanted[MASK_OFFSET + lane]) compared[lane * WEIGHT_BITS +: WEIGHT_BITS] = {WEIGHT_BITS{1'b1}};
    end
    compared[LAST_OFFSET] = 1'b1;
    if (wanted[LAST_OFFSET]) compared[CAUSE_OFFSET +: CAUSE_BITS] = {CAUSE_BITS{1'b1}};
  end

  task finish_if_faulty;
    begin
      if (faults != 0) begin
        $display("FAIL %0d faults in round %0d, at beat %0d of %0d", faults, round, beat, BEATS);
        $stop;
        $finish;
      end
    end
  endtask

  initial begin
    clk = 1'b0;
    rst = 1'b1;
    i_payload = {I_BITS{1'b0}};
    i_valid = 1'b0;
    o_ready = 1'b0;
    round = 2'd0;
    word = 0;
    beat = 0;
    quiet = 0;
    faults = 0;
    cycles = 0;
    noise = 16'hace1;
    waiting = 1'b0;
    waited = {O_BITS{1'b0}};
    $readmemh("sample/words.hex", words);
    $readmemh("sample/expected.hex", expected);
  end

  always #5 clk = !clk;

  always @(posedge clk) begin
    noise <= {noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]};
    cycles <= cycles + 1;
    quiet <= quiet + 1;
    rst <= cycles < 4;

    if (!rst) begin
      // The source: a word that is offered stays until it is taken.
      if (!i_valid || i_ready) begin
        i_valid <= 1'b0;
        if (word < WORDS && (!round[0] || noise[1:0] == 2'b00)) begin
          i_payload <= words[word];
          i_valid <= 1'b1;
          word <= word + 1;
        end
      end
      if (i_valid && i_ready) quiet <= 0;

      // The sink.
      o_ready <= !round[1] || noise[5:4] == 2'b00;
      waiting <= o_valid && !o_ready;
      waited <= o_payload;
      if (waiting && (!o_valid || o_payload !== waited)) begin
        faults <= faults + 1;
        $display("beat %0d changed while it waited: %h, then %h", beat, waited, o_payload);
      end
      if (o_valid && o_ready) begin
        quiet <= 0;
        beat <= beat + 1;
        if (beat >= BEATS || ((o_payload ^ wanted) & compared) !== {O_BITS{1'b0}}) begin
          faults <= faults + 1;
          $display("beat %0d must be %h, not %h", beat, wanted, o_payload);
        end
      end

      if (faults > MOST_SHOWN) finish_if_faulty;
      if (quiet > PATIENCE) begin
        $display("FAIL the decompressor hangs in round %0d, after word %0d and beat %0d", round, word, beat);
        $stop;
        $finish;
      end
      if (word >= WORDS && !i_valid && beat >= BEATS && quiet > SILENCE) begin
        finish_if_faulty;
        word <= 0;
        beat <= 0;
        quiet <= 0;
        round <= round + 1;
        if (round == 2'd3) begin
          $display("PASS %0d words, %0d beats, 4 rounds, %0d cycles", WORDS, BEATS, cycles);
          $finish;
        end
      end
    end
  end

endmodule
