/* train_op.h - inside of the ops module: a node's state and the operators' function tables. */
#ifndef MIXQ_OPS_TRAIN_OP_H
#define MIXQ_OPS_TRAIN_OP_H

#include "dnn/dnn.h"
#include "ops/model.h"
#include "ops/memory_plan.h"
#include "ops/norm_rows.h"
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
    /* A batch norm that one node alone reads is computed inside that: it has neither output nor gradient. */
    struct node_state *pooled_by; /* such a node: a max pool of tiles (pooled_norm.h) */
    /* An activation, which reads the batch norm or the max pool of tiles (this has no gradient then, and its
     * output are the batch norm's inputs at the maxima). */
    struct node_state *quantised_by;
    struct node_state *norm; /* of such an activation or max pool: the batch norm */
    /* A layer and the batch norm behind it run block by block of `block` images, which stay in the cache: the
     * layer asks for the batch norm's sums forward and for its own gradient backward. */
    struct node_state *norm_behind;  /* of such a layer: the batch norm */
    struct node_state *layer_before; /* of such a batch norm: the layer */
    struct node_state *read_by;      /* of an activation: the layer, which computes it block by block */
    /* Of such a layer, in the forward under way: how its output, and that of the max pool behind, are stored.
     */
    norm_stored stored;
    struct thin_layer
        *thin; /* of a layer that is one in training (thin.h): its output is stored in evaluation */
    int block; /* most images; of a layer, whose gradient holds so many when a batch norm is behind it */
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

/* An activation whose one reader, a layer of quantised weights, multiplies bytes: its output are codes as
 * MQ_U8. */
bool activation_as_bytes(const mq_model *model, const node_state *s);

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

/* Tasks of a batch norm over `elements` values: so large that a task's float64 sums, of all channels, are
 * little beside what it reads. A power of two, and items (pixels or rows) are spread evenly. Task t has
 * `count` items from `first` on. */
enum { NORM_TASKS = 64, NORM_GRAIN = 1 << 16, NORM_PIECE = 2048 /* elements normalised at a time */ };
static inline size_t norm_tasks(size_t elements) {
    size_t tasks = 1;
    while (tasks < NORM_TASKS && tasks * NORM_GRAIN < elements) tasks *= 2;
    return tasks;
}
static inline void norm_share(size_t items, size_t tasks, size_t task, size_t *first, size_t *count) {
    *first = items * task / tasks;
    *count = items * (task + 1) / tasks - *first;
}

/* batch_norm.c: for the layer in front, `count` images from `first` on: adds to the sums of z, of these
 * images, which the batch norm's forward takes, and stores it in the layer's output where that is int16 and z
 * is float32; and dL/dz after the batch norm's backward, into out [count][h][w][c] of the layer's grad_type.
 */
void batch_norm_add_moments(mq_model *model, node_state *s, norm_z z, int first, int count);
void batch_norm_input_gradient(mq_model *model, node_state *s, int first, int count, void *out);
/* For a thin layer: takes the sums of z and z*z [c] of all images; and, after the batch norm's backward,
 * computes the gradients of the layer's input, of type f32 or bf16 (NULL: not wanted), and of its weights. */
void batch_norm_set_moments(const node_state *s, const double *sum, const double *square);
void batch_norm_thin_gradient(mq_model *model, node_state *s, void *dx, mq_dtype type, float *dw);

/* For the layer behind an activation with a batch norm inside: adds to the sums of dL/d(normalised), which
 * the batch norm's backward takes, and of the mix's gradient, cleared when asked; the gradient has come for
 * these images. */
void batch_norm_add_products(mq_model *model, node_state *s, int first, int count, bool clear);
/* activation.c: the output of these images. */
void activation_forward(mq_model *model, node_state *s, int first, int count);

/* batch_norm.c: a batch norm computed elsewhere, in the forward or backward under way. */
bool batch_norm_fits_piece(const mq_node *node); /* whether an activation can compute it */
/* Sets mean, a, b, width of a training forward; false: this is none. */
bool batch_norm_mix_rows(const mq_model *model, const node_state *s, mq_mix_rows *out);
size_t batch_norm_width(const node_state *s); /* a piece is whole rows of so many elements, or the last */
void batch_norm_piece(const mq_model *model, const node_state *s, const float *z, size_t count, float *y);
/* The codes of an activation of `top` and `step` behind it, in training; false: not in one pass here. */
bool batch_norm_codes(const mq_model *model, const node_state *s, norm_z z, size_t count, float top,
                      float step, uint8_t *out);
const float *batch_norm_factors(const node_state *s, size_t *count); /* of the last training forward */
struct pooled_norm;
void batch_norm_pooled(const mq_model *model, const node_state *s, struct pooled_norm *out);
/* Its output for any of its inputs: z and out [pixels][c]. */
void batch_norm_values(const mq_model *model, const node_state *s, const float *z, size_t pixels, float *out);

/* activation.c: dL/dx of `count` (<= NORM_PIECE) elements from `at` on, x given, into dx; g[branch] += the
 * branch sums, or NULL. */
void activation_gradient(const node_state *s, const float *x, size_t at, size_t count, float *dx, double *g);
/* The mix, where a search's activation behind this batch norm can run in one pass (quant.h); else false. The
 * norm's numbers are the caller's to set. */
bool activation_mix_rows(const mq_model *model, const node_state *s, size_t width, mq_mix_rows *out);
bool activation_mixes_rows(const mq_model *model, const node_state *s, size_t width); /* whether */
double *activation_sums(const node_state *s, size_t task); /* NULL unless searched */
/* The gradient as one gate, or false: it is a mix. */
bool activation_gate(const node_state *s, norm_gate *out);
uint32_t activation_most(const node_state *s); /* its largest code, of fixed bits */
void activation_clear_sums(const node_state *s);
void activation_collect(node_state *s, size_t tasks); /* the gradient of its alphas */
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
size_t layer_weights_count(const layer_weights *w);
uint64_t layer_weights_version(const layer_weights *w);

#endif
