/* helper_rtl.c - the benches of Verilog units. */
#include <setjmp.h>
#include <stdarg.h>
#include "gen/helper_rtl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"

enum { LINE = 1 << 16 };

void rtl_start(rtl_bench *b, const char *dir) {
    *b = (rtl_bench){.dir = dir, .cycles = 20000};
}

void rtl_free(rtl_bench *b) {
    for (int i = 0; i < b->ports; i++) free(b->port[i].bits);
    free(b->text);
}

void rtl_say(rtl_bench *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t n = (size_t)vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (b->used + n + 1 > b->size) {
        b->size = 2 * (b->used + n + 1);
        b->text = realloc(b->text, b->size);
        assert_non_null(b->text);
    }
    vsnprintf(b->text + b->used, n + 1, format, again);
    va_end(again);
    b->used += n;
}

static int add(rtl_bench *b, const char *name, bool sink, int width, int stall, int gap) {
    assert_true(b->ports < RTL_PORTS);
    rtl_port *p = &b->port[b->ports];
    *p = (rtl_port){.sink = sink, .width = width, .stall = stall, .gap = gap};
    snprintf(p->name, sizeof p->name, "%s", name);
    rtl_say(b, "  wire %s_valid, %s_ready;\n  wire [%d:0] %s_data;\n", name, name, width - 1, name);
    return b->ports++;
}

int rtl_source(rtl_bench *b, const char *name, int width, int stall, int gap) {
    return add(b, name, false, width, stall, gap);
}

int rtl_sink(rtl_bench *b, const char *name, int width, int stall) {
    return add(b, name, true, width, stall, 1);
}

void rtl_beat(rtl_bench *b, int port) {
    rtl_port *p = &b->port[port];
    size_t width = (size_t)p->width;
    if (p->count == p->room) {
        p->room = 2 * p->room + 64;
        p->bits = realloc(p->bits, (size_t)p->room * width);
        assert_non_null(p->bits);
    }
    memset(p->bits + (size_t)p->count++ * width, 0, width);
}

void rtl_put(rtl_bench *b, int port, int at, uint64_t value, int bits) {
    rtl_port *p = &b->port[port];
    assert_true(p->count && at >= 0 && at + bits <= p->width);
    for (int i = 0; i < bits; i++)
        p->bits[(size_t)(p->count - 1) * (size_t)p->width + (size_t)(at + i)] =
            value >> (i < 63 ? i : 63) & 1;
}

static void hex(const rtl_port *p, int beat, char *line) {
    const uint8_t *bits = p->bits + (size_t)beat * (size_t)p->width;
    int digits = (p->width + 3) / 4;
    for (int d = 0; d < digits; d++) {
        int v = 0;
        for (int i = 0; i < 4 && 4 * d + i < p->width; i++) v |= bits[4 * d + i] << i;
        line[digits - 1 - d] = "0123456789abcdef"[v];
    }
    line[digits] = 0;
}

static FILE *open_in(const rtl_bench *b, const char *name, const char *suffix, const char *mode) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", b->dir, name, suffix);
    return fopen(path, mode);
}

static void finish(rtl_bench *b) {
    static char line[LINE];
    FILE *f = open_in(b, "bench", ".v", "w");
    assert_non_null(f);
    fprintf(f,
            "/* verilator lint_off DECLFILENAME */\n/* verilator lint_off STMTDLY */\n/* verilator lint_off "
            "WIDTH */\n"
            "/* verilator lint_off UNUSED */\n/* verilator lint_off UNDRIVEN */\n/* verilator lint_off "
            "BLKSEQ */\nmodule bench;\n  reg clk = 0, rst = 1;\n  integer t = 0;\n  always #1 clk = !clk;\n"
            "  always @(posedge clk) begin t <= t + 1; if (t == 40) rst <= 0; end\n  integer idle = 0;\n");
    fwrite(b->text, 1, b->used, f);
    int sinks = 0;
    for (int i = 0; i < b->ports; i++) {
        rtl_port *p = &b->port[i];
        char gap[32] = "";
        if (!p->sink) snprintf(gap, sizeof gap, ", .GAP(%d)", p->gap);
        fprintf(f,
                "  bench_%s #(.W(%d), .COUNT(%d), .STALL(%d), .SEED(%d), .FILE(\"%s.hex\")%s) port%d "
                "(.clk(clk), .rst(rst), .valid(%s_valid), .ready(%s_ready), .data(%s_data)",
                p->sink ? "sink" : "source", p->width, p->count, p->stall, i + 1, p->name, gap, i, p->name,
                p->name, p->name);
        if (p->sink) fprintf(f, ", .done(done[%d])", sinks++);
        fprintf(f, ");\n");
        if (p->sink) continue;
        FILE *in = open_in(b, p->name, ".hex", "w");
        assert_non_null(in);
        for (int k = 0; k < p->count; k++) {
            assert_true(p->width / 4 + 2 < LINE);
            hex(p, k, line);
            fprintf(in, "%s\n", line);
        }
        fclose(in);
    }
    fprintf(f,
            "  wire [%d:0] done;\n  always @(posedge clk) begin\n    if (&done) idle <= idle + 1;\n"
            "    if (idle == 100) $finish;\n    if (t == %d) begin $display(\"time is up, done %%b\", done); "
            "$finish; "
            "end\n  end\nendmodule\n",
            sinks - 1, b->cycles);
    fclose(f);
}

static void run(rtl_bench *b, const char *command) {
    char log[512];
    uint8_t *text;
    size_t size;
    int code = system(command);
    snprintf(log, sizeof log, "%s/log.txt", b->dir);
    mq_error error = {0};
    if (mq_file_read(log, 1 << 24, &text, &size, &error) != MQ_OK) fail_msg("%s", error.text);
    if (code != 0 || strstr((char *)text, "Warning") || strstr((char *)text, "warning") ||
        (!b->broken && strstr((char *)text, "time is up")) || strstr((char *)text, "no such mode"))
        fail_msg("%.3000s", (char *)text);
    mq_free(text);
}

void rtl_verilator(rtl_bench *b, const char *flags) {
    char command[2048];
    finish(b);
    snprintf(command, sizeof command,
             "cd %s && rm -rf obj && verilator --binary -j 2 -Wall %s --top-module bench -CFLAGS -O0 -Mdir "
             "obj bench.v "
             "-y . -y %s/tests/gen -y %s/rtl -y %s/rtl/sim > log.txt 2>&1 && ./obj/Vbench >> log.txt "
             "2>&1",
             b->dir, flags, MIXQ_SOURCE_DIR, MIXQ_SOURCE_DIR, MIXQ_SOURCE_DIR);
    run(b, command);
}

void rtl_icarus(rtl_bench *b, const char *flags) {
    char command[2048];
    finish(b);
    snprintf(command, sizeof command,
             "cd %s && iverilog -g2005 %s -s bench -o bench.vvp bench.v -y . -y %s/tests/gen -y "
             "%s/rtl -y "
             "%s/rtl/sim > log.txt 2>&1 && vvp -n bench.vvp >> log.txt 2>&1",
             b->dir, flags, MIXQ_SOURCE_DIR, MIXQ_SOURCE_DIR, MIXQ_SOURCE_DIR);
    run(b, command);
}

int rtl_wrong(rtl_bench *b, int sink) {
    static char line[LINE], expected[LINE];
    const rtl_port *p = &b->port[sink];
    int wrong = 0, n = 0;
    FILE *f = open_in(b, p->name, ".hex", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (n < p->count) hex(p, n, expected);
        if (n >= p->count || strcmp(line, expected) != 0) {
            if (!b->broken && !wrong && n < p->count)
                print_message("%s beat %d: got %s, expected %s\n", p->name, n, line, expected);
            wrong++;
        }
        n++;
    }
    fclose(f);
    return wrong + (n < p->count ? p->count - n : 0);
}

void rtl_check(rtl_bench *b, int sink) {
    int wrong = rtl_wrong(b, sink);
    if (wrong) fail_msg("%s: %d wrong beats of %d", b->port[sink].name, wrong, b->port[sink].count);
}

void rtl_check_all(rtl_bench *b) {
    for (int i = 0; i < b->ports; i++)
        if (b->port[i].sink) rtl_check(b, i);
}

void rtl_broken_copy(rtl_bench *b, const char *module, const char *copy, const char *from, const char *to) {
    char path[512], find[80];
    uint8_t *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/rtl/%s.v", MIXQ_SOURCE_DIR, module);
    assert_int_equal(mq_file_read(path, 1 << 20, &bytes, &size, NULL), MQ_OK);
    char *text = (char *)bytes, *place = strstr(text, from);
    if (!place) fail_msg("%s: no %s", module, from);
    snprintf(find, sizeof find, "module %s ", module);
    char *name = strstr(text, find);
    assert_true(name && name < place);
    FILE *f = open_in(b, copy, ".v", "w");
    assert_non_null(f);
    fprintf(f, "%.*smodule %s %.*s%s%s", (int)(name - text), text, copy,
            (int)(place - name - (long)strlen(find)), name + strlen(find), to, place + strlen(from));
    fclose(f);
    mq_free(bytes);
}

bool rtl_have(const char *tool) {
    char command[128];
    snprintf(command, sizeof command, "command -v %s > /dev/null 2>&1", tool);
    if (system(command) == 0) return true;
    print_message("%s is not installed\n", tool);
    return false;
}
