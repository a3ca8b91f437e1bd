/* verify_plain_c.c - compile with every compiler, run, compare. */
#include "cli/verify_plain_c.h"

#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "gen/plain_c_run.h"

static const double LIMIT_S = 1800;

static mq_status compare(const char *dir, const char *compiler, const char *work, const mq_inet *net,
                         const verify_vectors *v, const uint8_t *images, uint64_t *mismatches,
                         mq_error *error) {
    const mq_inet_edge *e = &mq_inet_last(net)->edge;
    const int head = mq_inet_last(net)->input[0], pixels = e->h * e->w;
    char place[MQ_PATH], what[32];
    verify_result result = {0};
    int32_t *got;
    MQ_TRY(mq_path_join(work, compiler, place, error));
    MQ_TRY(mq_make_dirs(place, error));
    MQ_TRY(mq_plain_c_run(net, dir, compiler, place, images, v->count, LIMIT_S, &got, error));
    size_t next = 0;
    for (size_t n = 0; n < v->count; n++)
        for (int c = 0; c < e->c; c++)
            for (int p = 0; p < pixels; p++) verify_compare(v, net, head, n, c, p, got[next++], &result);
    mq_free(got);
    *mismatches += result.mismatches;
    snprintf(what, sizeof what, "c (%s)", compiler);
    return verify_result_status(&result, net, what, error);
}

mq_status verify_plain_c_run(const char *dir, const char *work, const mq_inet *net, const verify_vectors *v,
                             verify_plain_c_result *out, mq_error *error) {
    const char *compiler[MQ_PLAIN_C_COMPILERS];
    uint8_t *images;
    *out = (verify_plain_c_result){0};
    int count = mq_plain_c_compilers(compiler);
    if (!count)
        return mq_fail(
            error, MQ_CHECK_FAILED,
            "c: no C compiler on PATH: cc, gcc or clang expected; --upto integer leaves this step out");
    size_t bytes = v->count * (size_t)mq_tensor_count(&v->images) / (size_t)v->images.shape.dim[0];
    MQ_TRY(mq_alloc(bytes, 1, "images", &images, error));
    for (size_t i = 0; i < bytes; i++) images[i] = (uint8_t)mq_tensor_whole(&v->images, i);
    mq_status status = MQ_OK;
    for (int i = 0, used = 0; i < count && status == MQ_OK; i++) {
        used += snprintf(out->compilers + used, sizeof out->compilers - (size_t)used, "%s%s",
                         i ? " and " : "", compiler[i]);
        status = compare(dir, compiler[i], work, net, v, images, &out->mismatches, error);
    }
    mq_free(images);
    return status;
}
