/* helper_rtl.h - units of Verilog between sources and sinks, simulated and compared with what C expects. */
#ifndef MIXQ_TESTS_GEN_HELPER_RTL_H
#define MIXQ_TESTS_GEN_HELPER_RTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RTL_PORTS = 400 };

typedef struct rtl_port {
    char name[48];
    bool sink;
    int width, count, room; /* bits of a beat; beats */
    int stall, gap;
    uint8_t *bits; /* [room][width], a byte each */
} rtl_port;

typedef struct rtl_bench {
    const char *dir;
    char *text;
    size_t used, size;
    int ports;
    rtl_port port[RTL_PORTS];
    int cycles;  /* limit */
    bool broken; /* may run out of time */
} rtl_bench;

void rtl_start(rtl_bench *b, const char *dir);
void rtl_free(rtl_bench *b);
/* Verilog of the bench's top module, where every port has the nets <name>_valid, _ready, _data; clk, rst. */
void rtl_say(rtl_bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* stall of 256 cycles it pauses, a beat at most every `gap` cycles. Returns the port's number. */
int rtl_source(rtl_bench *b, const char *name, int width, int stall, int gap);
int rtl_sink(rtl_bench *b, const char *name, int width, int stall);
/* Appends a beat of zeros, or sets bits of the last beat. */
void rtl_beat(rtl_bench *b, int port);
void rtl_put(rtl_bench *b, int port, int at, uint64_t value, int bits);

/* Simulates with rtl/, rtl/sim/ and the .v files of the bench's folder; flags are more arguments of the
 * compiler. Fails the test when the compiler warns or the time is up. */
void rtl_verilator(rtl_bench *b, const char *flags);
void rtl_icarus(rtl_bench *b, const char *flags);
/* Beats of a sink that are not the expected ones, missing or too many ones included. */
int rtl_wrong(rtl_bench *b, int sink);
/* Fails when there are any. */
void rtl_check(rtl_bench *b, int sink);
void rtl_check_all(rtl_bench *b);

/* DIR/<copy>.v: rtl/<module>.v as module `copy` with the one place that reads `from` reading `to`. */
void rtl_broken_copy(rtl_bench *b, const char *module, const char *copy, const char *from, const char *to);
bool rtl_have(const char *tool);

#endif
