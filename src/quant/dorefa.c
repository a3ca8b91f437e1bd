/* dorefa.c - the normalisation of DoReFa's weights (Zhou et al., 2016, in the form of UltraNet), its
 * gradient, and the choice between the families.
 *
 * tanh is our own, float64 from +, *, / and bits alone: it vectorises, and a checkpoint gives the same codes
 * whatever C library lowers it. Results do not depend on the thread count. */
#include "quant/quant.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/chunks.h"

typedef struct job {
    const float *w;
    const float *unit; /* t, to read */
    float *t, *grad;
    size_t n, grain;
    float top;
    double share;   /* s/|K| */
    float *most;    /* [chunk] largest |tanh| */
    double *sum;    /* [chunk] of grad*t */
    size_t *maxima; /* [chunk] elements of |t| = 1 */
} job;

static size_t chunks(const job *j) {
    return mq_task_count(j->n, j->grain);
}

/* ---- tanh ---- */

/* tanh(a) = e/(e + 2) with e = exp(2a) - 1 = 2^k*p + (2^k - 1), p = exp(r) - 1, 2a = k*ln 2 + r. */
static inline float tanh_of(float w) {
    static const double log2e = 0x1.71547652b82fep+0;
    static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33; /* k*ln2_high is exact */
    static const double magic = 0x1.8p52;                                            /* rounds to k */
    double a = fabs((double)w);
    a = a > 10 ? 10 : a; /* 1 in float32; keeps a NaN */
    double shifted = 2 * a * log2e + magic, k = shifted - magic, power;
    double r = (2 * a - k * ln2_high) - k * ln2_low; /* |r| <= ln(2)/2: Taylor to r^14 is good to 1e-18 */
    double p = 1.0 / 87178291200;
    p = p * r + 1.0 / 6227020800;
    p = p * r + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r * r + r;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 52) + ((uint64_t)1023 << 52); /* the low bits of shifted are k */
    memcpy(&power, &bits, sizeof power);
    double e = power * p + (power - 1);
    return copysignf((float)(e / (e + 2)), w);
}

/* t = tanh(w); returns the largest |t|, NaN apart. */
MQ_CLONES static float store_tanh(const float *w, size_t n, float *t) {
    float lane[MQ_LANES] = {0}, most = 0;
    size_t i = 0;
    for (; i + MQ_LANES <= n; i += MQ_LANES) {
        for (int l = 0; l < MQ_LANES; l++) t[i + (size_t)l] = tanh_of(w[i + (size_t)l]);
        for (int l = 0; l < MQ_LANES; l++) {
            float size = fabsf(t[i + (size_t)l]);
            lane[l] = size > lane[l] ? size : lane[l];
        }
    }
    for (; i < n; i++) {
        t[i] = tanh_of(w[i]);
        most = fabsf(t[i]) > most ? fabsf(t[i]) : most;
    }
    for (int l = 0; l < MQ_LANES; l++) most = lane[l] > most ? lane[l] : most;
    return most;
}

MQ_CLONES static void divide(float *t, size_t n, float top) {
    for (size_t i = 0; i < n; i++) t[i] = t[i] / top;
}

static void tanh_task(void *context, size_t chunk) {
    const job *j = context;
    size_t from = chunk * j->grain;
    j->most[chunk] = store_tanh(j->w + from, mq_chunk_size(j->n, j->grain, chunk), j->t + from);
}

static void divide_task(void *context, size_t chunk) {
    const job *j = context;
    divide(j->t + chunk * j->grain, mq_chunk_size(j->n, j->grain, chunk), j->top);
}

float mq_dorefa_normalize(const float *w, size_t n, float *t) {
    float most[MQ_CHUNKS];
    job j = {.w = w, .t = t, .n = n, .grain = mq_chunk_grain(n), .most = most};
    mq_parallel(chunks(&j), tanh_task, &j);
    for (size_t c = 0; c < chunks(&j); c++) j.top = most[c] > j.top ? most[c] : j.top;
    if (j.top > 0) mq_parallel(chunks(&j), divide_task, &j);
    return j.top;
}

/* ---- gradient ---- */

MQ_CLONES static void add_up(const float *t, const float *grad, size_t n, double *sum, size_t *maxima) {
    double lane[MQ_LANES] = {0}, total = 0;
    size_t i = 0, count = 0;
    for (; i + MQ_LANES <= n; i += MQ_LANES)
        for (int l = 0; l < MQ_LANES; l++) lane[l] += (double)grad[i + (size_t)l] * (double)t[i + (size_t)l];
    for (; i < n; i++) total += (double)grad[i] * (double)t[i];
    for (int l = 0; l < MQ_LANES; l++) total += lane[l];
    for (i = 0; i < n; i++) count += fabsf(t[i]) == 1;
    *sum = total;
    *maxima = count;
}

MQ_CLONES static void through(const float *t, size_t n, double top, double share, float *grad) {
    for (size_t i = 0; i < n; i++) {
        double unit = (double)t[i], w = unit * top; /* tanh(w) to a rounding */
        double taken = fabs(unit) == 1 ? unit * share : 0;
        grad[i] = (float)(((double)grad[i] - taken) * ((1 - w * w) / top));
    }
}

static void sum_task(void *context, size_t chunk) {
    const job *j = context;
    size_t from = chunk * j->grain;
    add_up(j->unit + from, j->grad + from, mq_chunk_size(j->n, j->grain, chunk), &j->sum[chunk],
           &j->maxima[chunk]);
}

static void gradient_task(void *context, size_t chunk) {
    const job *j = context;
    size_t from = chunk * j->grain;
    through(j->unit + from, mq_chunk_size(j->n, j->grain, chunk), (double)j->top, j->share, j->grad + from);
}

void mq_dorefa_gradient(const float *t, size_t n, float m, float *grad) {
    if (m == 0) return;
    double sum[MQ_CHUNKS], total = 0;
    size_t maxima[MQ_CHUNKS], count = 0;
    job j = {.unit = t, .grad = grad, .n = n, .grain = mq_chunk_grain(n), .top = m};
    j.sum = sum;
    j.maxima = maxima;
    mq_parallel(chunks(&j), sum_task, &j);
    for (size_t c = 0; c < chunks(&j); c++) {
        total += sum[c];
        count += maxima[c];
    }
    if (count) j.share = total / (double)count;
    mq_parallel(chunks(&j), gradient_task, &j);
}

/* ---- either family ---- */

const float *mq_weight_prepare(mq_quantizer quantizer, const float *w, size_t n, float *t, float *scale) {
    if (quantizer == MQ_QUANTIZER_DOREFA) {
        *scale = mq_dorefa_normalize(w, n, t);
        return t;
    }
    *scale = mq_weight_deviation(w, n);
    return w;
}

double mq_weight_step_of(mq_quantizer quantizer, int bits, float scale) {
    return quantizer == MQ_QUANTIZER_DOREFA ? mq_dorefa_step(bits) : mq_weight_step(bits, scale);
}
