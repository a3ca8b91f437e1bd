/* weights.c - one weight quantiser over arrays, and HWGQ's steps. Sums are float64 per chunk, added in chunk
 * order, so results do not depend on the thread count. */
#include <math.h>

#include "base/parallel.h"
#include "quant/chunks.h"
#include "quant/weight_mix.h"

enum { LANES = MQ_LANES };

/* ---- chunks ---- */

typedef struct job {
    const float *w;
    size_t n, grain;
    mq_weight_branch b;
    double mean;
    float *y;
    int32_t *q;
    double *part; /* [task] */
} job;

static void run(job *work, void (*task)(void *, size_t)) {
    work->grain = mq_chunk_grain(work->n);
    mq_parallel(mq_task_count(work->n, work->grain), task, work);
}

static size_t chunk_size(const job *work, size_t task) {
    return mq_chunk_size(work->n, work->grain, task);
}

static double add_parts(const job *work) {
    double sum = 0;
    for (size_t t = 0; t < mq_task_count(work->n, work->grain); t++) sum += work->part[t];
    return sum;
}

/* ---- step ---- */

/* sum of w - mean */
MQ_CLONES static double sum_of(const float *w, size_t n, double mean) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += (double)w[i + (size_t)l] - mean;
    for (; i < n; i++) sum += (double)w[i] - mean;
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

/* sum of (w - mean)^2 */
MQ_CLONES static double sum_of_squares(const float *w, size_t n, double mean) {
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            double d = (double)w[i + (size_t)l] - mean;
            lane[l] += d * d;
        }
    }
    for (; i < n; i++) sum += ((double)w[i] - mean) * ((double)w[i] - mean);
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

static void sum_task(void *context, size_t task) {
    const job *work = context;
    work->part[task] = sum_of(work->w + task * work->grain, chunk_size(work, task), 0);
}

static void square_task(void *context, size_t task) {
    const job *work = context;
    work->part[task] = sum_of_squares(work->w + task * work->grain, chunk_size(work, task), work->mean);
}

float mq_weight_deviation(const float *w, size_t n) {
    if (n < 2) return 0;
    double part[MQ_CHUNKS];
    job work = {.w = w, .n = n, .part = part};
    run(&work, sum_task);
    work.mean = add_parts(&work) / (double)n;
    run(&work, square_task);
    return (float)sqrt(add_parts(&work) / (double)(n - 1));
}

double mq_weight_step(int bits, float deviation) {
    return mq_weight_unit(bits) * (double)deviation;
}

/* ---- one quantiser ---- */

MQ_CLONES static void store_codes(const float *w, size_t n, float low, float high, float divisor,
                                  int32_t *q) {
    for (size_t i = 0; i < n; i++) {
        float code = mq_weight_code(w[i], low, high, divisor);
        q[i] = (int32_t)(code == code ? code : 0); /* a NaN gives 0 */
    }
}

MQ_CLONES static void store_whole(const float *w, size_t n, float low, float high, float divisor, float *y) {
    for (size_t i = 0; i < n; i++) {
        float code = mq_weight_code(w[i], low, high, divisor);
        y[i] = code == code ? code : 0;
    }
}

MQ_CLONES static void store_values(const float *w, size_t n, float low, float high, float divisor, float step,
                                   float *y) {
    for (size_t i = 0; i < n; i++) y[i] = mq_weight_code(w[i], low, high, divisor) * step;
}

static void codes_task(void *context, size_t task) {
    const job *work = context;
    const mq_weight_branch *b = &work->b;
    size_t from = task * work->grain;
    store_codes(work->w + from, chunk_size(work, task), b->low, b->high, b->divisor, work->q + from);
}

static void whole_task(void *context, size_t task) {
    const job *work = context;
    const mq_weight_branch *b = &work->b;
    size_t from = task * work->grain;
    store_whole(work->w + from, chunk_size(work, task), b->low, b->high, b->divisor, work->y + from);
}

static void values_task(void *context, size_t task) {
    const job *work = context;
    const mq_weight_branch *b = &work->b;
    size_t from = task * work->grain;
    store_values(work->w + from, chunk_size(work, task), b->low, b->high, b->divisor, b->step,
                 work->y + from);
}

void mq_weight_codes(const float *w, size_t n, int bits, bool narrow, double step, int32_t *q) {
    job work = {.w = w, .n = n, .q = q, .b = mq_weight_branch_of(bits, narrow, step, 1)};
    run(&work, codes_task);
}

void mq_weight_whole(const float *w, size_t n, int bits, bool narrow, double step, float *y) {
    job work = {.w = w, .n = n, .y = y, .b = mq_weight_branch_of(bits, narrow, step, 1)};
    run(&work, whole_task);
}

void mq_weight_values(const float *w, size_t n, int bits, bool narrow, double step, float *y) {
    job work = {.w = w, .n = n, .y = y, .b = mq_weight_branch_of(bits, narrow, step, 1)};
    run(&work, values_task);
}
