/* dnn_pointwise.c - pointwise (1x1) layers where pairs of bfloat16 are slow (mq_dnn_slow_dots): products of
 * matrices (product.h) in float32, whose operands are widened as they are copied; weights are not rounded.
 *
 * With P positions, forward is [P][ic] times [ic][oc], the source's gradient [P][oc] times [oc][ic]: workers
 * take blocks of positions, whose operand stays in their cache. The weights' gradient is [oc][P] times
 * [P][ic]: a task has some rows of it and a share of the positions, of which it copies a block at a time; the
 * shares are added in order. Their number depends on the shape alone up to 8 threads, so the result does
 * not depend on the threads. */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/dnn_own.h"
#include "dnn/product.h"

enum {
    LANES = MQ_PRODUCT_LANES,
    LEAST_POSITIONS = 64,
    LEAST_DEPTH = 16, /* below, reading and writing is all */
    BLOCK = 8 * MQ_PRODUCT_ROWS,
    SLICE = 48 * MQ_PRODUCT_ROWS, /* rows of the gradient */
    DEPTH = 128,                  /* positions at once there */
    TASKS = 8,                    /* that it is divided into, at least */
    GATHER = 4096                 /* numbers of a task that adds shares */
};

typedef struct pointwise {
    mq_dnn_own own;
    size_t positions;
    size_t depth, columns; /* of the product; of the gradient: oc, ic */
    float *weights;        /* [depth][columns] in panels; NULL for the gradient */
    size_t slice, slices;  /* rows of one, and how many */
    size_t shares, share;  /* of the gradient: shares of `share` blocks of positions */
} pointwise;

static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    const bool forward = direction == MQ_DNN_FORWARD;
    const int columns = forward ? s->oc : s->ic, depth = forward ? s->ic : s->oc;
    if (s->kh != 1 || s->kw != 1 || s->stride != 1 || s->groups != 1 || (forward && s->codes)) return false;
    if (columns % LANES || depth < LEAST_DEPTH || s->n * s->ih * s->iw < LEAST_POSITIONS) return false;
    if (s->ih != s->oh || s->iw != s->ow) return false;
    return s->compute == MQ_BF16 && mq_dnn_slow_dots() && mq_product_supported(true);
}

static bool writes_bf16(const pointwise *p) {
    return p->own.direction == MQ_DNN_FORWARD ? p->own.spec.rounded : p->own.spec.diff_src == MQ_BF16;
}

/* A worker's floats: what it widens, and what it rounds. */
static size_t working(const pointwise *p) {
    if (p->own.direction == MQ_DNN_BACKWARD_WEIGHTS) return DEPTH * (p->columns + SLICE);
    return BLOCK * (p->depth + (writes_bf16(p) ? p->columns : 0));
}

static size_t working_bytes(const pointwise *p) {
    return mq_dnn_lines(working(p) * sizeof(float));
}

/* The gradient's parts. */
static void divide(pointwise *p) {
    const size_t threads = (size_t)mq_threads(), tasks = threads > TASKS ? threads : TASKS;
    const size_t blocks = mq_task_count(p->positions, DEPTH);
    const size_t even = mq_task_count(p->depth, mq_task_count(p->depth, SLICE));
    p->slice = mq_task_count(even, MQ_PRODUCT_ROWS) * MQ_PRODUCT_ROWS;
    p->slices = mq_task_count(p->depth, p->slice);
    p->share = mq_task_count(blocks, mq_task_count(tasks, p->slices));
    p->shares = mq_task_count(blocks, p->share);
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    pointwise *p = (pointwise *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    const bool forward = own->direction == MQ_DNN_FORWARD;
    p->positions = (size_t)s->n * (size_t)s->ih * (size_t)s->iw;
    p->depth = (size_t)(forward ? s->ic : s->oc);
    p->columns = (size_t)(forward ? s->oc : s->ic);
    divide(p);
    size_t bytes = working_bytes(p) * (size_t)mq_threads();
    if (own->direction != MQ_DNN_BACKWARD_WEIGHTS) {
        MQ_TRY(mq_alloc(p->depth * p->columns, sizeof(float), "convolution weights", &p->weights, error));
    } else if (p->shares > 1) {
        bytes += p->shares * p->depth * p->columns * sizeof(float);
    }
    return mq_dnn_reserve(own->dnn, bytes, error);
}

static void release(mq_dnn_own *own) {
    mq_free(((pointwise *)own)->weights);
}

/* What a pass is given. */
typedef struct job {
    const pointwise *p;
    const float *oi; /* weights [oc][ic] */
    const void *in;  /* the left matrix; of the gradient the right one */
    const uint16_t *diff_dst;
    void *out;
    float *dw, *parts; /* parts: [shares][oc][ic]; dw itself where there is one share */
} job;

static void turn_weights(void *context, size_t task) {
    const job *j = context;
    mq_product_transpose(j->oi, j->p->depth, j->p->columns, task * LANES, j->p->weights);
}

static void set_weights(mq_dnn_own *own, const float *w) {
    const pointwise *p = (pointwise *)own;
    job j = {.p = p, .oi = w};
    if (own->direction == MQ_DNN_FORWARD)
        mq_parallel(p->columns / LANES, turn_weights, &j);
    else if (p->weights)
        mq_product_copy(w, MQ_F32, p->columns, p->depth, p->columns, true, p->weights);
}

static float *work_of(const pointwise *p, size_t worker) {
    return (float *)(void *)((char *)p->own.dnn->scratch + worker * working_bytes(p));
}

static void run_block(void *context, size_t worker, size_t task) {
    const job *j = context;
    const pointwise *p = j->p;
    const size_t first = task * BLOCK, left = p->positions - first, rows = left < BLOCK ? left : BLOCK;
    const size_t at = first * p->columns;
    float *a = work_of(p, worker), *c = writes_bf16(p) ? a + BLOCK * p->depth : (float *)j->out + at;
    mq_product_copy((const uint16_t *)j->in + first * p->depth, MQ_BF16, p->depth, rows, p->depth, false, a);
    mq_product(a, p->depth, 1, p->weights, rows, p->columns, p->depth, false, c);
    if (writes_bf16(p)) mq_product_round(c, rows * p->columns, (uint16_t *)j->out + at);
}

/* ---- the weights' gradient ---- */

static void run_slice(void *context, size_t worker, size_t task) {
    const job *j = context;
    const pointwise *p = j->p;
    const mq_dtype type = p->own.spec.codes ? MQ_U8 : MQ_BF16;
    const size_t row = task % p->slices * p->slice, share = task / p->slices;
    const size_t rows = p->depth - row < p->slice ? p->depth - row : p->slice;
    size_t at = share * p->share * DEPTH, end = at + p->share * DEPTH;
    if (end > p->positions) end = p->positions;
    float *b = work_of(p, worker), *a = b + DEPTH * p->columns;
    float *c = j->parts + (share * p->depth + row) * p->columns;
    for (bool add = false; at < end; at += DEPTH, add = true) {
        const size_t depth = end - at < DEPTH ? end - at : DEPTH;
        mq_product_copy((const char *)j->in + at * p->columns * mq_dtype_size(type), type, p->columns, depth,
                        p->columns, true, b);
        mq_product_copy(j->diff_dst + at * p->depth + row, MQ_BF16, p->depth, depth, rows, false, a);
        mq_product(a, 1, rows, b, rows, p->columns, depth, add, c);
    }
}

MQ_CLONES static void add_to(float *to, const float *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += from[i];
}

static void add_shares(void *context, size_t task) {
    const job *j = context;
    const size_t count = j->p->depth * j->p->columns, from = task * GATHER;
    const size_t many = count - from < GATHER ? count - from : GATHER;
    memcpy(j->dw + from, j->parts + from, many * sizeof(float));
    for (size_t s = 1; s < j->p->shares; s++) add_to(j->dw + from, j->parts + s * count + from, many);
}

static void run_gradient(const pointwise *p, job *j) {
    char *scratch = p->own.dnn->scratch;
    j->parts = j->dw;
    if (p->shares > 1) j->parts = (float *)(void *)(scratch + working_bytes(p) * (size_t)mq_threads());
    mq_parallel_workers(p->slices * p->shares, run_slice, j);
    if (p->shares > 1) mq_parallel(mq_task_count(p->depth * p->columns, GATHER), add_shares, j);
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    const pointwise *p = (const pointwise *)own;
    const bool data = own->direction == MQ_DNN_BACKWARD_DATA;
    job j = {.p = p, .in = data ? dst : src, .out = (void *)(uintptr_t)(data ? src : dst), .dw = dw};
    j.diff_dst = dst;
    if (own->direction == MQ_DNN_BACKWARD_WEIGHTS)
        run_gradient(p, &j);
    else
        mq_parallel_workers(mq_task_count(p->positions, BLOCK), run_block, &j);
}

const mq_dnn_own_kind mq_dnn_pointwise = {
    "own:pointwise", sizeof(pointwise), wanted, create, release, set_weights, run, true, NULL};
