/* exchange.c - buckets of gradients in the order in which the backward pass finishes them. */
#include "train/exchange.h"

#include <string.h>

#include "base/memory.h"

/* A parameter and where its gradient lies among the buckets. */
typedef struct item {
    int param, node;
    bool summed; /* else it is the same on all ranks */
    float *place;
} item;

struct mq_exchange {
    mq_model *model;
    mq_param *params;
    item *items; /* by falling node */
    int count;
    size_t bucket; /* floats that fill one */
    float *block;
    int next;     /* item */
    float *begin; /* of the bucket that is being filled */
    size_t filled;
    void (*ready)(void *context, int param);
    void *context;
};

/* Insertion keeps the order of parameters of one node. */
static void sort_items(item *items, int count) {
    for (int i = 1; i < count; i++) {
        const item moving = items[i];
        int k = i;
        for (; k > 0 && items[k - 1].node < moving.node; k--) items[k] = items[k - 1];
        items[k] = moving;
    }
}

/* Buckets end where they are full: their places are known beforehand. */
static size_t place_items(mq_exchange *x, float *block) {
    const mq_ranks *ranks = mq_model_get_options(x->model)->ranks;
    size_t at = 0, filled = 0;
    for (int i = 0; i < x->count; i++) {
        if (!x->items[i].summed) continue;
        if (block) x->items[i].place = block + at + filled;
        filled += x->params[x->items[i].param].count;
        if (filled < x->bucket) continue;
        at += mq_ranks_room(ranks, filled);
        filled = 0;
    }
    return at + mq_ranks_room(ranks, filled);
}

static mq_status fill(mq_exchange *x, size_t bytes, mq_error *error) {
    int params;
    x->params = mq_model_params(x->model, &params);
    MQ_TRY(mq_alloc((size_t)params, sizeof *x->items, "the exchange of gradients", &x->items, error));
    for (int i = 0; i < params; i++) {
        const mq_param *p = &x->params[i];
        if (!p->grad) continue;
        const bool whole = p->spec->kind == MQ_PARAM_GAMMA || p->spec->kind == MQ_PARAM_BETA;
        x->items[x->count++] = (item){.param = i, .node = mq_model_grad_node(x->model, i), .summed = !whole};
    }
    sort_items(x->items, x->count);
    size_t all = 0;
    for (int i = 0; i < x->count; i++) all += x->params[x->items[i].param].count;
    x->bucket = bytes / sizeof(float);
    if (x->bucket < all / (MQ_RANKS_SUMS / 2)) x->bucket = all / (MQ_RANKS_SUMS / 2);
    MQ_TRY(mq_alloc(place_items(x, NULL), sizeof(float), "the exchange of gradients", &x->block, error));
    place_items(x, x->block);
    return MQ_OK;
}

mq_status mq_exchange_create(mq_model *model, size_t bytes, mq_exchange **out, mq_error *error) {
    mq_exchange *x;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *x, "the exchange of gradients", &x, error));
    x->model = model;
    const mq_status status = fill(x, bytes, error);
    if (status == MQ_OK)
        *out = x;
    else
        mq_exchange_destroy(x);
    return status;
}

void mq_exchange_destroy(mq_exchange *x) {
    if (!x) return;
    mq_free(x->items);
    mq_free(x->block);
    mq_free(x);
}

static mq_status start_bucket(mq_exchange *x, mq_error *error) {
    if (!x->filled) return MQ_OK;
    mq_ranks *ranks = mq_model_get_options(x->model)->ranks;
    float *begin = x->begin;
    const size_t filled = x->filled;
    x->begin += mq_ranks_room(ranks, filled);
    x->filled = 0;
    return mq_ranks_sum_start(ranks, begin, filled, error);
}

static mq_status node_done(void *context, int node, mq_error *error) {
    mq_exchange *x = context;
    for (; x->next < x->count && x->items[x->next].node >= node; x->next++) {
        const item *one = &x->items[x->next];
        const mq_param *p = &x->params[one->param];
        if (x->ready) x->ready(x->context, one->param);
        if (!one->summed) continue;
        memcpy(one->place, p->grad, p->count * sizeof(float));
        x->filled += p->count;
        if (x->filled >= x->bucket) MQ_TRY(start_bucket(x, error));
    }
    return mq_ranks_sum_poll(mq_model_get_options(x->model)->ranks, error);
}

mq_status mq_exchange_backward(mq_exchange *x, const float *d_output, void (*ready)(void *context, int param),
                               void *context, mq_error *error) {
    x->next = 0;
    x->begin = x->block;
    x->filled = 0;
    x->ready = ready;
    x->context = context;
    MQ_TRY(mq_model_backward_by_node(x->model, d_output, node_done, x, error));
    MQ_TRY(start_bucket(x, error));
    MQ_TRY(mq_ranks_sum_finish(mq_model_get_options(x->model)->ranks, error));
    for (int i = 0; i < x->count; i++) {
        const item *one = &x->items[i];
        const mq_param *p = &x->params[one->param];
        if (one->summed) memcpy(p->grad, one->place, p->count * sizeof(float));
    }
    return MQ_OK;
}
