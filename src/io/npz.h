/* npz.h - NumPy's .npz files: a zip archive of .npy arrays by name, stored (numpy.savez) or deflated
 * (numpy.savez_compressed). */
#ifndef MIXQ_IO_NPZ_H
#define MIXQ_IO_NPZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/tensor.h"

/* At most 4 GiB, at most 4096 arrays. The archive is treated as hostile (zip_store.h), and so is each array
 * (npy.h). */
typedef struct mq_npz mq_npz;
mq_status mq_npz_open(const char *path, mq_npz **out, mq_error *error) MQ_MUST_CHECK;
void mq_npz_close(mq_npz *npz); /* NULL is fine */
bool mq_npz_has(const mq_npz *npz, const char *name);
/* One array. Release with mq_tensor_free. MQ_BAD_INPUT lists the arrays when it is not there. */
mq_status mq_npz_read(const mq_npz *npz, const char *name, mq_tensor *out, mq_error *error) MQ_MUST_CHECK;
/* The names that there are, as "x, y", for messages; cut with "..." where they are many. */
void mq_npz_names(const mq_npz *npz, char *out, size_t size);

/* A .npy, or of a .npz the first array that `names` (ends with NULL) has, else its only one. MQ_BAD_INPUT
 * lists what is there and what was expected. */
mq_status mq_array_load(const char *path, const char *const *names, mq_tensor *out,
                        mq_error *error) MQ_MUST_CHECK;
bool mq_array_file(const char *path); /* a name ending in .npy or .npz */

typedef struct mq_npz_array {
    const char *name; /* a letter, then letters, digits and _ */
    const mq_tensor *tensor;
} mq_npz_array;
/* Writes them in this order, atomically, deflated or stored; not BF16. Below 4 GiB in all: MQ_USAGE. The same
 * arrays give the same bytes. */
mq_status mq_npz_save(const char *path, const mq_npz_array *arrays, size_t count, bool deflated,
                      mq_error *error) MQ_MUST_CHECK;

#endif
