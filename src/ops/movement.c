/* movement.c - operators that only move values: the input image, reorg (space to depth), concat. */
#include "ops/train_op.h"

#include <string.h>

#include "base/parallel.h"

static mq_status create_float(mq_model *model, node_state *s, mq_error *error) {
    (void)model;
    (void)error;
    s->out_type = s->grad_type = MQ_F32;
    return MQ_OK;
}

static void destroy_nothing(node_state *s) {
    (void)s;
}

/* ---- input: the model points its output at the images ---- */

static mq_status create_input(mq_model *model, node_state *s, mq_error *error) {
    (void)model;
    (void)error;
    s->out_type = MQ_U8;
    s->grad_type = MQ_F32;
    return MQ_OK;
}

static mq_status nothing(mq_model *model, node_state *s, mq_error *error) {
    (void)model;
    (void)error;
    s->scale = 1;
    return MQ_OK;
}

const train_op mq_train_INPUT = {.keeps_input = false,
                                 .create = create_input,
                                 .destroy = destroy_nothing,
                                 .forward = nothing,
                                 .backward = nothing};

/* ---- reorg and concat as copies of rows; one task per image ---- */

typedef struct move_call {
    const mq_node *in, *node;
    float *small,
        *large;  /* reorg: the output's and the input's side; concat: one input's and the output's side */
    int offset;  /* concat: first channel */
    bool gather; /* forward */
    float scale; /* concat forward: inputs may have different scales */
} move_call;

static void move(float *to, const float *from, int count, float scale) {
    if (scale == 1)
        memcpy(to, from, (size_t)count * sizeof *to);
    else
        for (int i = 0; i < count; i++) to[i] = from[i] * scale;
}

/* Output channel (dy*s + dx)*C + c at (y, x) is input channel c at (y*s + dy, x*s + dx). */
static void reorg_task(void *context, size_t image) {
    const move_call *m = context;
    int s = m->node->pool.stride, c = m->in->c;
    for (int y = 0; y < m->in->h; y++) {
        for (int x = 0; x < m->in->w; x++) {
            size_t large =
                image * image_elements(m->in) + ((size_t)y * (size_t)m->in->w + (size_t)x) * (size_t)c;
            size_t small = image * image_elements(m->node) +
                           ((size_t)(y / s) * (size_t)m->node->w + (size_t)(x / s)) * (size_t)m->node->c +
                           (size_t)((y % s * s + x % s) * c);
            if (m->gather)
                move(m->small + small, m->large + large, c, 1);
            else
                move(m->large + large, m->small + small, c, 1);
        }
    }
}

static mq_status reorg_forward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    const node_state *in = input_state(model, s, 0);
    s->scale = in->scale;
    move_call m = {.in = in->node, .node = s->node, .small = s->out, .large = in->out, .gather = true};
    mq_parallel((size_t)model->n, reorg_task, &m);
    return MQ_OK;
}

static mq_status reorg_backward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    const node_state *in = input_state(model, s, 0);
    move_call m = {.in = in->node, .node = s->node, .small = s->grad, .large = begin_input_grad(model, s, 0)};
    mq_parallel((size_t)model->n, reorg_task, &m);
    finish_input_grad(model, s, 0);
    return MQ_OK;
}

static void concat_task(void *context, size_t image) {
    const move_call *m = context;
    size_t pixels = (size_t)(m->node->h * m->node->w);
    for (size_t p = 0; p < pixels; p++) {
        float *large = m->large + (image * pixels + p) * (size_t)m->node->c + m->offset;
        float *small = m->small + (image * pixels + p) * (size_t)m->in->c;
        if (m->gather)
            move(large, small, m->in->c, m->scale);
        else
            move(small, large, m->in->c, 1);
    }
}

static mq_status concat_forward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    int offset = 0;
    s->scale = 1;
    for (int i = 0; i < s->node->input_count; i++) {
        const node_state *in = input_state(model, s, i);
        move_call m = {.in = in->node,
                       .node = s->node,
                       .small = in->out,
                       .large = s->out,
                       .offset = offset,
                       .gather = true,
                       .scale = in->scale};
        mq_parallel((size_t)model->n, concat_task, &m);
        offset += in->node->c;
    }
    return MQ_OK;
}

static mq_status concat_backward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    int offset = 0;
    for (int i = 0; i < s->node->input_count; i++) {
        const node_state *in = input_state(model, s, i);
        move_call m = {.in = in->node,
                       .node = s->node,
                       .small = begin_input_grad(model, s, i),
                       .large = s->grad,
                       .offset = offset};
        mq_parallel((size_t)model->n, concat_task, &m);
        finish_input_grad(model, s, i);
        offset += in->node->c;
    }
    return MQ_OK;
}

const train_op mq_train_REORG = {.keeps_input = false,
                                 .create = create_float,
                                 .destroy = destroy_nothing,
                                 .forward = reorg_forward,
                                 .backward = reorg_backward};
const train_op mq_train_CONCAT = {.keeps_input = false,
                                  .create = create_float,
                                  .destroy = destroy_nothing,
                                  .forward = concat_forward,
                                  .backward = concat_backward};
