/* verify_hls.c - compile, run, compare. */
#include "cli/verify_hls.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "gen/hls_build.h"
#include "inet/inet_plan.h"

static const double LIMIT_S = 3600;

typedef struct view {
    const mq_inet *net;
    const verify_vectors *vectors;
    verify_result *result;
    int layers;
} view;

static void see(void *context, const mq_hls_stage *stage, size_t image, const int64_t *codes) {
    view *v = context;
    const mq_stream *s = &stage->out;
    if (!v->vectors->codes[stage->result].data) return;
    if (image == 0) v->layers++;
    for (int p = 0; p < s->h * s->w; p++)
        for (int c = 0; c < s->c; c++)
            verify_compare(v->vectors, v->net, stage->result, image, c, p,
                           codes[(size_t)p * (size_t)s->c + (size_t)c], v->result);
}

/* Images and the head's codes, channels last, as the bench's files. */
static mq_status write_vectors(const mq_hls_net *h, const verify_vectors *v, const char *folder,
                               mq_error *error) {
    const mq_inet *net = h->net;
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    size_t inputs = (size_t)in->h * (size_t)in->w * (size_t)in->c,
           outputs = (size_t)out->h * (size_t)out->w * (size_t)out->c;
    size_t in_pixels = inputs / (size_t)in->c;
    uint8_t *image = NULL;
    int64_t *codes = NULL;
    const int64_t **output = NULL;
    int head = mq_inet_last(net)->input[0];
    mq_status status = mq_alloc(v->count, inputs, "vectors", &image, error);
    if (status == MQ_OK) status = mq_alloc(v->count * outputs, sizeof *codes, "vectors", &codes, error);
    if (status == MQ_OK) status = mq_alloc(v->count, sizeof *output, "vectors", &output, error);
    for (size_t n = 0; n < v->count && status == MQ_OK; n++) {
        output[n] = codes + n * outputs;
        for (size_t k = 0; k < inputs; k++)
            image[n * inputs + k] = (uint8_t)mq_tensor_whole(
                &v->images, n * inputs + k % (size_t)in->c * in_pixels + k / (size_t)in->c);
        for (size_t k = 0; k < outputs; k++)
            codes[n * outputs + k] =
                verify_vectors_code(v, net, head, n, (int)(k % (size_t)out->c), (int)(k / (size_t)out->c));
    }
    if (status == MQ_OK) status = mq_hls_vectors_write(h, folder, v->count, image, output, error);
    mq_free(image);
    mq_free(codes);
    mq_free(output);
    return status;
}

static mq_status run(const mq_hls_net *h, const char *dir, const char *work, const verify_vectors *vectors,
                     verify_hls_result *out, mq_error *error) {
    char source[MQ_PATH], place[MQ_PATH], folder[MQ_PATH];
    verify_result result = {0};
    bool differs;
    MQ_TRY(mq_path_join(dir, "hls", source, error));
    MQ_TRY(mq_path_join(work, "hls", place, error));
    MQ_TRY(mq_path_join(place, "vectors", folder, error));
    MQ_TRY(write_vectors(h, vectors, folder, error));
    MQ_TRY(mq_hls_run(source, place, folder, mq_threads(), LIMIT_S, &differs, &out->times, error));
    view v = {h->net, vectors, &result, 0};
    MQ_TRY(mq_hls_codes(h, place, vectors->count, see, &v, error));
    out->mismatches = result.mismatches;
    out->layers = v.layers;
    MQ_TRY(verify_result_status(&result, h->net, "hls", error));
    if (differs)
        return mq_fail(error, MQ_CHECK_FAILED,
                       "hls: the beats of the output port differ, though the codes are the same");
    return MQ_OK;
}

mq_status verify_hls_run(const char *dir, const char *work, const mq_inet *net, const verify_vectors *vectors,
                         verify_hls_result *out, mq_error *error) {
    char path[MQ_PATH];
    mq_inet_plan *plan;
    mq_hls_net *h;
    *out = (verify_hls_result){0};
    MQ_TRY(mq_path_join(dir, MQ_PLAN_FILE, path, error));
    MQ_TRY(mq_inet_plan_load(path, net, &plan, error));
    mq_status status = mq_hls_net_create(net, plan, &h, error);
    if (status == MQ_OK) {
        status = run(h, dir, work, vectors, out, error);
        mq_hls_net_free(h);
    }
    mq_inet_plan_free(plan);
    return status;
}
