/* sim_dump.c - collects the codes of the dumped nodes while images run, and writes them as .npy files. */
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/npy.h"
#include "sim/dump_index.h"
#include "sim/sim.h"
#include "tensor/tensor.h"

struct mq_sim_dump {
    const mq_inet *net;
    size_t images, first;
    mq_tensor *tensors; /* [node]; data NULL where not dumped */
};

static mq_dtype smallest(const mq_inet_edge *edge) {
    if (edge->low >= 0 && edge->high <= UINT8_MAX) return MQ_U8;
    if (edge->low >= INT8_MIN && edge->high <= INT8_MAX) return MQ_I8;
    if (edge->low >= INT16_MIN && edge->high <= INT16_MAX) return MQ_I16;
    if (edge->low >= INT32_MIN && edge->high <= INT32_MAX) return MQ_I32;
    return MQ_I64;
}

size_t mq_sim_dump_bytes(const mq_inet *net) {
    size_t bytes = 0;
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_edge *e = &net->nodes[i].edge;
        if (net->nodes[i].dump[0])
            bytes += (size_t)e->h * (size_t)e->w * (size_t)e->c * mq_dtype_size(smallest(e));
    }
    return bytes;
}

mq_status mq_sim_dump_create(const mq_inet *net, size_t images, mq_sim_dump **out, mq_error *error) {
    *out = NULL;
    mq_sim_dump *dump = NULL;
    MQ_TRY(mq_alloc(1, sizeof *dump, "dump", &dump, error));
    dump->net = net;
    dump->images = images;
    mq_status status =
        mq_alloc((size_t)net->node_count, sizeof *dump->tensors, "dump", &dump->tensors, error);
    for (int i = 0; status == MQ_OK && i < net->node_count; i++) {
        const mq_inet_edge *e = &net->nodes[i].edge;
        if (!net->nodes[i].dump[0]) continue;
        status = mq_tensor_create(smallest(e), mq_shape4((int64_t)images, e->c, e->h, e->w),
                                  &dump->tensors[i], error);
    }
    if (status != MQ_OK) {
        mq_sim_dump_free(dump);
        return status;
    }
    *out = dump;
    return MQ_OK;
}

void mq_sim_dump_free(mq_sim_dump *dump) {
    if (!dump) return;
    for (int i = 0; dump->tensors && i < dump->net->node_count; i++) mq_tensor_free(&dump->tensors[i]);
    mq_free(dump->tensors);
    mq_free(dump);
}

static void store(const mq_tensor *tensor, size_t at, int64_t v) {
    switch (tensor->dtype) {
    case MQ_U8:
        ((uint8_t *)tensor->data)[at] = (uint8_t)v;
        break;
    case MQ_I8:
        ((int8_t *)tensor->data)[at] = (int8_t)v;
        break;
    case MQ_I16:
        ((int16_t *)tensor->data)[at] = (int16_t)v;
        break;
    case MQ_I32:
        ((int32_t *)tensor->data)[at] = (int32_t)v;
        break;
    default:
        ((int64_t *)tensor->data)[at] = v;
    }
}

static void see(void *context, size_t image, int node, const int64_t *codes) {
    mq_sim_dump *dump = context;
    const mq_tensor *tensor = &dump->tensors[node];
    const mq_inet_edge *e = &dump->net->nodes[node].edge;
    size_t pixels = (size_t)e->h * (size_t)e->w, channels = (size_t)e->c, row = dump->first + image;
    if (!tensor->data || row >= dump->images) return;
    for (size_t c = 0; c < channels; c++)
        for (size_t p = 0; p < pixels; p++)
            store(tensor, (row * channels + c) * pixels + p, codes[p * channels + c]);
}

mq_sim_visitor mq_sim_dump_visitor(mq_sim_dump *dump, size_t first) {
    dump->first = first;
    return (mq_sim_visitor){.see = see, .context = dump};
}

mq_status mq_sim_dump_save(const mq_sim_dump *dump, const char *dir, mq_error *error) {
    MQ_TRY(mq_make_dirs(dir, error));
    MQ_TRY(mq_dump_index_remove(dir, error)); /* files of two runs are no dump */
    for (int i = 0; i < dump->net->node_count; i++) {
        char name[MQ_INET_MAX_NAME + 8], path[MQ_PATH];
        if (!dump->tensors[i].data) continue;
        snprintf(name, sizeof name, "%s.npy", dump->net->nodes[i].dump);
        MQ_TRY(mq_path_join(dir, name, path, error));
        MQ_TRY(mq_npy_save(path, &dump->tensors[i], error));
    }
    return mq_dump_index_save(dir, dump->net, dump->images, error);
}
