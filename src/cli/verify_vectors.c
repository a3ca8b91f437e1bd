/* verify_vectors.c - stored vectors against the reference simulator. */
#include "cli/verify_vectors.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/stop.h"
#include "io/npy.h"
#include "sim/sim.h"

enum { PIECE = 16 };

static mq_status load(const char *dir, const char *name, const mq_inet_edge *e, int64_t count, mq_tensor *out,
                      mq_error *error) {
    char file[MQ_INET_MAX_NAME + 24], path[MQ_PATH], text[MQ_SHAPE_TEXT], wanted[MQ_SHAPE_TEXT];
    snprintf(file, sizeof file, "vectors/%s.npy", name);
    MQ_TRY(mq_path_join(dir, file, path, error));
    MQ_TRY(mq_npy_load(path, out, error));
    mq_shape shape = mq_shape4(count ? count : out->shape.dim[0], e->c, e->h, e->w);
    if (!mq_shape_equal(&out->shape, &shape) || shape.dim[0] < 1)
        return mq_fail(error, MQ_BAD_INPUT, "%s: shape: got %s, expected %s", path,
                       mq_shape_text(&out->shape, text), mq_shape_text(&shape, wanted));
    if (out->dtype > MQ_I64 || (!count && out->dtype != MQ_U8))
        return mq_fail(error, MQ_BAD_INPUT, "%s: type: got %s, expected %s", path, mq_dtype_name(out->dtype),
                       count ? "integers" : "uint8");
    return MQ_OK;
}

static mq_status load_all(const char *dir, const mq_inet *net, verify_vectors *v, mq_error *error) {
    MQ_TRY(load(dir, "images", &net->nodes[0].edge, 0, &v->images, error));
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *n = &net->nodes[i];
        if (n->dump[0]) MQ_TRY(load(dir, n->dump, &n->edge, v->images.shape.dim[0], &v->codes[i], error));
    }
    return MQ_OK;
}

mq_status verify_vectors_open(const char *dir, const mq_inet *net, size_t most, verify_vectors **out,
                              mq_error *error) {
    *out = NULL;
    verify_vectors *v;
    MQ_TRY(mq_alloc(1, sizeof *v, "vectors", &v, error));
    mq_status status = load_all(dir, net, v, error);
    if (status != MQ_OK) {
        verify_vectors_close(v);
        return status;
    }
    v->count = (size_t)v->images.shape.dim[0];
    if (most > v->count)
        mq_log(MQ_LOG_WARN, "%s: vectors of %zu image%s, %zu asked for", dir, v->count,
               v->count == 1 ? "" : "s", most);
    if (most && most < v->count) v->count = most;
    *out = v;
    return MQ_OK;
}

static void keep(void *context, size_t image, int node, const int64_t *codes) {
    mq_tensor *t = &((verify_vectors *)context)->codes[node];
    if (!t->data) return;
    size_t channels = (size_t)t->shape.dim[1], pixels = (size_t)(t->shape.dim[2] * t->shape.dim[3]);
    int64_t *to = (int64_t *)t->data + image * channels * pixels;
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < pixels; p++) *to++ = codes[p * channels + c];
}

static mq_status draw(const mq_inet *net, uint64_t seed, verify_vectors *v, mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge;
    const mq_rng rng = mq_rng_stream(seed, "verify images", 0);
    const mq_sim_visitor visitor = {.see = keep, .context = v};
    mq_sim *sim;
    MQ_TRY(mq_tensor_create(MQ_U8, mq_shape4((int64_t)v->count, in->c, in->h, in->w), &v->images, error));
    size_t bytes = v->count * (size_t)in->c * (size_t)in->h * (size_t)in->w;
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)v->images.data)[i] = (uint8_t)mq_rng_below(&rng, i, 256);
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_edge *e = &net->nodes[i].edge;
        if (net->nodes[i].dump[0])
            MQ_TRY(mq_tensor_create(MQ_I64, mq_shape4((int64_t)v->count, e->c, e->h, e->w), &v->codes[i],
                                    error));
    }
    MQ_TRY(mq_sim_create(net, &sim, error));
    mq_status status = mq_sim_run(sim, v->images.data, v->count, MQ_SIM_NCHW, &visitor, NULL, NULL, error);
    mq_sim_free(sim);
    return status;
}

mq_status verify_vectors_draw(const mq_inet *net, size_t count, uint64_t seed, verify_vectors **out,
                              mq_error *error) {
    MQ_TRY(mq_alloc(1, sizeof **out, "vectors", out, error));
    (*out)->count = count;
    mq_status status = draw(net, seed, *out, error);
    if (status != MQ_OK) {
        verify_vectors_close(*out);
        *out = NULL;
    }
    return status;
}

void verify_vectors_close(verify_vectors *v) {
    if (!v) return;
    mq_tensor_free(&v->images);
    for (int i = 0; i < MQ_INET_MAX_NODES; i++) mq_tensor_free(&v->codes[i]);
    mq_free(v);
}

int64_t verify_vectors_code(const verify_vectors *v, const mq_inet *net, int node, size_t n, int c, int p) {
    const mq_tensor *t = &v->codes[node];
    const mq_inet_edge *e = &net->nodes[node].edge;
    size_t at = (n * (size_t)e->c + (size_t)c) * (size_t)e->h * (size_t)e->w + (size_t)p;
    return mq_tensor_whole(t, at);
}

void verify_compare(const verify_vectors *v, const mq_inet *net, int node, size_t image, int c, int p,
                    int64_t got, verify_result *r) {
    int64_t expected = verify_vectors_code(v, net, node, image, c, p);
    if (got == expected) return;
    uint64_t before = r->mismatches;
    int w = net->nodes[node].edge.w;
    if (!r->any)
        *r = (verify_result){.any = true,
                             .image = image,
                             .node = node,
                             .channel = c,
                             .row = p / w,
                             .column = p % w,
                             .got = got,
                             .expected = expected};
    r->mismatches = before + 1;
}

mq_status verify_result_status(const verify_result *r, const mq_inet *net, const char *what,
                               mq_error *error) {
    if (!r->any) return MQ_OK;
    return mq_fail(error, MQ_CHECK_FAILED,
                   "%s: %llu codes differ; the first is %s: image %zu, channel %d, row %d, column %d: got "
                   "%lld, expected %lld",
                   what, (unsigned long long)r->mismatches, net->nodes[r->node].dump, r->image, r->channel,
                   r->row, r->column, (long long)r->got, (long long)r->expected);
}

/* ---- a simulator; images run on several threads, each with its own result ---- */

typedef struct comparison {
    const verify_vectors *vectors;
    const mq_inet *net;
    size_t first;
    verify_result image[PIECE];
} comparison;

static void see(void *context, size_t image, int node, const int64_t *codes) {
    comparison *j = context;
    const mq_inet_edge *e = &j->net->nodes[node].edge;
    verify_result *r = &j->image[image];
    if (!j->vectors->codes[node].data) return;
    for (int p = 0; p < e->h * e->w; p++)
        for (int c = 0; c < e->c; c++)
            verify_compare(j->vectors, j->net, node, j->first + image, c, p, codes[p * e->c + c], r);
}

static mq_status run_pieces(const mq_sim *sim, comparison *j, verify_result *out, mq_error *error) {
    const mq_inet_edge *in = &j->net->nodes[0].edge;
    const mq_sim_visitor visitor = {.see = see, .context = j};
    size_t bytes = (size_t)in->h * (size_t)in->w * (size_t)in->c, count = j->vectors->count;
    for (j->first = 0; j->first < count; j->first += PIECE) {
        size_t n = count - j->first < PIECE ? count - j->first : PIECE;
        memset(j->image, 0, sizeof j->image);
        const uint8_t *images = (const uint8_t *)j->vectors->images.data + j->first * bytes;
        MQ_TRY(mq_sim_run(sim, images, n, MQ_SIM_NCHW, &visitor, NULL, NULL, error));
        for (size_t i = 0; i < n; i++) {
            uint64_t before = out->mismatches;
            if (!out->any) *out = j->image[i];
            out->mismatches = before + j->image[i].mismatches;
        }
        mq_progress("verify", j->first + n, count, "images");
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    }
    return MQ_OK;
}

mq_status verify_simulated(const verify_vectors *vectors, const mq_inet *net, const mq_sim_options *options,
                           verify_result *out, mq_error *error) {
    *out = (verify_result){0};
    mq_sim *sim = NULL;
    comparison *j = NULL;
    mq_status status;
    MQ_TRY(mq_sim_create_with(net, options, &sim, error));
    MQ_TRY_GOTO(mq_alloc(1, sizeof *j, "vectors", &j, error), done);
    j->vectors = vectors;
    j->net = net;
    status = run_pieces(sim, j, out, error);
done:
    mq_free(j);
    mq_sim_free(sim);
    return status;
}
