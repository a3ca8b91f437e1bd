/* dnn_time.c - how long a network's convolutions take by themselves: the ceiling of a training step's speed.
 */
#include <time.h>

#include "base/memory.h"
#include "base/rng.h"
#include "dnn/dnn.h"

/* All layers share the operands, each as large as the largest layer's: timing needs numbers of a usual size
 * (no denormals), not different ones. */
typedef struct bench {
    mq_dnn *dnn;
    mq_dnn_conv **convs;
    int count;
    void *src, *diff_dst; /* random; float32 and bfloat16 layers read the same bytes */
    float *dst, *w, *dw;
    void *diff_src;
} bench;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Two bfloat16 numbers in [-1, 1) per word; the upper half decides the word's value as float32, so the same
 * bytes are sensible in both types. A short random table, repeated. */
static void fill(void *bytes, size_t size) {
    enum { TABLE = 4096 };
    uint32_t table[TABLE];
    const mq_rng rng = mq_rng_stream(0, "dnn time", 0);
    for (size_t i = 0; i < TABLE; i++) {
        uint32_t high = mq_f32_to_bf16(2.0f * mq_rng_uniform(&rng, 2 * i) - 1.0f);
        uint32_t low = mq_f32_to_bf16(2.0f * mq_rng_uniform(&rng, 2 * i + 1) - 1.0f);
        table[i] = high << 16 | low;
    }
    uint32_t *words = bytes;
    for (size_t i = 0; i < size / sizeof *words; i++) words[i] = table[i % TABLE];
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static mq_status make(bench *b, const mq_dnn_conv_spec *specs, int count, mq_error *error) {
    size_t src = 0, dst = 0, w = 0;
    MQ_TRY(mq_dnn_create(&b->dnn, error));
    MQ_TRY(mq_alloc((size_t)count, sizeof(mq_dnn_conv *), "convolutions", &b->convs, error));
    b->count = count;
    for (int i = 0; i < count; i++) {
        const mq_dnn_conv_spec *s = &specs[i];
        MQ_TRY(mq_dnn_conv_create(b->dnn, s, &b->convs[i], error)); /* checks the spec */
        src = larger(src, (size_t)s->n * (size_t)s->ih * (size_t)s->iw * (size_t)s->ic);
        dst = larger(dst, (size_t)s->n * (size_t)s->oh * (size_t)s->ow * (size_t)s->oc);
        w = larger(w, (size_t)s->oc * (size_t)(s->ic / s->groups) * (size_t)s->kh * (size_t)s->kw);
    }
    MQ_TRY(mq_alloc(src, sizeof(float), "inputs", &b->src, error));
    MQ_TRY(mq_alloc(src, sizeof(float), "input gradients", &b->diff_src, error));
    MQ_TRY(mq_alloc(dst, sizeof(float), "outputs", &b->dst, error));
    MQ_TRY(mq_alloc(dst, sizeof(float), "output gradients", &b->diff_dst, error));
    MQ_TRY(mq_alloc(w, sizeof(float), "weights", &b->w, error));
    MQ_TRY(mq_alloc(w, sizeof(float), "weight gradients", &b->dw, error));
    fill(b->src, src * sizeof(float));
    fill(b->diff_dst, dst * sizeof(float));
    fill(b->w, w * sizeof(float));
    return MQ_OK;
}

static void drop(bench *b) {
    for (int i = 0; i < b->count; i++) mq_dnn_conv_destroy(b->convs[i]);
    mq_free(b->convs);
    mq_free(b->src);
    mq_free(b->diff_src);
    mq_free(b->dst);
    mq_free(b->diff_dst);
    mq_free(b->w);
    mq_free(b->dw);
    mq_dnn_destroy(b->dnn);
}

static void keep_shortest(double *best, double begin) {
    double seconds = now() - begin;
    if (*best == 0 || seconds < *best) *best = seconds;
}

static mq_status step(const bench *b, mq_dnn_time *times, mq_error *error) {
    for (int i = 0; i < b->count; i++) {
        double begin = now();
        MQ_TRY(mq_dnn_conv_set_weights(b->convs[i], b->w, error));
        MQ_TRY(mq_dnn_conv_forward(b->convs[i], b->src, b->dst, error));
        keep_shortest(&times[i].forward, begin);
    }
    for (int i = b->count - 1; i >= 0; i--) {
        const mq_dnn_conv_spec *s = mq_dnn_conv_get_spec(b->convs[i]);
        if (s->backward_weights) {
            double begin = now();
            MQ_TRY(mq_dnn_conv_backward_weights(b->convs[i], b->src, b->diff_dst, b->dw, error));
            keep_shortest(&times[i].backward_weights, begin);
        }
        if (s->backward_data) {
            double begin = now();
            MQ_TRY(mq_dnn_conv_backward_data(b->convs[i], b->diff_dst, b->diff_src, error));
            keep_shortest(&times[i].backward_data, begin);
        }
    }
    return MQ_OK;
}

static mq_status measure(const bench *b, int repeats, mq_dnn_time *times, mq_error *error) {
    for (int i = 0; i <= repeats; i++) {
        /* The first step pays for page faults and cold code; its times are thrown away. */
        if (i <= 1)
            for (int k = 0; k < b->count; k++) times[k] = (mq_dnn_time){0};
        MQ_TRY(step(b, times, error));
    }
    return MQ_OK;
}

mq_status mq_dnn_conv_time(const mq_dnn_conv_spec *specs, int count, int repeats, mq_dnn_time *times,
                           mq_error *error) {
    bench b = {0};
    if (count < 1 || repeats < 1)
        return mq_fail(error, MQ_INTERNAL,
                       "timing convolutions: got %d of them, %d times, expected at least 1 each", count,
                       repeats);
    mq_status status = make(&b, specs, count, error);
    if (status == MQ_OK) status = measure(&b, repeats, times, error);
    drop(&b);
    return status;
}
