/* hls_run.c - compiling, running and comparing the HLS bench. */
#include "gen/hls_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/process.h"
#include "gen/hls_beats.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static mq_status failed(const char *log, const char *what, mq_error *error) {
    char tail[400];
    mq_log_tail(log, tail, sizeof tail);
    return mq_fail(error, MQ_CHECK_FAILED, "hls: %s: %s", what, tail);
}

/* Paths that hold in another folder too. */
static mq_status absolute(const char *path, char out[MQ_PATH], mq_error *error) {
    return realpath(path, out) ? MQ_OK : mq_fail_errno(error, "cannot read", path);
}

mq_status mq_hls_run(const char *dir, const char *work, const char *vectors, int jobs, double limit_s,
                     bool *differs, mq_hls_times *times, mq_error *error) {
    char parallel[16], source[MQ_PATH], here[MQ_PATH], input[MQ_PATH], makefile[MQ_PATH], from[MQ_PATH + 8];
    char bench[MQ_PATH], log[MQ_PATH], dumps[MQ_PATH];
    int code;
    snprintf(parallel, sizeof parallel, "-j%d", jobs > 0 ? jobs : 1);
    MQ_TRY(mq_make_dirs(work, error));
    MQ_TRY(absolute(dir, source, error));
    MQ_TRY(absolute(work, here, error));
    MQ_TRY(absolute(vectors, input, error));
    MQ_TRY(mq_path_join(source, "Makefile", makefile, error));
    MQ_TRY(mq_path_join(here, "bench", bench, error));
    MQ_TRY(mq_path_join(here, "bench.log", log, error));
    MQ_TRY(mq_path_join(here, "dumps", dumps, error));
    MQ_TRY(mq_folder_remove(dumps, error)); /* the bench appends */
    MQ_TRY(mq_make_dirs(dumps, error));
    snprintf(from, sizeof from, "SRC=%s", source);
    double start = now();
    const char *const make[] = {"make", "-s", "-C", here, "-f", makefile, parallel, from, "bench", NULL};
    MQ_TRY(mq_process_run(&(mq_process){.words = make, .log = log, .seconds = limit_s}, &code, error));
    if (code != 0) return failed(log, "the bench does not compile", error);
    double compiled = now();
    const char *const run[] = {bench, input, dumps, NULL};
    MQ_TRY(mq_process_run(&(mq_process){.words = run, .log = log, .seconds = limit_s}, &code, error));
    if (code != 0 && code != 1) return failed(log, "the bench does not end well", error);
    *differs = code == 1;
    if (times) *times = (mq_hls_times){compiled - start, now() - compiled};
    return MQ_OK;
}

/* ---- comparing ---- */

static mq_status stage_codes(const mq_hls_stage *s, const char *work, size_t images, mq_hls_see *see,
                             void *context, mq_error *error) {
    char dumps[MQ_PATH], path[MQ_PATH], file[MQ_HLS_ID + 8];
    uint8_t *bytes;
    size_t size, frame = mq_frame_bytes(&s->out);
    int64_t *codes = NULL;
    snprintf(file, sizeof file, "%s.beats", s->id);
    MQ_TRY(mq_path_join(work, "dumps", dumps, error));
    MQ_TRY(mq_path_join(dumps, file, path, error));
    MQ_TRY(mq_file_read(path, (size_t)1 << 32, &bytes, &size, error));
    mq_status status = MQ_OK;
    if (size != images * frame)
        status = mq_fail(error, MQ_CHECK_FAILED, "%s: %zu bytes, expected %zu frames of %zu", path, size,
                         images, frame);
    if (status == MQ_OK)
        status = mq_alloc((size_t)s->out.h * (size_t)s->out.w * (size_t)s->out.c, sizeof *codes, "codes",
                          &codes, error);
    for (size_t f = 0; f < images && status == MQ_OK; f++) {
        mq_beats_unpack(&s->out, bytes + f * frame, codes);
        see(context, s, f, codes);
    }
    mq_free(codes);
    mq_free(bytes);
    return status;
}

mq_status mq_hls_codes(const mq_hls_net *h, const char *work, size_t images, mq_hls_see *see, void *context,
                       mq_error *error) {
    for (int i = 0; i < h->count; i++) MQ_TRY(stage_codes(&h->stage[i], work, images, see, context, error));
    return MQ_OK;
}

typedef struct comparison {
    const int64_t *const *codes;
    int nodes;
    mq_hls_difference *out;
} comparison;

static void compare(void *context, const mq_hls_stage *stage, size_t image, const int64_t *got) {
    comparison *k = context;
    mq_hls_difference *out = k->out;
    const mq_stream *s = &stage->out;
    const int64_t *expected = k->codes[image * (size_t)k->nodes + (size_t)stage->result];
    for (size_t at = 0; expected && at < (size_t)s->h * (size_t)s->w * (size_t)s->c; at++) {
        if (got[at] == expected[at]) continue;
        if (out->node < 0) {
            size_t pixel = at / (size_t)s->c;
            *out = (mq_hls_difference){.mismatches = out->mismatches,
                                       .node = stage->result,
                                       .image = image,
                                       .c = (int)(at % (size_t)s->c),
                                       .y = (int)(pixel / (size_t)s->w),
                                       .x = (int)(pixel % (size_t)s->w),
                                       .got = got[at],
                                       .expected = expected[at]};
        }
        out->mismatches++;
    }
}

mq_status mq_hls_compare(const mq_hls_net *h, const char *work, size_t images, const int64_t *const *codes,
                         mq_hls_difference *out, mq_error *error) {
    *out = (mq_hls_difference){.node = -1};
    comparison k = {codes, h->net->node_count, out};
    return mq_hls_codes(h, work, images, compare, &k, error);
}
