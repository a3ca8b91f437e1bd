/* pool.c - max pooling. Backward sends the gradient to the first maximum in row-major order: ties are
 * frequent in quantised networks, so the order matters; the winner's index in its window is stored (one
 * byte). */
#include "ops/pooled_norm.h"

#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

typedef struct pool_op {
    mq_slot index_slot;
} pool_op;

typedef struct pool_call {
    const mq_node *in, *node;
    const float *x, *dy;
    float *y, *dx;
    uint8_t *index; /* NULL: not wanted */
} pool_call;

static mq_status create(mq_model *model, node_state *s, mq_error *error) {
    pool_op *op;
    MQ_TRY(mq_alloc(1, sizeof *op, "a max pool", &s->op, error));
    op = s->op;
    s->out_type = s->grad_type = MQ_F32;
    op->index_slot = -1;
    if (!model->options.training) return MQ_OK;
    int node = s->node->index;
    int last = input_state(model, s, 0)->pooled_by ? s->node->input[0] : node; /* whose backward needs it */
    return mq_plan_add(model->plan, (size_t)model->options.batch * image_elements(s->node),
                       time_forward(model->net, node), time_backward(model->net, last), &op->index_slot,
                       error);
}

uint8_t *max_pool_index(const mq_model *model, const node_state *s) {
    return mq_plan_memory(model->plan, ((const pool_op *)s->op)->index_slot);
}

static void destroy(node_state *s) {
    mq_free(s->op);
    s->op = NULL;
}

/* best[c], index[c] against one more position of the window. */
MQ_CLONES static void take_larger(const float *x, int channels, int position, float *best, uint8_t *index) {
    for (int c = 0; c < channels; c++) {
        /* a NaN wins, so that it is not hidden */
        int larger = x[c] > best[c] || x[c] != x[c];
        best[c] = larger ? x[c] : best[c];
        index[c] = larger ? (uint8_t)position : index[c];
    }
}

MQ_CLONES static void take_maximum(const float *x, int channels, float *best) {
    for (int c = 0; c < channels; c++) best[c] = x[c] > best[c] || x[c] != x[c] ? x[c] : best[c];
}

/* One task: one row of output of one image. */
static void forward_task(void *context, size_t task) {
    const pool_call *p = context;
    size_t rows = (size_t)p->node->h, image = task / rows, row = task % rows, c = (size_t)p->node->c;
    int kernel = p->node->pool.kernel, stride = p->node->pool.stride;
    for (int column = 0; column < p->node->w; column++) {
        size_t out = ((image * rows + row) * (size_t)p->node->w + (size_t)column) * c;
        if (p->index) memset(p->index + out, 0, c);
        for (int dy = 0; dy < kernel; dy++) {
            for (int dx = 0; dx < kernel; dx++) {
                size_t y = row * (size_t)stride + (size_t)dy, x = (size_t)(column * stride + dx);
                const float *in = p->x + ((image * (size_t)p->in->h + y) * (size_t)p->in->w + x) * c;
                if (dy == 0 && dx == 0)
                    memcpy(p->y + out, in, c * sizeof(float));
                else if (p->index)
                    take_larger(in, (int)c, dy * kernel + dx, p->y + out, p->index + out);
                else
                    take_maximum(in, (int)c, p->y + out);
            }
        }
    }
}

MQ_CLONES static void give_back(const float *dy, const uint8_t *index, int channels, int position,
                                float *dx) {
    for (int c = 0; c < channels; c++) dx[c] += index[c] == position ? dy[c] : 0;
}

MQ_CLONES static void give_back_first(const float *dy, const uint8_t *index, int channels, int position,
                                      float *dx) {
    for (int c = 0; c < channels; c++) dx[c] = index[c] == position ? dy[c] : 0;
}

/* One task: one image. Windows that do not overlap and cover everything are written once; others are added
 * up. */
static void backward_task(void *context, size_t image) {
    const pool_call *p = context;
    size_t c = (size_t)p->node->c;
    int kernel = p->node->pool.kernel, stride = p->node->pool.stride;
    bool tiles = kernel == stride && p->node->h * stride == p->in->h && p->node->w * stride == p->in->w;
    size_t in_size = image_elements(p->in);
    if (!tiles) memset(p->dx + image * in_size, 0, in_size * sizeof(float));
    for (int row = 0; row < p->node->h; row++) {
        for (int column = 0; column < p->node->w; column++) {
            size_t out =
                ((image * (size_t)p->node->h + (size_t)row) * (size_t)p->node->w + (size_t)column) * c;
            for (int dy = 0; dy < kernel; dy++) {
                for (int dx = 0; dx < kernel; dx++) {
                    size_t y = (size_t)(row * stride + dy), x = (size_t)(column * stride + dx);
                    float *in = p->dx + image * in_size + (y * (size_t)p->in->w + x) * c;
                    int position = dy * kernel + dx;
                    if (tiles)
                        give_back_first(p->dy + out, p->index + out, (int)c, position, in);
                    else
                        give_back(p->dy + out, p->index + out, (int)c, position, in);
                }
            }
        }
    }
}

static void pooled_task(void *context, size_t row) {
    pooled_norm_forward(context, row);
}

static mq_status forward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    const pool_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    if (in->pooled_by) {
        pooled_norm p = {.y = s->out, .index = model->training ? max_pool_index(model, s) : NULL};
        batch_norm_factors(model, in, &p);
        s->scale = 1;
        mq_parallel((size_t)model->n * (size_t)s->node->h, pooled_task, &p);
        return MQ_OK;
    }
    s->scale = in->scale;
    pool_call call = {.in = in->node,
                      .node = s->node,
                      .x = in->out,
                      .y = s->out,
                      .index = model->training ? mq_plan_memory(model->plan, op->index_slot) : NULL};
    mq_parallel((size_t)model->n * (size_t)s->node->h, forward_task, &call);
    return MQ_OK;
}

static mq_status backward(mq_model *model, node_state *s, mq_error *error) {
    (void)error;
    const pool_op *op = s->op;
    const node_state *in = input_state(model, s, 0);
    if (in->pooled_by) return MQ_OK; /* the batch norm's backward does both */
    pool_call call = {.in = in->node,
                      .node = s->node,
                      .dy = s->grad,
                      .dx = begin_input_grad(model, s, 0),
                      .index = mq_plan_memory(model->plan, op->index_slot)};
    mq_parallel((size_t)model->n, backward_task, &call);
    finish_input_grad(model, s, 0);
    return MQ_OK;
}

const train_op mq_train_MAX_POOL = {
    .keeps_input = false, .create = create, .destroy = destroy, .forward = forward, .backward = backward};
