/* hls_golden.c - vectors of an export, channels last. */
#include "gen/hls_golden.h"

#include "base/file.h"
#include "base/memory.h"
#include "io/npy.h"

static mq_status load(const char *path, const mq_inet_edge *e, size_t *count, mq_tensor *out,
                      mq_error *error) {
    MQ_TRY(mq_npy_load(path, out, error));
    const mq_shape *s = &out->shape;
    if (s->rank != 4 || s->dim[0] < 1 || s->dim[1] != e->c || s->dim[2] != e->h || s->dim[3] != e->w ||
        out->dtype > MQ_I64 || (*count && (size_t)s->dim[0] != *count)) {
        char text[MQ_SHAPE_TEXT];
        mq_status status = mq_fail(error, MQ_BAD_INPUT, "%s: got %s, expected integers [N, %d, %d, %d]", path,
                                   mq_shape_text(s, text), e->c, e->h, e->w);
        mq_tensor_free(out);
        return status;
    }
    *count = (size_t)s->dim[0];
    return MQ_OK;
}

/* Element k of image n, channels last. */
static int64_t at(const mq_tensor *t, const mq_inet_edge *e, size_t n, size_t k) {
    size_t c = k % (size_t)e->c, pixel = k / (size_t)e->c, pixels = (size_t)e->h * (size_t)e->w;
    return mq_tensor_whole(t, (n * (size_t)e->c + c) * pixels + pixel);
}

static mq_status fill(const mq_inet *net, const mq_tensor *images, const mq_tensor *head, mq_hls_golden *g,
                      mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    size_t inputs = (size_t)in->h * (size_t)in->w * (size_t)in->c,
           outputs = (size_t)out->h * (size_t)out->w * (size_t)out->c;
    MQ_TRY(mq_alloc(g->images, inputs, "golden vectors", &g->image, error));
    MQ_TRY(mq_alloc(g->images, sizeof *g->output, "golden vectors", &g->output, error));
    for (size_t n = 0; n < g->images; n++) {
        MQ_TRY(mq_alloc(outputs, sizeof **g->output, "golden vectors", &g->output[n], error));
        for (size_t k = 0; k < inputs; k++) g->image[n * inputs + k] = (uint8_t)at(images, in, n, k);
        for (size_t k = 0; k < outputs; k++) g->output[n][k] = at(head, out, n, k);
    }
    return MQ_OK;
}

mq_status mq_hls_golden_load(const mq_inet *net, const char *dir, const char *head_path, mq_hls_golden *out,
                             mq_error *error) {
    char path[MQ_PATH];
    mq_tensor images, head;
    *out = (mq_hls_golden){0};
    MQ_TRY(mq_path_join(dir, "vectors/images.npy", path, error));
    MQ_TRY(load(path, &net->nodes[0].edge, &out->images, &images, error));
    mq_status status = load(head_path, &mq_inet_last(net)->edge, &out->images, &head, error);
    if (status == MQ_OK) {
        status = fill(net, &images, &head, out, error);
        mq_tensor_free(&head);
    }
    mq_tensor_free(&images);
    return status;
}

void mq_hls_golden_free(mq_hls_golden *g) {
    for (size_t i = 0; g->output && i < g->images; i++) mq_free(g->output[i]);
    mq_free(g->output);
    mq_free(g->image);
    *g = (mq_hls_golden){0};
}
