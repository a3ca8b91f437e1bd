/* npy.h - NumPy's .npy files, C order, little endian: dumps, inputs and outputs. */
#ifndef MIXQ_IO_NPY_H
#define MIXQ_IO_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/tensor.h"

/* Versions 1.0 and 2.0; bool, u1, i1, i2, i4, i8, f4, f8; Fortran order, big endian, other types and files
 * whose size does not match are refused. Release with mq_tensor_free. */
mq_status mq_npy_load(const char *path, mq_tensor *out, mq_error *error) MQ_MUST_CHECK;
mq_status mq_npy_save(const char *path, const mq_tensor *tensor,
                      mq_error *error) MQ_MUST_CHECK; /* atomic; not BF16 */

/* A whole .npy file in memory; name stands in messages. The tensor is a copy. */
mq_status mq_npy_parse(const char *name, const uint8_t *bytes, size_t size, mq_tensor *out,
                       mq_error *error) MQ_MUST_CHECK;
enum { MQ_NPY_HEADER = 512 };
/* What stands before the tensor's bytes in its .npy file: *size bytes, a multiple of 64. */
mq_status mq_npy_header(const char *name, const mq_tensor *tensor, uint8_t out[MQ_NPY_HEADER], size_t *size,
                        mq_error *error) MQ_MUST_CHECK;

#endif
