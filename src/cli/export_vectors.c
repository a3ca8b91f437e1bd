/* export_vectors.c - choosing the images, evaluating the trained network on them exactly, writing both. */
#include "cli/export_vectors.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "cli/image_file.h"
#include "cli/integer_run.h"
#include "data/dataset.h"
#include "io/npy.h"
#include "lower/exact_run.h"

enum { MOST_IMAGES = 100000 };
#define MOST_BYTES ((size_t)4 << 30) /* of all results together */

/* ---- images ---- */

static mq_status fail_count(const export_vectors *v, size_t have, const char *where, mq_error *error) {
    return mq_fail(error, MQ_USAGE, "--vectors %zu: %s has %zu images", v->count, where, have);
}

/* One by one: a detection set's images are made when they are asked for. */
static mq_status copy_images(const mq_dataset *set, const char *data, export_vectors *v, mq_error *error) {
    size_t image = mq_dataset_image_bytes(set);
    mq_status status = MQ_OK;
    if (v->count > set->count) return fail_count(v, set->count, data, error);
    MQ_TRY(mq_alloc(v->count, image, "images", &v->images, error));
    for (size_t i = 0; i < v->count && status == MQ_OK; i++)
        status = mq_dataset_image(set, i, NULL, v->images + i * image, error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, status, "--vectors %zu", v->count);
}

static mq_status read_data(const char *data, uint64_t seed, const mq_inet *net, export_vectors *v,
                           mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge;
    mq_dataset *set;
    mq_data_request request = {.split = MQ_SPLIT_TEST,
                               .limit = v->count,
                               .height = in->h,
                               .width = in->w,
                               .channels = in->c,
                               .seed = seed};
    MQ_TRY(mq_dataset_open(data, &request, &set, error));
    mq_status status = integer_check_dataset(net, set, error);
    if (status == MQ_OK) status = copy_images(set, data, v, error);
    if (status == MQ_OK) status = integer_pixels(net, v->images, v->count, v->images, error);
    mq_dataset_free(set);
    return status;
}

static mq_status read_input(const char *path, const mq_inet_node *image, export_vectors *v, mq_error *error) {
    const mq_inet_edge *in = &image->edge;
    image_file file;
    size_t pixels = (size_t)in->h * (size_t)in->w, channels = (size_t)in->c;
    MQ_TRY(image_file_open(path, image, &file, error));
    mq_status status = v->count > file.count
                           ? fail_count(v, file.count, path, error)
                           : mq_alloc(v->count, pixels * channels, "images", &v->images, error);
    for (size_t i = 0; status == MQ_OK && i < v->count; i++) /* from [c][h][w] */
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < pixels; p++)
                v->images[(i * pixels + p) * channels + c] = file.images[(i * channels + c) * pixels + p];
    image_file_close(&file);
    return status;
}

mq_status export_vectors_open(const cli_args *args, const mq_inet *net, export_vectors *out,
                              mq_error *error) {
    const char *data = cli_value(args, "--data"), *input = cli_value(args, "--input");
    int64_t count = 0;
    *out = (export_vectors){0};
    MQ_TRY(cli_int(args, "--vectors", 1, MOST_IMAGES, &count, error));
    if (count == 0) {
        if (data || input) return mq_fail(error, MQ_USAGE, "--data and --input belong to --vectors N");
        return MQ_OK;
    }
    if (!data == !input) return mq_fail(error, MQ_USAGE, "--vectors: one of --data D and --input F expected");
    if (net->compat)
        return mq_fail(error, MQ_USAGE,
                       "--vectors holds the trained network's codes: not what --compat promises");
    out->count = (size_t)count;
    return data ? read_data(data, args->seed, net, out, error)
                : read_input(input, &net->nodes[0], out, error);
}

void export_vectors_close(export_vectors *v) {
    mq_free(v->images);
    *v = (export_vectors){0};
}

/* ---- codes ---- */

static mq_dtype smallest(const mq_inet_edge *e) {
    if (e->low >= 0 && e->high <= UINT8_MAX) return MQ_U8;
    if (e->low >= INT8_MIN && e->high <= INT8_MAX) return MQ_I8;
    if (e->low >= INT16_MIN && e->high <= INT16_MAX) return MQ_I16;
    if (e->low >= INT32_MIN && e->high <= INT32_MAX) return MQ_I32;
    return MQ_I64;
}

static void store(const mq_tensor *t, size_t at, int64_t v) {
    size_t size = mq_dtype_size(t->dtype); /* little-endian, two's complement: the low bytes */
    memcpy((uint8_t *)t->data + at * size, &v, size);
}

typedef struct tables {
    mq_exact *exact;
    mq_tensor tensor[MQ_INET_MAX_NODES]; /* data NULL: not dumped */
    const mq_exact_result *result[MQ_INET_MAX_NODES];
} tables;

static mq_status open_tables(tables *t, const mq_checkpoint *checkpoint, const mq_inet *net, size_t images,
                             mq_error *error) {
    size_t bytes = 0;
    MQ_TRY(mq_exact_create(checkpoint, &t->exact, error));
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *n = &net->nodes[i];
        const mq_inet_edge *e = &n->edge;
        if (!n->dump[0]) continue;
        t->result[i] = mq_exact_find(t->exact, n->dump);
        if (!t->result[i] || strcmp(n->dump, VECTORS_IMAGES) == 0)
            return mq_fail(error, MQ_USAGE, "--vectors: a layer named '%s' has no file of its own", n->dump);
        bytes += images * (size_t)e->h * (size_t)e->w * (size_t)e->c * mq_dtype_size(smallest(e));
        if (bytes > MOST_BYTES)
            return mq_fail(error, MQ_USAGE,
                           "--vectors %zu: more than %zu bytes of codes: fewer images expected", images,
                           MOST_BYTES);
        MQ_TRY(mq_tensor_create(smallest(e), mq_shape4((int64_t)images, e->c, e->h, e->w), &t->tensor[i],
                                error));
    }
    return MQ_OK;
}

static mq_status evaluate(tables *t, const export_vectors *v, const mq_inet *net, mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge;
    size_t image = (size_t)in->h * (size_t)in->w * (size_t)in->c;
    for (size_t k = 0; k < v->count; k++) {
        mq_exact_image(t->exact, v->images + k * image);
        for (int i = 0; i < net->node_count; i++) {
            if (!t->tensor[i].data) continue;
            const mq_exact_result *r = t->result[i];
            size_t n = (size_t)r->h * (size_t)r->w * (size_t)r->c;
            for (size_t j = 0; j < n; j++) store(&t->tensor[i], k * n + j, r->values[j]);
        }
        mq_progress("vectors", k + 1, v->count, "exact evaluation");
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    }
    return MQ_OK;
}

static mq_status save(const mq_tensor *tensor, const char *dir, const char *name, mq_error *error) {
    char file[MQ_INET_MAX_NAME + 8], path[MQ_PATH];
    snprintf(file, sizeof file, "%s.npy", name);
    MQ_TRY(mq_path_join(dir, file, path, error));
    return mq_npy_save(path, tensor, error);
}

static mq_status save_images(const export_vectors *v, const mq_inet_edge *in, const char *dir,
                             mq_error *error) {
    size_t pixels = (size_t)in->h * (size_t)in->w, channels = (size_t)in->c;
    mq_tensor t;
    MQ_TRY(mq_tensor_create(MQ_U8, mq_shape4((int64_t)v->count, in->c, in->h, in->w), &t, error));
    uint8_t *to = t.data;
    for (size_t i = 0; i < v->count; i++)
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < pixels; p++) *to++ = v->images[(i * pixels + p) * channels + c];
    mq_status status = save(&t, dir, VECTORS_IMAGES, error);
    mq_tensor_free(&t);
    return status;
}

mq_status export_vectors_write(const export_vectors *v, const mq_checkpoint *checkpoint, const mq_inet *net,
                               const char *dir, mq_error *error) {
    tables *t = NULL;
    mq_status status;
    MQ_TRY(mq_make_dirs(dir, error));
    MQ_TRY(mq_alloc(1, sizeof *t, "vectors", &t, error));
    MQ_TRY_GOTO(open_tables(t, checkpoint, net, v->count, error), done);
    MQ_TRY_GOTO(evaluate(t, v, net, error), done);
    MQ_TRY_GOTO(save_images(v, &net->nodes[0].edge, dir, error), done);
    for (int i = 0; i < net->node_count; i++)
        if (t->tensor[i].data) MQ_TRY_GOTO(save(&t->tensor[i], dir, net->nodes[i].dump, error), done);
done:
    for (int i = 0; i < net->node_count; i++) mq_tensor_free(&t->tensor[i]);
    mq_exact_free(t->exact);
    mq_free(t);
    return status;
}
