/* rtl_run.c - make, run, read back. */
#include "gen/rtl_run.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"

const char *const mq_rtl_simulator_names[] = {"verilator", "iverilog", NULL};

enum { TAIL = 700, TEXT = 1 << 24 };

static void say_seconds(void *context, double seconds) {
    mq_progress(context, (uint64_t)seconds, MQ_LOG_ENDLESS, "%.0f s", seconds);
}

static mq_status absolute(const char *path, char out[MQ_PATH], mq_error *error) {
    char *real = realpath(path, NULL);
    if (!real) return mq_fail_errno(error, "cannot read", path);
    int n = snprintf(out, MQ_PATH, "%s", real);
    free(real);
    if (n >= MQ_PATH || strpbrk(out, " \t$#'\"\\:"))
        return mq_fail(
            error, MQ_BAD_INPUT,
            "%.200s: make and the simulators cannot take a path with blanks, quotes, '$', '#', ':'", out);
    return MQ_OK;
}

/* Memory files are named mem/... in the Verilog. */
static mq_status link_memory(const char *root, const char *work, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH];
    MQ_TRY(mq_path_join(root, "mem", from, error));
    MQ_TRY(mq_path_join(work, "mem", to, error));
    unlink(to);
    if (symlink(from, to) != 0) return mq_fail_errno(error, "cannot make a link", to);
    return MQ_OK;
}

mq_status mq_rtl_compile(const mq_rtl_bench *b, mq_error *error) {
    char root[MQ_PATH], work[MQ_PATH], makefile[MQ_PATH], log[MQ_PATH], setting[MQ_PATH + 8], tail[TAIL];
    const char *program = mq_rtl_simulator_names[b->simulator];
    int code;
    if (!mq_program_found(program) || !mq_program_found("make"))
        return mq_fail(error, MQ_CHECK_FAILED, "%s is not on PATH: the Verilog cannot be simulated",
                       mq_program_found(program) ? "make" : program);
    MQ_TRY(absolute(b->dir, root, error));
    MQ_TRY(absolute(b->work, work, error));
    MQ_TRY(mq_path_join(root, "sim/Makefile", makefile, error));
    MQ_TRY(mq_path_join(work, "compile.log", log, error));
    MQ_TRY(link_memory(root, work, error));
    snprintf(setting, sizeof setting, "ROOT=%s", root);
    const char *const words[] = {
        "make", "-f", makefile, setting, b->simulator == MQ_RTL_VERILATOR ? "sim" : "bench", NULL};
    mq_process process = {
        .words = words, .folder = work, .log = log, .waiting = say_seconds, .context = (void *)"compile"};
    MQ_TRY(mq_process_run(&process, &code, error));
    if (code == 0) return MQ_OK;
    mq_log_tail(log, tail, sizeof tail);
    return mq_fail(error, MQ_CHECK_FAILED, "%s: exit %d: ... %s", program, code, tail);
}

static mq_status write_images(const mq_rtl_bench *b, const mq_rtl_request *r, mq_error *error) {
    char path[MQ_PATH];
    mq_outfile *file;
    const size_t bytes = (size_t)b->build->in.h * (size_t)b->build->in.w * (size_t)b->build->in.c;
    mq_status status = MQ_OK;
    MQ_TRY(mq_path_join(b->work, "in.hex", path, error));
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_outfile_unsynced(file);
    for (int64_t i = 0; i < r->count && status == MQ_OK; i++)
        status = mq_beats_write(&b->build->in, r->images + (size_t)i * bytes, b->build->in_bits, file, error);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

/* ---- run.txt ---- */

static bool line_value(const char *line, const char *key, int64_t *out) {
    size_t n = strlen(key);
    long long v;
    if (strncmp(line, key, n) != 0 || sscanf(line + n, " %lld", &v) != 1) return false;
    *out = v;
    return true;
}

static mq_status read_run(const mq_rtl_bench *b, const mq_rtl_request *r, mq_rtl_measure *m,
                          mq_error *error) {
    char path[MQ_PATH], *save;
    uint8_t *text;
    size_t size;
    int64_t sent = -1, got = -1, wrong_last = -1, wrong_hold = -1, end;
    bool done = false;
    MQ_TRY(mq_path_join(b->work, "run.txt", path, error));
    MQ_TRY(mq_file_read(path, TEXT, &text, &size, error));
    for (char *line = strtok_r((char *)text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (line_value(line, "frame", &end)) {
            if (!m->frames++) m->first_end = end;
            m->before_end = m->end;
            m->end = end;
        }
        (void)(line_value(line, "first", &m->first) || line_value(line, "cycles", &m->cycles) ||
               line_value(line, "sent", &sent) || line_value(line, "got", &got) ||
               line_value(line, "wrong_last", &wrong_last) || line_value(line, "wrong_hold", &wrong_hold));
        done = done || strcmp(line, "status done") == 0;
    }
    mq_free(text);
    if (sent < 0 || got < 0) return mq_fail(error, MQ_CHECK_FAILED, "the simulation ended without results");
    if (!done)
        return mq_fail(
            error, MQ_CHECK_FAILED,
            "deadlock: after %lld cycles, %lld beats in and %lld out nothing moved for %lld cycles",
            (long long)m->cycles, (long long)sent, (long long)got, (long long)r->patience);
    if (wrong_last || wrong_hold)
        return mq_fail(error, MQ_CHECK_FAILED,
                       "m_axis: tlast wrong at %lld beats, %lld changes of a beat that waited",
                       (long long)wrong_last, (long long)wrong_hold);
    return MQ_OK;
}

/* What the taps saw of the handshake stands in the log: "protocol: conv1: ...". */
static mq_status read_protocol(const char *log, mq_error *error) {
    uint8_t *text;
    size_t size;
    mq_status status = MQ_OK;
    MQ_TRY(mq_file_read(log, TEXT, &text, &size, error));
    const char *at = strstr((const char *)text, "protocol: ");
    if (at) status = mq_fail(error, MQ_CHECK_FAILED, "%.*s", (int)strcspn(at, "\r\n"), at);
    mq_free(text);
    return status;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

mq_status mq_rtl_simulate(const mq_rtl_bench *b, const mq_rtl_request *r, mq_rtl_measure *out,
                          mq_error *error) {
    char text[6][48], log[MQ_PATH], tail[TAIL];
    int code;
    *out = (mq_rtl_measure){0};
    MQ_TRY(write_images(b, r, error));
    MQ_TRY(mq_path_join(b->work, "run.log", log, error));
    snprintf(text[0], sizeof *text, "+images=%lld", (long long)r->count);
    snprintf(text[1], sizeof *text, "+frames=%lld", (long long)r->frames);
    snprintf(text[2], sizeof *text, "+record=%lld", (long long)r->count);
    snprintf(text[3], sizeof *text, "+seed=%llu", (unsigned long long)(r->seed % INT_MAX));
    snprintf(text[4], sizeof *text, "+stalls=%d", r->stalls);
    snprintf(text[5], sizeof *text, "+patience=%lld", (long long)r->patience);
    const char *words[10];
    int n = 0;
    if (b->simulator == MQ_RTL_ICARUS) {
        words[n++] = "vvp";
        words[n++] = "bench.vvp";
    } else {
        words[n++] = "./sim";
    }
    for (int i = 0; i < 6; i++) words[n++] = text[i];
    words[n] = NULL;
    mq_process process = {.words = words,
                          .folder = b->work,
                          .log = log,
                          .seconds = r->seconds,
                          .waiting = say_seconds,
                          .context = (void *)"simulate"};
    const double start = now();
    MQ_TRY(mq_process_run(&process, &code, error));
    out->seconds = now() - start;
    if (code > 1) {
        mq_log_tail(log, tail, sizeof tail);
        return mq_fail(error, MQ_CHECK_FAILED, "the simulation ended with exit code %d: ... %s", code, tail);
    }
    MQ_TRY(read_protocol(log, error));
    return read_run(b, r, out, error);
}

int64_t mq_rtl_interval(const mq_rtl_measure *m) {
    return m->end - m->before_end;
}

mq_status mq_rtl_codes(const mq_rtl_bench *b, int stage, const char *dump, int64_t frames, mq_beats_see *see,
                       void *context, mq_error *error) {
    char path[MQ_PATH], name[MQ_INET_MAX_NAME + 16];
    const mq_stream *s = &b->build->stage[stage].out;
    bool last = stage == b->build->count - 1;
    snprintf(name, sizeof name, "taps/%s.hex", dump);
    MQ_TRY(mq_path_join(b->work, last ? "out.hex" : name, path, error));
    return mq_beats_read(s, path, last ? b->build->out_bits : s->channels * s->pixels * s->bits, frames, see,
                         context, error);
}
