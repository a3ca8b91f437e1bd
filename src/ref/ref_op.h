/* ref_op.h - inside of the reference: its state, and what each operator provides. */
#ifndef MIXQ_REF_REF_OP_H
#define MIXQ_REF_REF_OP_H

#include "base/memory.h"
#include "ref/step.h"

enum { REF_BRANCHES = 7, REF_FIRST_BITS = 2 };

typedef struct ref_node {
    const mq_node *node;
    size_t elements;     /* of one image's output: h*w*c */
    double *out, *grad;  /* [batch][h][w][c] */
    const float *decide; /* mq_ref_override's operand, or NULL */
    double *base;        /* activation: the operand the surrogate passes through, [batch][h][w][c] */
    size_t *winner;      /* max pool: element of the whole input that each output took */
    double *mean,
        *spread; /* batch norm: [c], what the last forward normalised with; spread = sqrt(var + eps) */
} ref_node;

/* What a layer multiplies with. */
typedef struct ref_layer {
    double *operand, *operand_grad;     /* OIHW */
    mq_ref_param *weight[REF_BRANCHES]; /* of each branch; all the same when shared */
    double *base[REF_BRANCHES];         /* weights the surrogate passes through, likewise */
    float deviation[REF_BRANCHES];
    double largest[REF_BRANCHES], base_largest[REF_BRANCHES]; /* |tanh| of weight and of base */
} ref_layer;

struct mq_ref {
    const mq_net *net;
    mq_ref_options options;
    mq_bits bits;
    mq_arena *arena;
    mq_param_spec *specs;
    mq_ref_param *params;
    int param_count;
    ref_node *nodes;
    ref_layer *layers;
    double *scratch; /* one layer's weights in another order */
    const uint8_t *images;
    int n; /* images of the last forward; 0 before it */
    bool training, surrogate;
    int nudge_node;
    size_t nudge_element;
    double nudge_delta;
};

/* The bit widths that a layer's weights or activations are quantised to, each with its share. */
typedef struct ref_mixture {
    int count; /* 0 in float mode, 1 at fixed bits, 7 in the search */
    int bits[REF_BRANCHES];
    double share[REF_BRANCHES]; /* softmax of alpha */
    mq_ref_param *alpha;        /* NULL when the bits are fixed */
} ref_mixture;

ref_mixture ref_weight_mixture(mq_ref *ref, int layer);
ref_mixture ref_activation_mixture(mq_ref *ref, int layer);
/* alpha.grad += scale * dL/dalpha, from g[i] = dL/d(share i). */
void ref_mixture_gradient(const ref_mixture *mixture, const double *g, double scale);

/* The operand of a layer from its weights, and back. */
void ref_weights_forward(mq_ref *ref, int layer);
void ref_weights_backward(mq_ref *ref, int layer);

/* forward fills out; backward reads grad and adds to the gradients of its inputs and parameters. */
typedef struct ref_op {
    void (*forward)(mq_ref *ref, ref_node *s);
    void (*backward)(mq_ref *ref, ref_node *s);
} ref_op;

#define REF_OP_DECLARE(id, name, least, most) extern const ref_op ref_op_##id;
MQ_OPERATORS(REF_OP_DECLARE)
#undef REF_OP_DECLARE

static inline ref_node *ref_input(mq_ref *ref, const ref_node *s, int which) {
    return &ref->nodes[s->node->input[which]];
}

#endif
