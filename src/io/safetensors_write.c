/* safetensors_write.c - writing a safetensors file: the header is built as JSON in the order of the calls, so
 * that the same calls give the same bytes; the file appears complete or not at all. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/json.h"
#include "io/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor data is written as it lies in memory");

static const char *const DTYPE_NAMES[MQ_DTYPES] = {
    [MQ_U8] = "U8",   [MQ_I8] = "I8",     [MQ_I16] = "I16", [MQ_I32] = "I32",
    [MQ_I64] = "I64", [MQ_BF16] = "BF16", [MQ_F32] = "F32", [MQ_F64] = "F64",
};

static const size_t MAX_HEADER = (size_t)16 << 20; /* what readers accept */

typedef struct part {
    const void *data;
    size_t bytes;
} part;

struct mq_st_writer {
    json_t *meta, *tensors;
    part *parts; /* [count] in order of the calls */
    size_t count, room;
    size_t bytes; /* of all data so far */
};

mq_status mq_st_writer_create(mq_st_writer **out, mq_error *error) {
    *out = NULL;
    mq_st_writer *writer;
    MQ_TRY(mq_alloc(1, sizeof *writer, "a safetensors writer", &writer, error));
    writer->meta = json_object();
    writer->tensors = json_object();
    if (!writer->meta || !writer->tensors) {
        mq_st_writer_free(writer);
        return mq_fail_memory(error, "a safetensors writer", sizeof *writer);
    }
    *out = writer;
    return MQ_OK;
}

void mq_st_writer_free(mq_st_writer *writer) {
    if (!writer) return;
    json_decref(writer->meta);
    json_decref(writer->tensors);
    mq_free(writer->parts);
    mq_free(writer);
}

static mq_status fail_add(const char *name, const char *why, mq_error *error) {
    return mq_fail(error, MQ_INTERNAL, "cannot put into a safetensors file: %.200s: %s", name, why);
}

/* {dtype, shape, data_offsets} or NULL. */
static json_t *describe(const mq_tensor *tensor, size_t begin, size_t end) {
    json_t *shape = json_array();
    for (int i = 0; shape && i < tensor->shape.rank; i++) {
        if (json_array_append_new(shape, json_integer(tensor->shape.dim[i])) == 0) continue;
        json_decref(shape);
        shape = NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", DTYPE_NAMES[tensor->dtype], "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

mq_status mq_st_add(mq_st_writer *writer, const char *name, const mq_tensor *tensor, mq_error *error) {
    size_t count, bytes, end;
    if (strcmp(name, "__metadata__") == 0) return fail_add(name, "the name is reserved", error);
    if (json_object_get(writer->tensors, name)) return fail_add(name, "the name was given twice", error);
    if (!mq_shape_count(&tensor->shape, &count) ||
        mq_mul_overflow(count, mq_dtype_size(tensor->dtype), &bytes) ||
        mq_add_overflow(writer->bytes, bytes, &end) || end > INT64_MAX)
        return fail_add(name, "too large", error);
    if (writer->count == writer->room) {
        size_t room = writer->room ? 2 * writer->room : 64;
        MQ_TRY(mq_resize(writer->room, room, sizeof *writer->parts, "a safetensors writer", &writer->parts,
                         error));
        writer->room = room;
    }
    if (json_object_set_new(writer->tensors, name, describe(tensor, writer->bytes, end)) != 0)
        return fail_add(name, "its name is not UTF-8, or out of memory", error);
    writer->parts[writer->count++] = (part){.data = tensor->data, .bytes = bytes};
    writer->bytes = end;
    return MQ_OK;
}

mq_status mq_st_add_meta(mq_st_writer *writer, const char *key, const char *value, mq_error *error) {
    if (json_object_get(writer->meta, key)) return fail_add(key, "the metadata key was given twice", error);
    if (json_object_set_new(writer->meta, key, json_string(value)) != 0)
        return fail_add(key, "not UTF-8, or out of memory", error);
    return MQ_OK;
}

/* The header as text, padded with spaces to 8 bytes; release with mq_free. */
static mq_status header_text(const mq_st_writer *writer, char **out, size_t *size, mq_error *error) {
    *out = NULL;
    json_t *header = json_object();
    int failed = !header;
    if (!failed && json_object_size(writer->meta))
        failed = json_object_set(header, "__metadata__", writer->meta);
    if (!failed) failed = json_object_update(header, writer->tensors);
    char *text = failed ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text || mq_memory_was_short()) { /* dumped with a piece missing */
        free(text);
        return mq_fail_memory(error, "a safetensors header", writer->count);
    }
    size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    mq_status status =
        padded <= MAX_HEADER
            ? mq_alloc(padded, 1, "a safetensors header", out, error)
            : mq_fail(error, MQ_INTERNAL, "safetensors header too large: %zu bytes, expected at most %zu",
                      padded, MAX_HEADER);
    if (status == MQ_OK) {
        memcpy(*out, text, length);
        memset(*out + length, ' ', padded - length);
        *size = padded;
    }
    free(text); /* jansson's memory */
    return status;
}

mq_status mq_st_write(mq_st_writer *writer, const char *path, mq_error *error) {
    char *header;
    size_t size = 0;
    MQ_TRY(header_text(writer, &header, &size, error));
    uint64_t length = size;
    mq_outfile *file = NULL;
    mq_status status = mq_outfile_open(path, &file, error);
    if (status == MQ_OK) status = mq_outfile_write(file, &length, sizeof length, error);
    if (status == MQ_OK) status = mq_outfile_write(file, header, size, error);
    for (size_t i = 0; status == MQ_OK && i < writer->count; i++)
        status = mq_outfile_write(file, writer->parts[i].data, writer->parts[i].bytes, error);
    mq_free(header);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}
