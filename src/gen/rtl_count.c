/* rtl_count.c - runs Yosys, reads its statistics. */
#include "gen/rtl_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"

enum { TAIL = 700 };

/* What one cell of a type takes; a name ending in '*' is a prefix. */
static const struct {
    const char *name;
    mq_build_counts takes;
} CELLS[] = {
    {"DSP48E*", {.dsp = 1}},    {"DSP58", {.dsp = 1}},      {"LUT6_2", {.lut = 1}},
    {"LUT*", {.lut = 1}},       {"SRL*", {.lut = 1}},       {"RAM32X1S", {.lut = 1}},
    {"RAM64X1S", {.lut = 1}},   {"RAM32X1D", {.lut = 2}},   {"RAM64X1D", {.lut = 2}},
    {"RAM128X1S", {.lut = 2}},  {"RAM128X1D", {.lut = 4}},  {"RAM256X1S", {.lut = 4}},
    {"RAM256X1D", {.lut = 8}},  {"RAM512X1S", {.lut = 8}},  {"RAM32M16", {.lut = 8}},
    {"RAM64M8", {.lut = 8}},    {"RAM32M", {.lut = 4}},     {"RAM64M", {.lut = 4}},
    {"RAMB36*", {.bram18 = 2}}, {"RAMB18*", {.bram18 = 1}}, {"FDRE*", {.ff = 1}},
    {"FDSE*", {.ff = 1}},       {"FDCE*", {.ff = 1}},       {"FDPE*", {.ff = 1}},
    {"LDCE", {.ff = 1}},        {"LDPE", {.ff = 1}},
};

static bool matches(const char *name, const char *pattern) {
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? strncmp(name, pattern, n - 1) == 0 : strcmp(name, pattern) == 0;
}

void mq_rtl_count_cells(const json_t *cells, mq_build_counts *out) {
    const char *name;
    json_t *value;
    *out = (mq_build_counts){0};
    json_object_foreach((json_t *)(uintptr_t)cells, name, value) {
        int64_t n = json_integer_value(value);
        for (size_t i = 0; i < sizeof CELLS / sizeof *CELLS; i++) {
            if (!matches(name, CELLS[i].name)) continue;
            out->dsp += n * CELLS[i].takes.dsp;
            out->lut += n * CELLS[i].takes.lut;
            out->ff += n * CELLS[i].takes.ff;
            out->bram18 += n * CELLS[i].takes.bram18;
            break;
        }
    }
}

static mq_status link_folder(const char *dir, const char *work, const char *name, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH];
    MQ_TRY(mq_path_join(dir, name, from, error));
    MQ_TRY(mq_path_join(work, name, to, error));
    char *real = realpath(from, NULL);
    if (!real) return mq_fail_errno(error, "cannot read", from);
    unlink(to);
    mq_status status = symlink(real, to) == 0 ? MQ_OK : mq_fail_errno(error, "cannot make a link", to);
    free(real);
    return status;
}

static mq_status read_counts(const char *path, mq_build_counts *out, mq_error *error) {
    json_t *root, *design, *cells;
    MQ_TRY(mq_json_load(path, &root, error));
    mq_status status = mq_json_object(root, path, "design", &design, error);
    if (status == MQ_OK) status = mq_json_object(design, path, "num_cells_by_type", &cells, error);
    if (status == MQ_OK) mq_rtl_count_cells(cells, out);
    json_decref(root);
    return status;
}

static void say_seconds(void *context, double seconds) {
    mq_log(MQ_LOG_DEBUG, "%s: %.0f s", (const char *)context, seconds);
}

mq_status mq_rtl_count(const char *dir, const char *work, const char *module, double seconds,
                       mq_build_counts *out, mq_error *error) {
    char script[MQ_BUILD_NAME + 16], log[MQ_PATH], name[MQ_BUILD_NAME + 8], path[MQ_PATH], tail[TAIL];
    int code;
    if (!mq_program_found("yosys"))
        return mq_fail(error, MQ_CHECK_FAILED, "yosys is not on PATH: nothing can be counted");
    MQ_TRY(link_folder(dir, work, "rtl", error));
    MQ_TRY(link_folder(dir, work, "mem", error));
    MQ_TRY(link_folder(dir, work, "synth", error));
    snprintf(script, sizeof script, "synth/%s.ys", module);
    snprintf(name, sizeof name, "%s.log", module);
    MQ_TRY(mq_path_join(work, name, log, error));
    const char *const words[] = {"yosys", "-q", "-l", name, "-s", script, NULL};
    mq_process process = {.words = words,
                          .folder = work,
                          .seconds = seconds,
                          .waiting = say_seconds,
                          .context = (void *)(uintptr_t)module};
    mq_status status = mq_process_run(&process, &code, error);
    if (status != MQ_OK) return mq_fail_context(error, status, "%s", module);
    if (code != 0) {
        mq_log_tail(log, tail, sizeof tail);
        return mq_fail(error, MQ_CHECK_FAILED, "%s: yosys: exit %d: ... %s", module, code, tail);
    }
    snprintf(name, sizeof name, "%s.json", module);
    MQ_TRY(mq_path_join(work, name, path, error));
    return read_counts(path, out, error);
}
