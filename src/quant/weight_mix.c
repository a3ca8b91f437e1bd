/* weight_mix.c - the mix of seven quantisers of the search's weights, and the gradient of its softmax.
 *
 * The seven multiply by the step's inverse and correct the quotient, which gives the division's bits
 * (Markstein, IBM J. Res. Dev. 34, 1990, theorem 8.1) in a third of its time on some processors. The sums of
 * the gradient take the product's code. They are float64 per chunk, added in chunk order, so results do not
 * depend on the thread count; weight_mix_avx512.c gives the same bits. */
#include "quant/weight_mix.h"

#include <string.h>

#include "base/parallel.h"

enum { CACHED = 2048 /* elements that stay in the first cache over seven branches */ };

/* The tests compile this file for every instruction set without it. */
#ifdef MQ_MIX_PLAIN
#define MIX_AVX512 false
#else
#define MIX_AVX512 mq_weight_mix_avx512()
#endif

typedef struct mix_job {
    const float *w, *dy;
    size_t n, grain;
    mq_weight_branch b[MQ_BRANCHES];
    bool quick; /* every branch has an inverse */
    bool avx512;
    float *y;
    double (*part)[MQ_BRANCHES]; /* [task][branch] */
} mix_job;

static void run_mix(mix_job *mix, bool narrow, const double step[MQ_BRANCHES],
                    const float weight[MQ_BRANCHES], void (*task)(void *, size_t)) {
    mix->quick = true;
    for (int j = 0; j < MQ_BRANCHES; j++) {
        mix->b[j] = mq_weight_branch_of(MQ_SEARCH_MIN + j, narrow, step[j], weight ? weight[j] : 1);
        mix->quick = mix->quick && mix->b[j].inverse != 0;
    }
    mix->avx512 = mix->quick && MIX_AVX512;
    mix->grain = mq_chunk_grain(mix->n);
    mq_parallel(mq_task_count(mix->n, mix->grain), task, mix);
}

/* mq_weight_code without dividing: a quotient within one unit in the last place becomes the nearest when its
 * remainder, which is exact, is divided too. Where the first clamp changes it, so does the second. */
static inline float quick_code_of(float w, const mq_weight_branch *b) {
    float v = w * b->inverse;
    v = v < b->low ? b->low : v;
    v = v > b->high ? b->high : v;
    v = fmaf(fmaf(-v, b->divisor, w), b->inverse, v);
    v = v < b->low ? b->low : v;
    v = v > b->high ? b->high : v;
    return mq_round_small(v);
}

static inline float exact_code_of(float w, const mq_weight_branch *b) {
    return mq_weight_code(w, b->low, b->high, b->divisor);
}

/* ---- values ---- */

MQ_CLONES static void mix_quick(const float *w, size_t n, const mq_weight_branch *of, float *y) {
    mq_weight_branch b[MQ_BRANCHES];
    memcpy(b, of, sizeof b);
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
#pragma GCC unroll 7
        for (int j = 0; j < MQ_BRANCHES; j++)
            sum = sum + b[j].weight * (quick_code_of(w[i], &b[j]) * b[j].step);
        y[i] = sum;
    }
}

MQ_CLONES static void mix_exact(const float *w, size_t n, const mq_weight_branch *b, float *y) {
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int j = 0; j < MQ_BRANCHES; j++)
            sum = sum + b[j].weight * (exact_code_of(w[i], &b[j]) * b[j].step);
        y[i] = sum;
    }
}

static void weights_task(void *context, size_t task) {
    const mix_job *mix = context;
    const size_t from = task * mix->grain, count = mq_chunk_size(mix->n, mix->grain, task);
    (mix->avx512  ? mq_weight_mix_avx512_values
     : mix->quick ? mix_quick
                  : mix_exact)(mix->w + from, count, mix->b, mix->y + from);
}

void mq_weight_mix(const float *w, size_t n, bool narrow, const double step[MQ_BRANCHES],
                   const float softmax[MQ_BRANCHES], float *y) {
    mix_job mix = {.w = w, .n = n, .y = y};
    run_mix(&mix, narrow, step, softmax, weights_task);
}

/* ---- the gradient of the softmax ---- */

typedef float lanes_f32 __attribute__((vector_size(MQ_LANES * sizeof(float))));
typedef double lanes_f64 __attribute__((vector_size(MQ_LANES * sizeof(double))));

/* lane += products of dy and near codes of one branch; n a multiple of MQ_WEIGHT_PIECE. */
MQ_CLONES static void add_near(const float *w, const float *dy, size_t n, const mq_weight_branch *of,
                               double lane[MQ_LANES]) {
    const mq_weight_branch b = *of;
    lanes_f64 sum;
    memcpy(&sum, lane, sizeof sum);
    for (size_t i = 0; i < n; i += MQ_WEIGHT_PIECE) {
        float part[MQ_LANES] = {0};
        for (size_t k = i; k < i + MQ_WEIGHT_PIECE; k += MQ_LANES)
            for (size_t l = 0; l < MQ_LANES; l++)
                part[l] = fmaf(dy[k + l], mq_weight_near_code(w[k + l], &b), part[l]);
        lanes_f32 all;
        memcpy(&all, part, sizeof all);
        sum += __builtin_convertvector(all, lanes_f64);
    }
    memcpy(lane, &sum, sizeof sum);
}

static double sum_near(const float *w, const float *dy, size_t n, const mq_weight_branch *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)dy[i] * (double)mq_weight_near_code(w[i], b);
    return sum;
}

MQ_CLONES static double sum_exact(const float *w, const float *dy, size_t n, const mq_weight_branch *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)dy[i] * (double)exact_code_of(w[i], b);
    return sum;
}

static void near_sums(const mix_job *mix, size_t from, size_t count, double sum[MQ_BRANCHES]) {
    const float *w = mix->w + from, *dy = mix->dy + from;
    const size_t whole = count / MQ_WEIGHT_PIECE * MQ_WEIGHT_PIECE;
    double lane[MQ_BRANCHES][MQ_LANES] = {{0}};
    if (mix->avx512)
        mq_weight_mix_avx512_sums(w, dy, whole, mix->b, lane);
    else
        for (int j = 0; j < MQ_BRANCHES; j++) add_near(w, dy, whole, &mix->b[j], lane[j]);
    for (int j = 0; j < MQ_BRANCHES; j++) {
        double all = sum_near(w + whole, dy + whole, count - whole, &mix->b[j]);
        for (int l = 0; l < MQ_LANES; l++) all += lane[j][l];
        sum[j] += all;
    }
}

static void dot_task(void *context, size_t task) {
    const mix_job *mix = context;
    const size_t from = task * mix->grain, to = from + mq_chunk_size(mix->n, mix->grain, task);
    double *sum = mix->part[task];
    for (int j = 0; j < MQ_BRANCHES; j++) sum[j] = 0;
    for (size_t i = from; i < to; i += CACHED) {
        const size_t count = to - i < CACHED ? to - i : CACHED;
        if (mix->quick)
            near_sums(mix, i, count, sum);
        else
            for (int j = 0; j < MQ_BRANCHES; j++)
                sum[j] += sum_exact(mix->w + i, mix->dy + i, count, &mix->b[j]);
    }
}

void mq_weight_mix_dot(const float *w, const float *dy, size_t n, bool narrow, const double step[MQ_BRANCHES],
                       double g[MQ_BRANCHES]) {
    double part[MQ_CHUNKS][MQ_BRANCHES];
    mix_job mix = {.w = w, .dy = dy, .n = n, .part = part};
    run_mix(&mix, narrow, step, NULL, dot_task);
    for (int j = 0; j < MQ_BRANCHES; j++) {
        double sum = 0;
        for (size_t t = 0; t < mq_task_count(n, mix.grain); t++) sum += part[t][j];
        g[j] = sum * (double)mix.b[j].step;
    }
}
