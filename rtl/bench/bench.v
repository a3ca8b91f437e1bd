// The same as main.cpp for any Verilog simulator, for small networks: in.hex to out.hex and run.txt, +images +frames +record
// +seed +stalls +patience.
`timescale 1ns / 1ps
`include "sim_config.vh"
module bench;
  reg aclk = 0, aresetn = 0, s_valid = 0, m_ready = 0;
  reg [`SIM_IN_BITS-1:0] s_data = 0;
  wire s_ready, m_valid, m_last;
  wire [`SIM_OUT_BITS-1:0] m_data;
  integer in, out, log, images, frames, record, seed, stalls, patience, code;
  integer cycle = 0, sent = 0, got = 0, first_in = -1, first_out = -1, moved = 0, wrong_last = 0, wrong_hold = 0;
  reg waiting = 0;
  reg [`SIM_OUT_BITS-1:0] held = 0;

  `SIM_TOP top (
      .aclk(aclk),
      .aresetn(aresetn),
      .s_axis_tdata(s_data),
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .m_axis_tdata(m_data),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tlast(m_last)
  );

  // The next beat of in.hex, from the start again after the last image.
  task next;
    begin
      if (sent > 0 && sent % (images * `SIM_IN_BEATS) == 0) code = $rewind(in);
      code = $fscanf(in, "%h\n", s_data);
      if (code != 1) begin
        $display("in.hex: no beat %0d", sent);
        $finish;
      end
    end
  endtask

  function chance(input integer percent);
    chance = percent > 0 && $unsigned($random(seed)) % 100 < percent;
  endfunction

  task finish(input done);
    begin
      $fdisplay(log, "first %0d", first_out < 0 ? -1 : first_out - first_in + 1);
      $fdisplay(log, "cycles %0d", cycle);
      $fdisplay(log, "sent %0d", sent);
      $fdisplay(log, "got %0d", got);
      $fdisplay(log, "wrong_last %0d", wrong_last);
      $fdisplay(log, "wrong_hold %0d", wrong_hold);
      if (done) $fdisplay(log, "status done");
      else $fdisplay(log, "status deadlock");
      $fclose(out);
      $fclose(log);
      $finish;
    end
  endtask

  initial begin
    if (!$value$plusargs("images=%d", images)) images = 1;
    if (!$value$plusargs("frames=%d", frames)) frames = images;
    if (!$value$plusargs("record=%d", record)) record = images;
    if (!$value$plusargs("seed=%d", seed)) seed = 0;
    if (!$value$plusargs("stalls=%d", stalls)) stalls = 0;
    if (!$value$plusargs("patience=%d", patience)) patience = 1000000;
    in = $fopen("in.hex", "r");
    out = $fopen("out.hex", "w");
    log = $fopen("run.txt", "w");
    repeat (2 * `SIM_RESET) #10 aclk = !aclk;
    aclk = 0;
    aresetn = 1;
    while (got < frames * `SIM_OUT_BEATS && cycle - moved < patience) begin
      if (!s_valid && sent < frames * `SIM_IN_BEATS && !chance(stalls)) begin
        next;
        s_valid = 1;
      end
      m_ready = !chance(stalls);
      #9;
      if (waiting && (m_valid !== 1 || m_data !== held)) wrong_hold = wrong_hold + 1;
      waiting = m_valid === 1 && !m_ready;
      held = m_data;
      if (m_valid === 1 && m_ready) begin
        if (m_last !== ((got + 1) % `SIM_OUT_BEATS == 0)) wrong_last = wrong_last + 1;
        if (got < record * `SIM_OUT_BEATS) $fdisplay(out, "%h", m_data);
        if (first_out < 0) first_out = cycle;
        moved = cycle;
        got = got + 1;
        if (got % `SIM_OUT_BEATS == 0) $fdisplay(log, "frame %0d", cycle - first_in + 1);
      end
      code = s_valid && s_ready === 1;
      #1 aclk = 1;
      #1;
      if (code) begin
        if (first_in < 0) first_in = cycle;
        s_valid = 0;
        moved = cycle;
        sent = sent + 1;
      end
      #9 aclk = 0;
      cycle = cycle + 1;
    end
    finish(got == frames * `SIM_OUT_BEATS);
  end
endmodule
