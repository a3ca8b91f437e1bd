/* train_op.h - inside of the ops module: a node's state and the operators' function tables. */
#ifndef MIXQ_OPS_TRAIN_OP_H
#define MIXQ_OPS_TRAIN_OP_H

#include "dnn/dnn.h"
#include "ops/model.h"
#include "ops/memory_plan.h"
#include "quant/quant.h"

typedef struct node_state {
    const mq_node *node;
    mq_slot out_slot, grad_slot, spare_slot;
    void *out; /* [n][h][w][c] in out_type; the INPUT node points at the images */
    mq_dtype out_type;
    void *grad; /* dL/d(real output), [n][h][w][c] in grad_type; NULL when nobody needs it */
    mq_dtype grad_type;
    float scale;      /* real output = out * scale */
    float grad_scale; /* dL/d(real output) = grad * grad_scale */
    float *spare;     /* a second consumer writes its share of the input's gradient here first */
    void *op;         /* the operator's own state */
    /* A batch norm that a max pool of tiles alone reads is computed inside that (pooled_norm.h): it has
     * neither output nor gradient. */
    struct node_state *pooled_by; /* of such a batch norm: the pool */
} node_state;

struct mq_model {
    const mq_net *net;
    mq_model_options options;
    mq_bits bits;
    mq_dnn *dnn;
    mq_plan *plan;
    node_state *nodes;
    mq_param_spec *specs;
    mq_param *params;
    int param_count;
    float *param_block; /* values, then gradients */
    size_t param_bytes;
    int n;            /* images of the forward under way */
    bool training;    /* of the forward under way */
    uint64_t version; /* of the parameters; weights quantised for an older one are stale */
};

/* Times of the plan: forward of node i at i, the loss at node_count, backward of node i after it. */
static inline int time_forward(const mq_net *net, int node) {
    (void)net;
    return node;
}
static inline int time_backward(const mq_net *net, int node) {
    return 2 * net->node_count - node;
}
static inline int time_end(const mq_net *net) {
    return 2 * net->node_count + 1;
}

static inline node_state *input_state(mq_model *model, const node_state *s, int which) {
    return &model->nodes[s->node->input[which]];
}
static inline size_t image_elements(const mq_node *node) {
    return (size_t)node->h * (size_t)node->w * (size_t)node->c;
}
/* A layer whose bits are searched: its branches are mixed. */
static inline bool layer_searched(const mq_model *model, int layer) {
    return model->options.mode == MQ_MODE_SEARCH && !model->net->layers[layer].pinned;
}

/* dL/d(input) goes here: into the input's gradient, or into the spare buffer when another consumer has
 * written that already (finish_input_grad then adds it). NULL when nobody needs it. */
float *begin_input_grad(mq_model *model, node_state *s, int which);
void finish_input_grad(mq_model *model, node_state *s, int which);

typedef struct train_op {
    bool keeps_input; /* backward reads the input's values */
    /* Op state; sets out_type, grad_type; adds buffers of its own to the plan. Shapes are for options.batch
     * images. */
    mq_status (*create)(mq_model *model, node_state *s, mq_error *error);
    void (*destroy)(node_state *s);
    mq_status (*forward)(mq_model *model, node_state *s, mq_error *error);
    mq_status (*backward)(mq_model *model, node_state *s, mq_error *error);
} train_op;

/* One per row of MQ_OPERATORS; a missing one does not link. */
#define TRAIN_OP_DECLARE(id, name, least, most) extern const train_op mq_train_##id;
MQ_OPERATORS(TRAIN_OP_DECLARE)
#undef TRAIN_OP_DECLARE

/* batch_norm.c: what a pooled batch norm multiplies its input with in the forward under way. */
struct pooled_norm;
void batch_norm_factors(const mq_model *model, const node_state *s, struct pooled_norm *out);
/* Its output, never stored otherwise: [n][h][w][c]. */
void batch_norm_values(const mq_model *model, const node_state *s, float *out);
/* pool.c: where the maxima of the last training forward were, [n][h][w][c] of the pool. */
uint8_t *max_pool_index(const mq_model *model, const node_state *s);

/* layer_weights.c: what a layer's convolution multiplies with. */
typedef struct layer_weights layer_weights;
mq_status layer_weights_create(mq_model *model, int layer, layer_weights **out,
                               mq_error *error) MQ_MUST_CHECK;
void layer_weights_destroy(layer_weights *w);
/* Quantises again when the parameters changed. */
void layer_weights_prepare(mq_model *model, layer_weights *w);
const float *
layer_weights_operand(const layer_weights *w);       /* OIHW: codes, mixed values or the float weights */
float layer_weights_step(const layer_weights *w);    /* real weight = operand * step */
float *layer_weights_operand_grad(layer_weights *w); /* backward-weights writes dL/d(operand*step) here */
/* From that gradient times `scale` to the gradients of weights and alphas. */
void layer_weights_backward(mq_model *model, layer_weights *w, float scale);
uint64_t layer_weights_version(const layer_weights *w);

#endif
