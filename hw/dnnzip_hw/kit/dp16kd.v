// ECP5's block RAM as this project uses it: port A writes, port B reads through its output register. Written from the
// memory usage guide's description of the primitive; not used for synthesis.
module DP16KD (
    input
    CLKA, CEA, OCEA, RSTA, WEA, CLKB, CEB, OCEB, RSTB, WEB, CSA0, CSA1, CSA2, CSB0, CSB1, CSB2, ADA0, ADA1,
    ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13, ADB0, ADB1, ADB2, ADB3, ADB4,
    ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13, DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7,
    DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17, DIB0, DIB1, DIB2, DIB3, DIB4, DIB5,
    DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    output
    DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15,
    DOA16, DOA17, DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13,
    DOB14, DOB15, DOB16, DOB17
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", CLKAMUX = "CLKA", CLKBMUX = "CLKB";
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", GSR = "ENABLED";

  localparam BELOW = DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A == 4 ? 2 : DATA_WIDTH_A == 2 ? 1 : 0;
  reg [17:0] rows[0:(1 << (14 - BELOW)) - 1];
  wire [13:0] ADA = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] ADB = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  wire [17:0] DIA = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire selected_a = {CSA2, CSA1, CSA0} == 3'b000, selected_b = {CSB2, CSB1, CSB0} == 3'b000;
  // In rows of two bytes, the lowest two address bits enable the bytes.
  wire [17:0] enabled = DATA_WIDTH_A == 18 ? {{9{ADA[1]}}, {9{ADA[0]}}} : 18'h3ffff;
  reg [17:0] ROW_B, OUT_B;
  wire [17:0] DOB;
  assign DOB = OUT_B;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = DOB;

  initial
    if (REGMODE_B != "OUTREG" || DATA_WIDTH_A != DATA_WIDTH_B) begin
      $display("FAIL a DP16KD of these parameters is not modelled");
      $stop;
    end
  always @(posedge CLKA)
    if (CEA && WEA && selected_a)
      rows[ADA >> BELOW] <= (DIA & enabled) | (rows[ADA >> BELOW] & ~enabled);
  always @(posedge CLKB) begin
    if (CEB && selected_b && !WEB) ROW_B <= rows[ADB >> BELOW];
    if (OCEB) OUT_B <= RSTB ? 18'd0 : ROW_B;
  end
endmodule
