/* onnx.h - ONNX files: the container (protobuf), read and written. What a graph means is the room qonnx's.
 *
 * Schema: the published onnx.proto, of which onnx_subset.proto holds what is used; protobuf-c decodes. A file
 * is hostile: at most MQ_ONNX_MAX_FILE bytes, memory bounded by its size, no nesting, tensors whose bytes
 * match their shape, names without control characters. Tensors kept in other files are refused, so no path is
 * ever followed. */
#ifndef MIXQ_IO_ONNX_H
#define MIXQ_IO_ONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "tensor/tensor.h"

#define MQ_ONNX_MAX_FILE ((size_t)1 << 30)
enum { MQ_ONNX_MAX_NODES = 1 << 16, MQ_ONNX_MAX_NAME = 1024 };

/* float32 and float64 are in real (float64 only where float32 holds it), integers and bools in whole. */
typedef struct mq_onnx_tensor {
    const char *name;
    mq_shape shape;
    size_t count;
    const float *real;    /* [count] or NULL */
    const int64_t *whole; /* [count] or NULL; exactly one of the two */
} mq_onnx_tensor;

typedef enum mq_onnx_kind {
    MQ_ONNX_FLOAT = 1, /* the numbers of AttributeProto.AttributeType */
    MQ_ONNX_INT = 2,
    MQ_ONNX_STRING = 3,
    MQ_ONNX_TENSOR = 4,
    MQ_ONNX_FLOATS = 6,
    MQ_ONNX_INTS = 7
} mq_onnx_kind;

typedef struct mq_onnx_attr {
    const char *name;
    int kind; /* mq_onnx_kind, or another number of the schema: its value is not read */
    float f;
    int64_t i;
    const char *s;
    mq_onnx_tensor t;
    const float *floats;
    const int64_t *ints;
    size_t count; /* of floats or ints */
} mq_onnx_attr;

typedef struct mq_onnx_node {
    const char *op, *name, *domain; /* "" where absent */
    const char *const *input, *const *output;
    size_t input_count, output_count; /* an input that is left out is "" */
    const mq_onnx_attr *attr;
    size_t attr_count;
} mq_onnx_node;

typedef struct mq_onnx_value {
    const char *name;
    int type;             /* TensorProto.DataType; 1 = float32; 0: not said */
    int rank;             /* -1: not said */
    int64_t dim[MQ_DIMS]; /* -1: not said, or a name */
} mq_onnx_value;

typedef struct mq_onnx_model {
    int64_t ir_version, opset; /* opset of the standard domain; 0: not said */
    const char *producer;
    const mq_onnx_node *node;
    const mq_onnx_tensor *tensor; /* initializers */
    const mq_onnx_value *input, *output;
    size_t node_count, tensor_count, input_count, output_count;
} mq_onnx_model;

/* Release with mq_onnx_free. Every failure is MQ_BAD_INPUT (or memory) and names the file and the place. */
mq_status mq_onnx_load(const char *path, const mq_onnx_model **out, mq_error *error) MQ_MUST_CHECK;
mq_status mq_onnx_parse(const char *name, const void *bytes, size_t size, const mq_onnx_model **out,
                        mq_error *error) MQ_MUST_CHECK;
void mq_onnx_free(const mq_onnx_model *model); /* NULL is fine */

/* NULL when absent. */
const char *mq_onnx_meta(const mq_onnx_model *model, const char *key);
const mq_onnx_tensor *mq_onnx_find_tensor(const mq_onnx_model *model, const char *name);
const mq_onnx_attr *mq_onnx_find_attr(const mq_onnx_node *node, const char *name);
/* SHA-256 of the graph as protobuf packs it: what mq_onnx_graph_digest of a writer gave. */
mq_status mq_onnx_digest(const mq_onnx_model *model, char out[MQ_DIGEST_TEXT], mq_error *error) MQ_MUST_CHECK;

/* ---- writing: nodes, tensors and values stand in the file in the order of the calls ---- */

typedef struct mq_onnx_writer mq_onnx_writer;
typedef struct mq_onnx_new_node mq_onnx_new_node;

mq_status mq_onnx_writer_create(const char *graph, mq_onnx_writer **out, mq_error *error) MQ_MUST_CHECK;
void mq_onnx_writer_free(mq_onnx_writer *w); /* NULL is fine */
/* After a failure every call does nothing; mq_onnx_save reports it. Strings and data are copied. */
void mq_onnx_opset(mq_onnx_writer *w, const char *domain, int64_t version);
void mq_onnx_add_meta(mq_onnx_writer *w, const char *key, const char *value);
void mq_onnx_add_real(mq_onnx_writer *w, const char *name, const mq_shape *shape, const float *values);
void mq_onnx_add_double(mq_onnx_writer *w, const char *name, const mq_shape *shape, const double *values);
void mq_onnx_add_whole(mq_onnx_writer *w, const char *name, const mq_shape *shape, const int64_t *values);
void mq_onnx_add_input(mq_onnx_writer *w, const char *name,
                       const mq_shape *shape); /* float32, as the next two */
void mq_onnx_add_output(mq_onnx_writer *w, const char *name, const mq_shape *shape);
void mq_onnx_add_value(mq_onnx_writer *w, const char *name, const mq_shape *shape);
/* inputs ends with NULL. */
mq_onnx_new_node *mq_onnx_add_node(mq_onnx_writer *w, const char *domain, const char *op, const char *name,
                                   const char *const *inputs, const char *output);
void mq_onnx_set_int(mq_onnx_new_node *node, const char *name, int64_t v);
void mq_onnx_set_ints(mq_onnx_new_node *node, const char *name, const int64_t *v, size_t count);
void mq_onnx_set_float(mq_onnx_new_node *node, const char *name, float v);
void mq_onnx_set_text(mq_onnx_new_node *node, const char *name, const char *v);
mq_status mq_onnx_graph_digest(mq_onnx_writer *w, char out[MQ_DIGEST_TEXT], mq_error *error) MQ_MUST_CHECK;
/* ir_version 8; the program's name and version as producer. Atomic; the same calls give the same bytes. */
mq_status mq_onnx_save(mq_onnx_writer *w, const char *path, mq_error *error) MQ_MUST_CHECK;

#endif
