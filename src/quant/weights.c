/* weights.c - weight quantisers over arrays, their search mix, and HWGQ's steps.
 *
 * One quantiser divides. The seven of a mix multiply by the step's inverse and correct the quotient, which
 * gives the division's bits (Markstein, IBM J. Res. Dev. 34, 1990, theorem 8.1) in a third of its time on
 * some processors. Their gradients' sums take the product's code. Sums are float64 per chunk, added in chunk
 * order, so results do not depend on the thread count. */
#include "quant/quant.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/chunks.h"
#include "quant/rounding.h"

enum {
    LANES = MQ_LANES,
    EIGHT = 8,
    WINDOW = 2048 /* elements that stay in the first cache over seven branches */
};

/* One branch. Dividing by infinity gives code 0, which is what a step of 0 means. */
typedef struct branch {
    float low, high, divisor, step;
    float inverse; /* of the divisor; 0: divide */
    float weight;  /* softmax */
} branch;

/* Floats of this size are whole, and so is the sum with one that is small. */
#define WHOLE 0x1.8p23f

/* Steps between these have an inverse, and no remainder of a division underflows. */
static const float LEAST_STEP = 0x1p-60f, MOST_STEP = 0x1p60f;

static branch make_branch(int bits, bool narrow, double step, float weight) {
    return (branch){.low = (float)mq_code_low(bits, true, narrow),
                    .high = (float)mq_code_high(bits, true),
                    .divisor = (float)step == 0 ? INFINITY : (float)step,
                    .step = (float)step,
                    .inverse = (float)step >= LEAST_STEP && (float)step <= MOST_STEP ? 1 / (float)step : 0,
                    .weight = weight};
}

/* The code as a float; NaN stays. Clamping first gives the same, since the bounds are whole numbers. */
static inline float code_of(float w, float low, float high, float divisor) {
    float v = w / divisor;
    v = v < low ? low : v;
    v = v > high ? high : v;
    return mq_round_small(v);
}

/* The same without dividing: a quotient within one unit in the last place becomes the nearest when its
 * remainder, which is exact, is divided too. Where the first clamp changes it, so does the second. */
static inline float quick_code_of(float w, float low, float high, float divisor, float inverse) {
    float v = w * inverse;
    v = v < low ? low : v;
    v = v > high ? high : v;
    v = fmaf(fmaf(-v, divisor, w), inverse, v);
    v = v < low ? low : v;
    v = v > high ? high : v;
    return mq_round_small(v);
}

/* ---- chunks ---- */

typedef struct job {
    const float *w, *dy;
    size_t n, grain;
    branch b[MQ_BRANCHES];
    double mean;
    float *y;
    int32_t *q;
    double (*part)[MQ_BRANCHES]; /* [task][branch] */
} job;

static void run(job *work, void (*task)(void *, size_t)) {
    work->grain = mq_chunk_grain(work->n);
    mq_parallel(mq_task_count(work->n, work->grain), task, work);
}

static size_t chunk_size(const job *work, size_t task) {
    return mq_chunk_size(work->n, work->grain, task);
}

static double add_parts(const job *work, int branch_index) {
    double sum = 0;
    for (size_t t = 0; t < mq_task_count(work->n, work->grain); t++) sum += work->part[t][branch_index];
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
    work->part[task][0] = sum_of(work->w + task * work->grain, chunk_size(work, task), 0);
}

static void square_task(void *context, size_t task) {
    const job *work = context;
    work->part[task][0] = sum_of_squares(work->w + task * work->grain, chunk_size(work, task), work->mean);
}

float mq_weight_deviation(const float *w, size_t n) {
    if (n < 2) return 0;
    double part[MQ_CHUNKS][MQ_BRANCHES];
    job work = {.w = w, .n = n, .part = part};
    run(&work, sum_task);
    work.mean = add_parts(&work, 0) / (double)n;
    run(&work, square_task);
    return (float)sqrt(add_parts(&work, 0) / (double)(n - 1));
}

double mq_weight_step(int bits, float deviation) {
    return mq_weight_unit(bits) * (double)deviation;
}

/* ---- one quantiser ---- */

MQ_CLONES static void store_codes(const float *w, size_t n, float low, float high, float divisor,
                                  int32_t *q) {
    for (size_t i = 0; i < n; i++) {
        float code = code_of(w[i], low, high, divisor);
        q[i] = (int32_t)(code == code ? code : 0); /* a NaN gives 0 */
    }
}

MQ_CLONES static void store_whole(const float *w, size_t n, float low, float high, float divisor, float *y) {
    for (size_t i = 0; i < n; i++) {
        float code = code_of(w[i], low, high, divisor);
        y[i] = code == code ? code : 0;
    }
}

MQ_CLONES static void store_values(const float *w, size_t n, float low, float high, float divisor, float step,
                                   float *y) {
    for (size_t i = 0; i < n; i++) y[i] = code_of(w[i], low, high, divisor) * step;
}

static void codes_task(void *context, size_t task) {
    const job *work = context;
    const branch *b = work->b;
    size_t from = task * work->grain;
    store_codes(work->w + from, chunk_size(work, task), b->low, b->high, b->divisor, work->q + from);
}

static void whole_task(void *context, size_t task) {
    const job *work = context;
    const branch *b = work->b;
    size_t from = task * work->grain;
    store_whole(work->w + from, chunk_size(work, task), b->low, b->high, b->divisor, work->y + from);
}

static void values_task(void *context, size_t task) {
    const job *work = context;
    const branch *b = work->b;
    size_t from = task * work->grain;
    store_values(work->w + from, chunk_size(work, task), b->low, b->high, b->divisor, b->step,
                 work->y + from);
}

void mq_weight_codes(const float *w, size_t n, int bits, bool narrow, double step, int32_t *q) {
    job work = {.w = w, .n = n, .q = q, .b = {make_branch(bits, narrow, step, 1)}};
    run(&work, codes_task);
}

void mq_weight_whole(const float *w, size_t n, int bits, bool narrow, double step, float *y) {
    job work = {.w = w, .n = n, .y = y, .b = {make_branch(bits, narrow, step, 1)}};
    run(&work, whole_task);
}

void mq_weight_values(const float *w, size_t n, int bits, bool narrow, double step, float *y) {
    job work = {.w = w, .n = n, .y = y, .b = {make_branch(bits, narrow, step, 1)}};
    run(&work, values_task);
}

/* ---- the mix of the search ---- */

static inline float mix_code(float w, const branch *b, bool quick) {
    return quick ? quick_code_of(w, b->low, b->high, b->divisor, b->inverse)
                 : code_of(w, b->low, b->high, b->divisor);
}

MQ_CLONES static void add_branch(const float *w, size_t n, const branch *of, float *y) {
    const branch b = *of;
    if (b.inverse != 0)
        for (size_t i = 0; i < n; i++) y[i] = y[i] + b.weight * (mix_code(w[i], &b, true) * b.step);
    else
        for (size_t i = 0; i < n; i++) y[i] = y[i] + b.weight * (mix_code(w[i], &b, false) * b.step);
}

/* The code by one rounding of the product with the inverse: within 2^-22 of the middle between two codes it
 * may be the other one than a division's. For sums of many. */
static inline float near_code_of(float w, const branch *b) {
    float v = fmaf(w, b->inverse, WHOLE);
    v = v < WHOLE + b->low ? WHOLE + b->low : v;
    v = v > WHOLE + b->high ? WHOLE + b->high : v;
    return v - WHOLE;
}

typedef float lanes_f32 __attribute__((vector_size(LANES * sizeof(float))));
typedef double lanes_f64 __attribute__((vector_size(LANES * sizeof(double))));

/* <dy, code>: EIGHT products of a lane are added in float32 first. */
MQ_CLONES static double dot_near(const float *w, const float *dy, size_t n, const branch *of) {
    const branch b = *of;
    lanes_f64 lane = {0};
    double sum = 0;
    size_t i = 0;
    for (; i + EIGHT * LANES <= n; i += EIGHT * LANES) {
        float part[LANES] = {0};
        for (size_t k = i; k < i + EIGHT * LANES; k += LANES)
            for (size_t l = 0; l < LANES; l++) part[l] = fmaf(dy[k + l], near_code_of(w[k + l], &b), part[l]);
        lanes_f32 all;
        memcpy(&all, part, sizeof all);
        lane += __builtin_convertvector(all, lanes_f64);
    }
    for (; i < n; i++) sum += (double)dy[i] * (double)near_code_of(w[i], &b);
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

MQ_CLONES static double dot_exact(const float *w, const float *dy, size_t n, const branch *of) {
    const branch b = *of;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)dy[i] * (double)mix_code(w[i], &b, false);
    return sum;
}

static void mix_task(void *context, size_t task) {
    const job *work = context;
    size_t from = task * work->grain, to = from + chunk_size(work, task);
    for (size_t i = from; i < to; i += WINDOW) {
        size_t count = to - i < WINDOW ? to - i : WINDOW;
        for (size_t k = 0; k < count; k++) work->y[i + k] = 0;
        for (int j = 0; j < MQ_BRANCHES; j++) add_branch(work->w + i, count, &work->b[j], work->y + i);
    }
}

static void dot_task(void *context, size_t task) {
    const job *work = context;
    size_t from = task * work->grain, to = from + chunk_size(work, task);
    double *sum = work->part[task];
    for (int j = 0; j < MQ_BRANCHES; j++) sum[j] = 0;
    for (size_t i = from; i < to; i += WINDOW) {
        size_t count = to - i < WINDOW ? to - i : WINDOW;
        for (int j = 0; j < MQ_BRANCHES; j++)
            sum[j] += (work->b[j].inverse != 0 ? dot_near : dot_exact)(work->w + i, work->dy + i, count,
                                                                       &work->b[j]);
    }
}

void mq_weight_mix(const float *w, size_t n, bool narrow, const double step[MQ_BRANCHES],
                   const float softmax[MQ_BRANCHES], float *y) {
    job work = {.w = w, .n = n, .y = y};
    for (int j = 0; j < MQ_BRANCHES; j++)
        work.b[j] = make_branch(MQ_SEARCH_MIN + j, narrow, step[j], softmax[j]);
    run(&work, mix_task);
}

void mq_weight_mix_dot(const float *w, const float *dy, size_t n, bool narrow, const double step[MQ_BRANCHES],
                       double g[MQ_BRANCHES]) {
    double part[MQ_CHUNKS][MQ_BRANCHES];
    job work = {.w = w, .dy = dy, .n = n, .part = part};
    for (int j = 0; j < MQ_BRANCHES; j++) work.b[j] = make_branch(MQ_SEARCH_MIN + j, narrow, step[j], 1);
    run(&work, dot_task);
    for (int j = 0; j < MQ_BRANCHES; j++) g[j] = add_parts(&work, j) * (double)work.b[j].step;
}
