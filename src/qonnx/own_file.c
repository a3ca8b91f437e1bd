/* own_file.c - a checkpoint inside an ONNX file. */
#include "qonnx/own_file.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static const char *const KEYS[] = {"format", "mode", "share", "symmetric", "precision",
                                   "epoch",  "bitw", "bita",  "network",   NULL};

mq_status mq_own_check(const mq_onnx_model *model, bool *own, mq_error *error) {
    const char *told = mq_onnx_meta(model, MQ_OWN_GRAPH);
    char digest[MQ_DIGEST_TEXT];
    *own = false;
    if (!told) return MQ_OK;
    MQ_TRY(mq_onnx_digest(model, digest, error));
    *own = strcmp(told, digest) == 0;
    return MQ_OK;
}

mq_status mq_own_restore(const mq_onnx_model *model, const char *name, const char *checkpoint,
                         mq_error *error) {
    char key[64];
    mq_st_writer *writer;
    MQ_TRY(mq_st_writer_create(&writer, error));
    mq_status status = MQ_OK;
    for (int i = 0; status == MQ_OK && KEYS[i]; i++) {
        snprintf(key, sizeof key, MQ_OWN_PREFIX "%s", KEYS[i]);
        const char *value = mq_onnx_meta(model, key);
        status = value ? mq_st_add_meta(writer, KEYS[i], value, error)
                       : mq_fail(error, MQ_BAD_INPUT, "%s: metadata '%s' is missing", name, key);
    }
    for (size_t i = 0; status == MQ_OK && i < model->tensor_count; i++) {
        const mq_onnx_tensor *t = &model->tensor[i];
        if (!mq_starts_with(t->name, MQ_OWN_PREFIX)) continue;
        mq_tensor tensor = {.dtype = t->real ? MQ_F32 : MQ_F64, .shape = t->shape};
        const void *data = t->real ? (const void *)t->real : (const void *)t->whole;
        memcpy(&tensor.data, &data, sizeof data); /* the writer only reads */
        status = mq_st_add(writer, t->name + strlen(MQ_OWN_PREFIX), &tensor, error);
    }
    if (status == MQ_OK && checkpoint) status = mq_st_write(writer, checkpoint, error);
    mq_st_writer_free(writer);
    return status;
}

static void store_meta(mq_onnx_writer *writer, const mq_checkpoint *c) {
    char key[64];
    for (int i = 0; KEYS[i]; i++) {
        const char *value = mq_st_meta(c->file, KEYS[i]);
        snprintf(key, sizeof key, MQ_OWN_PREFIX "%s", KEYS[i]);
        if (value) mq_onnx_add_meta(writer, key, value);
    }
}

mq_status mq_own_store(mq_onnx_writer *writer, const mq_checkpoint *c, mq_error *error) {
    mq_param_spec *specs;
    int count;
    char name[MQ_MAX_NAME + 40], digest[MQ_DIGEST_TEXT];
    MQ_TRY(mq_params_list(c->net, c->mode, c->share, &specs, &count, error));
    for (int i = 0; i < count; i++) {
        const mq_st_entry *entry = mq_st_find(c->file, specs[i].name);
        snprintf(name, sizeof name, MQ_OWN_PREFIX "%s", specs[i].name);
        if (specs[i].dtype == MQ_F64)
            mq_onnx_add_whole(writer, name, &specs[i].shape, entry->tensor.data);
        else
            mq_onnx_add_real(writer, name, &specs[i].shape, entry->tensor.data);
    }
    mq_free(specs);
    store_meta(writer, c);
    MQ_TRY(mq_onnx_graph_digest(writer, digest, error));
    mq_onnx_add_meta(writer, MQ_OWN_GRAPH, digest);
    return MQ_OK;
}
