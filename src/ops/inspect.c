/* inspect.c - what a model's nodes hold after a forward pass, for tests and diagnoses, and the search for
 * values that are no numbers. Outputs whose memory was used again cannot be seen; those of a batch norm that
 * another node computes, and of a thin layer, are computed here again. */
#include "ops/model.h"

#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "ops/thin.h"
#include "ops/train_op.h"

/* How a node's output is stored: a layer's, or its batch norm's inputs at a pool's maxima. */
static norm_stored stored_as(const mq_model *model, const node_state *s) {
    if (s->node->op == MQ_OP_MAX_POOL && s->norm) s = &model->nodes[s->norm->node->input[0]];
    return s->stored;
}

static void read_output(const mq_model *model, const node_state *s, size_t count, float *out) {
    for (size_t i = 0; i < count; i++) {
        if (stored_as(model, s) != NORM_REAL)
            out[i] = norm_z_at((norm_z){s->out, stored_as(model, s)}, i) * s->scale;
        else if (s->out_type == MQ_U8 && s->node->index == 0)
            out[i] = (float)((const uint8_t *)s->out)[i] / 256.0f;
        else if (s->out_type == MQ_U8)
            out[i] = (float)((const uint8_t *)s->out)[i] * s->scale;
        else if (s->out_type == MQ_F32)
            out[i] = ((const float *)s->out)[i] * s->scale;
        else
            out[i] = mq_bf16_to_f32(((const uint16_t *)s->out)[i]) * s->scale;
    }
}

static bool is_thin_now(const mq_model *model, const node_state *s) {
    return s->thin && model->training;
}

/* The batch norm of what `from` holds, unscaled. */
static mq_status peek_norm(const mq_model *model, const node_state *norm, const node_state *from,
                           size_t count, float *out, mq_error *error) {
    float *z;
    MQ_TRY(mq_alloc(count, sizeof *z, "a copy of a layer's output", &z, error));
    if (is_thin_now(model, from)) thin_values(from->thin, z);
    for (size_t i = 0; i < count && !is_thin_now(model, from); i++)
        z[i] = norm_z_at((norm_z){from->out, stored_as(model, from)}, i);
    batch_norm_values(model, norm, z, count / (size_t)norm->node->c, out);
    mq_free(z);
    return MQ_OK;
}

mq_status mq_model_peek(const mq_model *model, int node, float *out, mq_error *error) {
    const node_state *s = &model->nodes[node];
    size_t count = (size_t)model->n * image_elements(s->node);
    const bool placed = s->pooled_by || s->quantised_by;
    const node_state *from = placed ? &model->nodes[s->node->input[0]] : s;
    const bool thin = is_thin_now(model, from);
    if (node != 0 && !thin && mq_plan_last(model->plan, from->out_slot) < model->net->node_count)
        return mq_fail(error, MQ_INTERNAL, "layer %s: its output's memory was used again", s->node->name);
    const bool inputs = s->node->op == MQ_OP_MAX_POOL && s->norm && s->norm->quantised_by;
    if (placed || inputs) return peek_norm(model, placed ? s : s->norm, from, count, out, error);
    if (thin) {
        thin_values(s->thin, out);
        for (size_t i = 0; i < count; i++) out[i] *= s->scale;
    } else {
        read_output(model, s, count, out);
    }
    return MQ_OK;
}

/* All exponent bits set: infinite or NaN. Integer arithmetic, so that the loop is vectorised. */
MQ_CLONES static uint32_t count_nonfinite(const float *x, size_t n) {
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        count += (u & 0x7f800000u) == 0x7f800000u;
    }
    return count;
}

const char *mq_model_find_nonfinite_param(const mq_model *model) {
    for (int i = 0; i < model->param_count; i++)
        if (count_nonfinite(model->params[i].value, model->params[i].count))
            return model->params[i].spec->name;
    return NULL;
}

static const char *nonfinite_of(const mq_model *model, int node, bool trained) {
    for (int i = 0; i < model->param_count; i++) {
        const mq_param *p = &model->params[i];
        if (p->spec->node == node && mq_param_trained(p->spec->kind) == trained &&
            count_nonfinite(p->value, p->count))
            return p->spec->name;
    }
    return NULL;
}

/* In the order of computation, so that the cause is named and not the running statistics that it spoiled. */
const char *mq_model_find_nonfinite(const mq_model *model) {
    for (int i = 1; i < model->net->node_count; i++) {
        const node_state *s = &model->nodes[i];
        const char *name = nonfinite_of(model, i, true);
        if (name) return name;
        size_t factors;
        const float *f = s->pooled_by || s->quantised_by ? batch_norm_factors(s, &factors) : NULL;
        if (f && count_nonfinite(f, factors)) return s->node->name; /* what it multiplies its input with */
        if (s->out && s->out_type == MQ_F32 && stored_as(model, s) == NORM_REAL &&
            mq_plan_last(model->plan, s->out_slot) >= model->net->node_count &&
            count_nonfinite(s->out, (size_t)model->n * image_elements(s->node)))
            return s->node->name;
        name = nonfinite_of(model, i, false);
        if (name) return name;
    }
    return NULL;
}
