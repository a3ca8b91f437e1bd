/* pt.h - PyTorch's .pt files (zip + pickle), read safely: nothing in the file is executed.
 *
 * Either a checkpoint of the published framework {epoch, model: {name: tensor}, model_params: {bitw, bita},
 * ...} or a bare state dict {name: tensor}. The file is treated as hostile: see zip_store.h and pickle.h for
 * what is refused; here tensor names must be unique and the storages whole. */
#ifndef MIXQ_IO_PT_H
#define MIXQ_IO_PT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/safetensors.h"

typedef struct mq_pt_file mq_pt_file;

mq_status mq_pt_load(const char *path, mq_pt_file **out, mq_error *error) MQ_MUST_CHECK;
/* From memory (tensors are copied); name stands in messages. */
mq_status mq_pt_parse(const char *name, const void *bytes, size_t size, mq_pt_file **out,
                      mq_error *error) MQ_MUST_CHECK;
void mq_pt_free(mq_pt_file *file); /* NULL is fine */

/* float32 or int64 tensors, contiguous, borrowed from the file; in order of the state dict. */
size_t mq_pt_count(const mq_pt_file *file);
const mq_st_entry *mq_pt_at(const mq_pt_file *file, size_t index);
/* Finished epochs as the file says; 0 when it does not. */
int64_t mq_pt_epoch(const mq_pt_file *file);
/* model_params[key] ("bitw", "bita") as "8,2,2": a list of integers or a string in the file; NULL when
 * absent. */
const char *mq_pt_bits(const mq_pt_file *file, const char *key);

#endif
