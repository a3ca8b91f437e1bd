/* own_file.h - how a QONNX file of ours carries the checkpoint that it was made from. Private to this folder.
 *
 * Metadata: "mixq.graph", the digest of the graph as written; "mixq.<key>", the checkpoint's metadata.
 * Initializers: "mixq.<tensor>" float32, and the bits of float64 tensors as int64. A graph that somebody
 * changed has another digest, and is then read like anybody's. */
#ifndef MIXQ_QONNX_OWN_FILE_H
#define MIXQ_QONNX_OWN_FILE_H

#include "io/onnx.h"
#include "net/checkpoint.h"

#define MQ_OWN_PREFIX "mixq."
#define MQ_OWN_GRAPH  "mixq.graph"

/* Whether the model is an unchanged file of ours. */
mq_status mq_own_check(const mq_onnx_model *model, bool *own, mq_error *error) MQ_MUST_CHECK;
/* Writes the checkpoint that it carries. */
mq_status mq_own_restore(const mq_onnx_model *model, const char *name, const char *checkpoint,
                         mq_error *error) MQ_MUST_CHECK;
/* Adds tensors and metadata of a checkpoint, then the digest: the last thing added. */
mq_status mq_own_store(mq_onnx_writer *writer, const mq_checkpoint *checkpoint,
                       mq_error *error) MQ_MUST_CHECK;

#endif
