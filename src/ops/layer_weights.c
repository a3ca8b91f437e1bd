/* layer_weights.c - the weights that a layer's convolution really multiplies with, and the way back for their
 * gradient.
 *
 * float   the float weights.
 * fixed   integer codes and their step: dL/dw = dL/d(code*step), straight through.
 * search  sum_i softmax_i Q_i(w): shared weights take dL/d(mix) as it is, unshared ones softmax_i of it.
 *
 * DoReFa rounds t = tanh(w)/max|tanh(w)| in the place of w; what is said above is then dL/dt, and goes on
 * through t. */
#include "ops/train_op.h"

#include "base/memory.h"
#include "base/parallel.h"

enum { GRAIN = 1 << 15 };

struct layer_weights {
    mq_quantizer quantizer;
    bool quantised, searched, shared, narrow;
    int bits;
    size_t count;
    mq_param *weight[MQ_BRANCHES]; /* [0] alone unless searched and not shared */
    mq_param *alpha;
    float *operand;  /* OIHW; own memory, or the parameter itself in float mode */
    float *branch;   /* one branch's values, unshared search only */
    float *mix_grad; /* dL/d(mix), unshared search only */
    float *normal;   /* DoReFa: t, of the branch at hand in an unshared search */
    float scale;     /* HWGQ: deviation, DoReFa: max|tanh(w)| of the same tensor */
    float step;
    double steps[MQ_BRANCHES];
    float softmax[MQ_BRANCHES];
    uint64_t version;
};

mq_status layer_weights_create(mq_model *model, int layer, layer_weights **out, mq_error *error) {
    const mq_net *net = model->net;
    const mq_layer *info = &net->layers[layer];
    layer_weights *w;
    MQ_TRY(mq_alloc(1, sizeof *w, "a layer", out, error));
    w = *out;
    w->quantised = model->options.mode != MQ_MODE_FLOAT;
    w->searched = layer_searched(model, layer);
    w->shared = !w->searched || model->options.share;
    w->narrow = model->options.symmetric;
    w->quantizer = net->quantizer;
    w->bits = model->options.mode == MQ_MODE_FIXED ? model->bits.weight[layer] : info->pinned_weight_bits;
    w->step = 1;
    for (int b = 0; b < (w->shared ? 1 : MQ_BRANCHES); b++)
        w->weight[b] = mq_model_param(model, info->node, MQ_PARAM_WEIGHT, w->shared ? -1 : b);
    w->alpha = mq_model_param(model, info->node, MQ_PARAM_ALPHA_WEIGHT, -1);
    w->count = w->weight[0]->count;
    if (!w->quantised) {
        w->operand = w->weight[0]->value;
        return MQ_OK;
    }
    MQ_TRY(mq_alloc(w->count, sizeof(float), "quantised weights", &w->operand, error));
    if (!w->shared) {
        MQ_TRY(mq_alloc(w->count, sizeof(float), "quantised weights", &w->branch, error));
        MQ_TRY(mq_alloc(w->count, sizeof(float), "quantised weights", &w->mix_grad, error));
    }
    if (w->quantizer == MQ_QUANTIZER_DOREFA)
        MQ_TRY(mq_alloc(w->count, sizeof(float), "quantised weights", &w->normal, error));
    return MQ_OK;
}

void layer_weights_destroy(layer_weights *w) {
    if (!w) return;
    if (w->quantised) mq_free(w->operand);
    mq_free(w->branch);
    mq_free(w->mix_grad);
    mq_free(w->normal);
    mq_free(w);
}

/* What is rounded in the place of the weights of one branch (0: or of all). */
static const float *rounded_of(layer_weights *w, int branch) {
    return mq_weight_prepare(w->quantizer, w->weight[branch]->value, w->count, w->normal, &w->scale);
}

static void prepare_mix(layer_weights *w) {
    mq_softmax(w->alpha->value, MQ_BRANCHES, w->softmax);
    if (w->shared) {
        const float *rounded = rounded_of(w, 0);
        for (int b = 0; b < MQ_BRANCHES; b++)
            w->steps[b] = mq_weight_step_of(w->quantizer, MQ_SEARCH_MIN + b, w->scale);
        mq_weight_mix(rounded, w->count, w->narrow, w->steps, w->softmax, w->operand);
        return;
    }
    for (int b = 0; b < MQ_BRANCHES; b++) {
        const float *rounded = rounded_of(w, b);
        w->steps[b] = mq_weight_step_of(w->quantizer, MQ_SEARCH_MIN + b, w->scale);
        mq_weight_values(rounded, w->count, MQ_SEARCH_MIN + b, w->narrow, w->steps[b], w->branch);
        float s = w->softmax[b];
        if (b == 0) {
            for (size_t i = 0; i < w->count; i++) w->operand[i] = s * w->branch[i];
        } else {
            for (size_t i = 0; i < w->count; i++) w->operand[i] += s * w->branch[i];
        }
    }
}

void layer_weights_prepare(mq_model *model, layer_weights *w) {
    if (w->version == model->version) return;
    w->version = model->version;
    if (w->searched) {
        prepare_mix(w);
    } else if (w->quantised) {
        const float *rounded = rounded_of(w, 0);
        double step = mq_weight_step_of(w->quantizer, w->bits, w->scale);
        mq_weight_whole(rounded, w->count, w->bits, w->narrow, step, w->operand);
        w->step = (float)step;
    }
}

const float *layer_weights_operand(const layer_weights *w) {
    return w->operand;
}

float layer_weights_step(const layer_weights *w) {
    return w->step;
}

float *layer_weights_operand_grad(layer_weights *w) {
    return w->shared ? w->weight[0]->grad : w->mix_grad;
}

size_t layer_weights_count(const layer_weights *w) {
    return w->count;
}

uint64_t layer_weights_version(const layer_weights *w) {
    return w->version;
}

typedef struct scaling {
    float *grad;
    size_t count;
    float scale;
} scaling;

static void scale_task(void *context, size_t task) {
    const scaling *s = context;
    const size_t end = (task + 1) * GRAIN < s->count ? (task + 1) * GRAIN : s->count;
    for (size_t i = task * GRAIN; i < end; i++) s->grad[i] *= s->scale;
}

void layer_weights_backward(mq_model *model, layer_weights *w, float scale) {
    (void)model;
    float *grad = layer_weights_operand_grad(w);
    if (scale != 1) {
        scaling s = {grad, w->count, scale};
        mq_parallel(mq_task_count(w->count, GRAIN), scale_task, &s);
    }
    double g[MQ_BRANCHES];
    if (w->shared) {
        const float *rounded = w->normal ? w->normal : w->weight[0]->value;
        if (w->searched) mq_weight_mix_dot(rounded, grad, w->count, w->narrow, w->steps, g);
        if (w->normal) mq_dorefa_gradient(w->normal, w->count, w->scale, grad);
    } else {
        for (int b = 0; b < MQ_BRANCHES; b++) {
            const float *rounded = w->normal ? rounded_of(w, b) : w->weight[b]->value;
            mq_weight_values(rounded, w->count, MQ_SEARCH_MIN + b, w->narrow, w->steps[b], w->branch);
            double sum = 0;
            for (size_t i = 0; i < w->count; i++) sum += (double)grad[i] * (double)w->branch[i];
            g[b] = sum;
            float s = w->softmax[b];
            for (size_t i = 0; i < w->count; i++) w->weight[b]->grad[i] = s * grad[i];
            if (w->normal) mq_dorefa_gradient(w->normal, w->count, w->scale, w->weight[b]->grad);
        }
    }
    if (!w->searched) return;
    mq_softmax_gradient(w->softmax, g, MQ_BRANCHES, w->alpha->grad);
}
