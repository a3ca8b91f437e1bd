/* graph.h - an ONNX graph while it is read: what every tensor name stands for. Private to this folder.
 *
 * A tensor is known (its numbers do not depend on the input: weights, shapes, scales; folded as the nodes
 * come) or a stream (the running value). A stream is the result of a drafted layer behind a chain of
 * scalings, perhaps quantised; scalings go into the layer's scale and offset, which are committed when it is
 * quantised. */
#ifndef MIXQ_QONNX_GRAPH_H
#define MIXQ_QONNX_GRAPH_H

#include "base/memory.h"
#include "io/onnx.h"
#include "net/net.h"
#include "quant/quant.h"

/* Rounding of a Quant node. */
typedef enum mq_rounding { MQ_ROUND_EVEN, MQ_ROUND_FLOOR } mq_rounding;

typedef struct mq_known {
    mq_shape shape;
    size_t count;
    const float *real; /* [count], or NULL: then whole */
    const int64_t *whole;
    const float *codes, *scale; /* [count] of a quantised tensor, real = codes*scale; else NULL */
    int bits;
    bool is_signed, narrow;
} mq_known;

/* Per channel of the layer it comes from. Chains are summed up in long double and stored as float64. */
typedef struct mq_affine {
    int channels;
    const long double *a, *b; /* a*accumulator + b */
} mq_affine;

typedef struct mq_graph_value {
    int rank;
    int64_t dim[MQ_DIMS]; /* dim[0] = 1 */
    int from;             /* draft; 0 = the input */
    int root;             /* the drafted layer that the chain belongs to, -1 once it is committed */
    bool nhwc;            /* channels stand last, also in the order in which it was flattened */
    bool pooled; /* a max pool stands between the layer and the chain: only rising scalings commute */
    bool relu;   /* cut off below 0 */
    bool quantised;
    long double factor; /* of quantised values: real = code * type.scale * factor */
    mq_affine chain;
    mq_real_input *input; /* the chain of the input itself, or NULL */
    mq_qtype type;        /* quantised */
    bool floor;           /* quantised by rounding down */
} mq_graph_value;

/* A node of the description being made. */
typedef struct mq_draft {
    mq_op op; /* INPUT, CONV, LINEAR, MAX_POOL, REORG, CONCAT */
    char name[MQ_MAX_NAME];
    int input[MQ_MAX_INPUTS], input_count;
    int h, w, c;
    mq_conv_attr conv;
    mq_pool_attr pool;
    mq_qtype in; /* codes that a layer reads */
    int weight_bits;
    bool weight_narrow, committed, used;
    const float *weight; /* codes, as params.h has them */
    size_t weight_count;
    const double *scale, *offset; /* [c], once committed */
} mq_draft;

typedef struct mq_named {
    const char *name;
    const mq_known *known;
    const mq_graph_value *stream; /* one of the two */
} mq_named;

typedef struct mq_graph {
    const char *file;
    const mq_onnx_model *model;
    mq_arena *arena;
    mq_error *error;
    const mq_onnx_node *node; /* being read, for messages */
    mq_named *table;          /* hashed by name */
    size_t room, named;
    size_t left; /* numbers that folding and chains may still make: a small file cannot take all memory */
    mq_draft draft[MQ_MAX_NODES];
    int draft_count;
    const mq_real_input *real_input; /* of the input, once it is quantised */
    mq_qtype input_type;
    bool input_floor;
    bool ours;   /* mixq wrote the file, others may have changed it */
    bool pixels; /* the input's codes are k >> (8 - bits) of pixels k/256 */
} mq_graph;

/* "FILE: node NAME (OP): ..." */
mq_status mq_graph_fail(const mq_graph *g, const char *format, ...) MQ_PRINTF(2, 3);

enum { MQ_GRAPH_NUMBERS = 1 << 27 };
/* Takes count numbers from what is left. */
mq_status mq_graph_spend(mq_graph *g, size_t count) MQ_MUST_CHECK;

const mq_named *mq_graph_find(const mq_graph *g, const char *name);
mq_status mq_graph_set(mq_graph *g, const char *name, const mq_known *known,
                       const mq_graph_value *stream) MQ_MUST_CHECK;
/* Input i of the current node: NULL when it is left out; MQ_BAD_INPUT when nothing made it. */
mq_status mq_graph_input(const mq_graph *g, size_t i, const mq_named **out) MQ_MUST_CHECK;
/* Input i as a known tensor of real numbers. */
mq_status mq_graph_real(const mq_graph *g, size_t i, const char *what, const mq_known **out) MQ_MUST_CHECK;
/* Attributes with their defaults; a wrong kind is refused. */
mq_status mq_graph_int(const mq_graph *g, const char *name, int64_t *out) MQ_MUST_CHECK;
mq_status mq_graph_float(const mq_graph *g, const char *name, float *out) MQ_MUST_CHECK;
mq_status mq_graph_text(const mq_graph *g, const char *name, const char **out) MQ_MUST_CHECK;
/* At most `most` integers; *count stays when the attribute is absent. */
mq_status mq_graph_ints(const mq_graph *g, const char *name, int64_t *out, size_t most,
                        size_t *count) MQ_MUST_CHECK;

bool mq_graph_standard(const mq_onnx_node *node); /* of ONNX's own domain */
bool mq_graph_quant(const mq_onnx_node *node);    /* Quant or IntQuant of one of the three domains */
bool mq_graph_bipolar(const mq_onnx_node *node);  /* BipolarQuant of one of them */

/* The parameters of a Quant node. */
typedef struct mq_quant_params {
    const mq_known *scale; /* broadcast over the tensor, above 0 */
    int bits;              /* 1..32 */
    bool is_signed, narrow;
    mq_rounding rounding;
} mq_quant_params;
mq_status mq_quant_read(const mq_graph *g, mq_quant_params *out) MQ_MUST_CHECK;

/* constants.c: whether the current node was folded; its output is then known. */
mq_status mq_fold_node(mq_graph *g, bool *folded) MQ_MUST_CHECK;
/* The shape that a Reshape, Flatten ... asks for, of a tensor of `from`. */
mq_status mq_reshape_target(const mq_graph *g, const mq_shape *from, mq_shape *out) MQ_MUST_CHECK;

/* stream_nodes.c: the current node on a stream. */
mq_status mq_stream_node(mq_graph *g) MQ_MUST_CHECK;
/* The chain becomes its layer's scale and offset. */
mq_status mq_stream_commit(mq_graph *g, mq_graph_value *s) MQ_MUST_CHECK;
/* layers.c: Conv, MatMul and Gemm on a quantised stream. */
mq_status mq_layer_node(mq_graph *g, const mq_graph_value *in, mq_graph_value *out) MQ_MUST_CHECK;
/* A new draft named after the current node. */
mq_status mq_draft_add(mq_graph *g, mq_op op, int h, int w, int c, mq_draft **out, int *index) MQ_MUST_CHECK;

#endif
