/* npy.h - NumPy's .npy files, C order, little endian: dumps, inputs and outputs. */
#ifndef MIXQ_IO_NPY_H
#define MIXQ_IO_NPY_H

#include "base/status.h"
#include "tensor/tensor.h"

/* Versions 1.0 and 2.0; bool, u1, i1, i2, i4, i8, f4, f8; Fortran order, big endian, other types and files
 * whose size does not match are refused. Release with mq_tensor_free. */
mq_status mq_npy_load(const char *path, mq_tensor *out, mq_error *error) MQ_MUST_CHECK;
mq_status mq_npy_save(const char *path, const mq_tensor *tensor,
                      mq_error *error) MQ_MUST_CHECK; /* atomic; not BF16 */

#endif
