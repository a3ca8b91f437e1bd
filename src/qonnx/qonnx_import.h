/* qonnx_import.h - a quantised ONNX network becomes a checkpoint of ours.
 *
 * QONNX (https://github.com/fastmachinelearning/qonnx): ONNX with Quant nodes {scale, zero point, bit width,
 * signed, narrow, rounding}, of the domains onnx.brevitas, finn.custom_op.general and
 * qonnx.custom_op.general. The graph is walked once: constants are folded, scalings between a layer and the
 * next Quant are summed up into the layer's scale and offset, and what comes out is a network of given
 * quantisers (net.h). What has no exact integer form here is refused, naming node and operator: docs/qonnx.md
 * has the list.
 *
 * A file that mixq wrote, and nobody changed, carries its checkpoint; that is what comes back. */
#ifndef MIXQ_QONNX_QONNX_IMPORT_H
#define MIXQ_QONNX_QONNX_IMPORT_H

#include "io/onnx.h"

typedef struct mq_qonnx_options {
    double
        pixel_divisor; /* a data set's pixel k stands for k/this, where the input is real numbers; above 0 */
} mq_qonnx_options;

/* Reads path and writes the checkpoint, atomically. *own (may be NULL): it was an unchanged file of mixq's.
 */
mq_status mq_qonnx_import(const char *path, const mq_qonnx_options *options, const char *checkpoint,
                          bool *own, mq_error *error) MQ_MUST_CHECK;
/* The same of bytes; name stands in messages. checkpoint NULL: everything but the writing. */
mq_status mq_qonnx_import_bytes(const char *name, const void *bytes, size_t size,
                                const mq_qonnx_options *options, const char *checkpoint, bool *own,
                                mq_error *error) MQ_MUST_CHECK;

#endif
