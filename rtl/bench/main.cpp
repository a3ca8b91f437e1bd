// Drives the accelerator in Verilator: frames from in.hex (one beat a line, again from the start when they end), random
// stalls on both streams, the head's beats to out.hex, what was measured to run.txt.
//   +images=N in in.hex   +frames=N to run   +record=N to write   +seed=N   +stalls=PERCENT   +patience=CYCLES
// A run in which nothing moves for `patience` cycles is a deadlock: exit code 1.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vtop.h"
#include "sim_config.h"
#include "verilated.h"

typedef std::vector<uint32_t> words;

static long option(int argc, char **argv, const char *name, long otherwise) {
    const size_t n = strlen(name);
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '+' && !strncmp(argv[i] + 1, name, n) && argv[i][n + 1] == '=') return atol(argv[i] + n + 2);
    return otherwise;
}

// Ports of up to 64 bits are integers, wider ones arrays of 32-bit words.
template <class T> static void drive(T &port, const words &v) {
    port = sizeof(T) > 4 && v.size() > 1 ? (T)((uint64_t)v[1] << 32 | v[0]) : (T)v[0];
}
template <std::size_t N> static void drive(VlWide<N> &port, const words &v) {
    for (size_t i = 0; i < N; i++) port[i] = i < v.size() ? v[i] : 0;
}
template <class T> static words sample(const T &port) {
    return sizeof(T) > 4 ? words{(uint32_t)port, (uint32_t)((uint64_t)port >> 32)} : words{(uint32_t)port};
}
template <std::size_t N> static words sample(const VlWide<N> &port) {
    words v(N);
    for (size_t i = 0; i < N; i++) v[i] = port[i];
    return v;
}

static std::vector<words> read_beats(const char *path, int bits) {
    std::vector<words> all;
    static char line[SIM_LINE];
    FILE *file = fopen(path, "r");
    if (!file) return all;
    while (fgets(line, sizeof line, file)) {
        words v((bits + 31) / 32, 0);
        size_t digits = strcspn(line, "\r\n");
        for (size_t k = 0; k < digits; k++) {
            char digit[2] = {line[digits - 1 - k], 0};
            if (k / 8 < v.size()) v[k / 8] |= (uint32_t)strtoul(digit, nullptr, 16) << 4 * (k % 8);
        }
        all.push_back(v);
    }
    fclose(file);
    return all;
}

static void write_beat(FILE *file, const words &v, int bits) {
    for (int digit = (bits + 3) / 4 - 1; digit >= 0; digit--) fputc("0123456789abcdef"[v[digit / 8] >> 4 * (digit % 8) & 15], file);
    fputc('\n', file);
}

static uint64_t state;
static bool chance(long percent) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return percent && (long)(state % 100) < percent;
}

int main(int argc, char **argv) {
    Verilated::commandArgs(argc, argv);
    const long images = option(argc, argv, "images", 1), frames = option(argc, argv, "frames", images),
               record = option(argc, argv, "record", images), stalls = option(argc, argv, "stalls", 0),
               patience = option(argc, argv, "patience", 1000000);
    state = 0x9e3779b97f4a7c15ull * (uint64_t)(option(argc, argv, "seed", 0) + 1);
    const std::vector<words> in = read_beats("in.hex", SIM_IN_BITS);
    FILE *out = fopen("out.hex", "w"), *log = fopen("run.txt", "w");
    if ((long)in.size() < images * SIM_IN_BEATS || images < 1 || !out || !log) {
        fprintf(stderr, "in.hex: %zu beats, expected %ld; or the folder cannot be written\n", in.size(), images * SIM_IN_BEATS);
        return 2;
    }
    Vtop *top = new Vtop;
    long cycle = 0, sent = 0, got = 0, first_in = -1, first_out = -1, moved = 0, wrong_last = 0, wrong_hold = 0;
    bool offering = false, waiting = false;
    words held;
    top->aresetn = 0, top->s_axis_tvalid = 0, top->m_axis_tready = 0;
    for (; cycle < SIM_RESET; cycle++) {
        top->aclk = 0, top->eval();
        top->aclk = 1, top->eval();
    }
    top->aresetn = 1;
    const long start = cycle;
    moved = cycle;
    while (got < frames * SIM_OUT_BEATS && cycle - moved < patience) {
        top->aclk = 0;
        if (!offering && sent < frames * SIM_IN_BEATS && !chance(stalls)) {
            offering = true;
            drive(top->s_axis_tdata, in[sent % (images * SIM_IN_BEATS)]);
        }
        top->s_axis_tvalid = offering;
        top->m_axis_tready = !chance(stalls);
        top->eval();
        const bool taken = offering && top->s_axis_tready, given = top->m_axis_tvalid && top->m_axis_tready;
        if (waiting || given) {
            words v = sample(top->m_axis_tdata);
            if (waiting && (!top->m_axis_tvalid || v != held)) wrong_hold++;
            if (given) {
                if ((long)top->m_axis_tlast != ((got + 1) % SIM_OUT_BEATS == 0)) wrong_last++;
                if (got < record * SIM_OUT_BEATS) write_beat(out, v, SIM_OUT_BITS);
            }
        }
        waiting = top->m_axis_tvalid && !top->m_axis_tready;
        if (waiting) held = sample(top->m_axis_tdata);
        if (taken) {
            if (first_in < 0) first_in = cycle;
            offering = false, moved = cycle, sent++;
        }
        if (given) {
            if (first_out < 0) first_out = cycle;
            moved = cycle, got++;
            if (got % SIM_OUT_BEATS == 0) fprintf(log, "frame %ld\n", cycle - first_in + 1);
        }
        top->aclk = 1;
        top->eval();
        cycle++;
    }
    top->final();
    delete top;
    const bool done = got == frames * SIM_OUT_BEATS;
    fprintf(log, "first %ld\ncycles %ld\nsent %ld\ngot %ld\nwrong_last %ld\nwrong_hold %ld\nstatus %s\n",
            first_out < 0 ? -1 : first_out - first_in + 1, cycle - start, sent, got, wrong_last, wrong_hold,
            done ? "done" : "deadlock");
    fclose(out);
    fclose(log);
    return done ? 0 : 1;
}
