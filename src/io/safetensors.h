/* safetensors.h - the container of checkpoints and integer weights.
 *
 * 8-byte little-endian header length, JSON header {name: {dtype, shape, data_offsets}, "__metadata__": {str:
 * str}}, then raw little-endian data. The reader treats a file as hostile: header at most 16 MiB, offsets
 * inside the file, no overlap, no gap, sizes that match dtype and shape, unique names, known dtypes (BOOL
 * read as U8, U8 I8 I16 I32 I64 BF16 F32 F64; others are refused by name). The writer is atomic, orders
 * tensors as added and pads the header to 8 bytes. */
#ifndef MIXQ_IO_SAFETENSORS_H
#define MIXQ_IO_SAFETENSORS_H

#include <stddef.h>

#include "base/status.h"
#include "tensor/tensor.h"

typedef struct mq_st_file mq_st_file;

typedef struct mq_st_entry {
    const char *name;
    mq_tensor tensor; /* data: 8-byte aligned, borrowed from the file until mq_st_free */
} mq_st_entry;

mq_status mq_st_load(const char *path, mq_st_file **out, mq_error *error) MQ_MUST_CHECK;
/* From memory (copied); name stands in messages. */
mq_status mq_st_parse(const char *name, const void *bytes, size_t size, mq_st_file **out,
                      mq_error *error) MQ_MUST_CHECK;
void mq_st_free(mq_st_file *file);
size_t mq_st_count(const mq_st_file *file);
const mq_st_entry *mq_st_at(const mq_st_file *file, size_t index);       /* in file order of data */
const mq_st_entry *mq_st_find(const mq_st_file *file, const char *name); /* NULL when absent */
/* Finds and checks; NULL shape = any. "path: tensor: got ..., expected ...". */
mq_status mq_st_require(const mq_st_file *file, const char *name, mq_dtype dtype, const mq_shape *shape,
                        const mq_st_entry **out, mq_error *error) MQ_MUST_CHECK;
/* Metadata value or NULL. */
const char *mq_st_meta(const mq_st_file *file, const char *key);
const char *mq_st_path(const mq_st_file *file);

typedef struct mq_st_writer mq_st_writer;
mq_status mq_st_writer_create(mq_st_writer **out, mq_error *error) MQ_MUST_CHECK;
/* The tensor's data is borrowed until mq_st_write. Name and metadata strings are copied. */
mq_status mq_st_add(mq_st_writer *writer, const char *name, const mq_tensor *tensor,
                    mq_error *error) MQ_MUST_CHECK;
mq_status mq_st_add_meta(mq_st_writer *writer, const char *key, const char *value,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_st_write(mq_st_writer *writer, const char *path, mq_error *error) MQ_MUST_CHECK; /* atomic */
void mq_st_writer_free(mq_st_writer *writer);

#endif
