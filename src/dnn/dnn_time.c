/* dnn_time.c - how long a network's convolutions take by themselves: the ceiling of a training step's speed.
 */
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "base/rng.h"
#include "dnn/dnn.h"

/* Every layer has its own source and result, as in a network, where they have left the cache when the next
 * pass reads them; gradients, as large as the largest layer's, are shared, as in a step. Timing needs numbers
 * of a usual size (no denormals), not sensible ones. */
typedef struct bench {
    mq_dnn *dnn;
    mq_dnn_conv **convs; /* [count] */
    mq_dnn_conv **rests; /* for the images that do not fill spec.n; NULL: there are none */
    int count, images;
    void **src, **dst; /* [count]; src is random */
    void *diff_dst;    /* random; float32 and bfloat16 layers read the same bytes */
    float *w, *dw;
    void *diff_src;
    double *seconds; /* [count][PASSES][repeats] */
    int repeats;
} bench;

enum time_pass { FORWARD, DATA, WEIGHTS, PASSES };

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

/* A layer's convolutions, source and result. */
static mq_status make_layer(bench *b, int which, const mq_dnn_conv_spec *s, mq_error *error) {
    MQ_TRY(mq_dnn_conv_create(b->dnn, s, &b->convs[which], error)); /* checks the spec */
    mq_dnn_conv_spec rest = *s;
    rest.n = b->images % s->n;
    if (rest.n) MQ_TRY(mq_dnn_conv_create(b->dnn, &rest, &b->rests[which], error));
    const size_t src =
        (size_t)b->images * (size_t)s->ih * (size_t)s->iw * (size_t)s->ic * mq_dtype_size(s->compute);
    const size_t dst = (size_t)b->images * (size_t)s->oh * (size_t)s->ow * (size_t)s->oc;
    MQ_TRY(mq_alloc(src, 1, "inputs", &b->src[which], error));
    fill(b->src[which], src);
    return mq_alloc(dst, mq_dtype_size(s->rounded ? MQ_BF16 : MQ_F32), "outputs", &b->dst[which], error);
}

static mq_status make(bench *b, const mq_dnn_conv_spec *specs, int count, mq_error *error) {
    size_t src = 0, dst = 0, w = 0;
    MQ_TRY(mq_dnn_create(&b->dnn, error));
    MQ_TRY(mq_alloc((size_t)count, sizeof(mq_dnn_conv *), "convolutions", &b->convs, error));
    MQ_TRY(mq_alloc((size_t)count, sizeof(mq_dnn_conv *), "convolutions", &b->rests, error));
    MQ_TRY(mq_alloc((size_t)count, sizeof(void *), "inputs", &b->src, error));
    MQ_TRY(mq_alloc((size_t)count, sizeof(void *), "outputs", &b->dst, error));
    b->count = count;
    for (int i = 0; i < count; i++) {
        const mq_dnn_conv_spec *s = &specs[i];
        MQ_TRY(make_layer(b, i, s, error));
        src = larger(src, (size_t)b->images * (size_t)s->ih * (size_t)s->iw * (size_t)s->ic);
        dst = larger(dst, (size_t)b->images * (size_t)s->oh * (size_t)s->ow * (size_t)s->oc);
        w = larger(w, (size_t)s->oc * (size_t)(s->ic / s->groups) * (size_t)s->kh * (size_t)s->kw);
    }
    MQ_TRY(mq_alloc(src, sizeof(float), "input gradients", &b->diff_src, error));
    MQ_TRY(mq_alloc(dst, sizeof(float), "output gradients", &b->diff_dst, error));
    MQ_TRY(mq_alloc(w, sizeof(float), "weights", &b->w, error));
    MQ_TRY(mq_alloc(w, sizeof(float), "weight gradients", &b->dw, error));
    fill(b->diff_dst, dst * sizeof(float));
    fill(b->w, w * sizeof(float));
    return MQ_OK;
}

static void drop(bench *b) {
    for (int i = 0; i < b->count; i++) {
        mq_dnn_conv_destroy(b->convs[i]);
        mq_dnn_conv_destroy(b->rests[i]);
        mq_free(b->src[i]);
        mq_free(b->dst[i]);
    }
    mq_free(b->convs);
    mq_free(b->rests);
    mq_free(b->src);
    mq_free(b->diff_src);
    mq_free(b->dst);
    mq_free(b->diff_dst);
    mq_free(b->w);
    mq_free(b->dw);
    mq_free(b->seconds);
    mq_dnn_destroy(b->dnn);
}

/* `pass` of a layer over all images, spec.n at a time. */
static mq_status run_pass(const bench *b, int which, enum time_pass pass, mq_error *error) {
    const mq_dnn_conv_spec *s = mq_dnn_conv_get_spec(b->convs[which]);
    const size_t src = (size_t)s->ih * (size_t)s->iw * (size_t)s->ic;
    const size_t dst = (size_t)s->oh * (size_t)s->ow * (size_t)s->oc, element = mq_dtype_size(s->compute);
    for (int i = 0; i < b->images; i += s->n) {
        mq_dnn_conv *conv = b->images - i < s->n ? b->rests[which] : b->convs[which];
        const uint8_t *codes = (const uint8_t *)b->src[which] + (size_t)i * src;
        const char *x = (const char *)b->src[which] + (size_t)i * src * element;
        const char *dy = (const char *)b->diff_dst + (size_t)i * dst * element;
        if (pass == FORWARD) {
            if (i == 0 || conv != b->convs[which]) MQ_TRY(mq_dnn_conv_set_weights(conv, b->w, error));
            char *y = (char *)b->dst[which] + (size_t)i * dst * mq_dtype_size(s->rounded ? MQ_BF16 : MQ_F32);
            if (mq_dnn_conv_has_whole(conv))
                MQ_TRY(mq_dnn_conv_forward_whole(conv, codes, (int16_t *)y, NULL, NULL, error));
            else
                MQ_TRY(mq_dnn_conv_forward(conv, s->codes ? (const void *)codes : x, y, error));
        } else if (pass == WEIGHTS) {
            MQ_TRY(mq_dnn_conv_backward_weights(conv, s->codes ? (const void *)codes : x, dy, b->dw, error));
        } else {
            char *dx = (char *)b->diff_src + (size_t)i * src * mq_dtype_size(s->diff_src);
            MQ_TRY(mq_dnn_conv_backward_data(conv, dy, dx, error));
        }
    }
    return MQ_OK;
}

static double *seconds_of(const bench *b, int which, enum time_pass pass) {
    return b->seconds + (which * PASSES + (int)pass) * b->repeats;
}

static mq_status time_pass(const bench *b, int which, enum time_pass pass, int repeat, mq_error *error) {
    const double begin = now();
    MQ_TRY(run_pass(b, which, pass, error));
    if (repeat >= 0) seconds_of(b, which, pass)[repeat] = now() - begin;
    return MQ_OK;
}

static mq_status step(const bench *b, int repeat, mq_error *error) {
    for (int i = 0; i < b->count; i++) MQ_TRY(time_pass(b, i, FORWARD, repeat, error));
    for (int i = b->count - 1; i >= 0; i--) {
        const mq_dnn_conv_spec *s = mq_dnn_conv_get_spec(b->convs[i]);
        if (s->backward_weights) MQ_TRY(time_pass(b, i, WEIGHTS, repeat, error));
        if (s->backward_data) MQ_TRY(time_pass(b, i, DATA, repeat, error));
    }
    return MQ_OK;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const bench *b, int which, enum time_pass pass) {
    double *const v = seconds_of(b, which, pass);
    const int n = b->repeats;
    qsort(v, (size_t)n, sizeof *v, ascending);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

static mq_status measure(bench *b, int repeats, mq_dnn_time *times, mq_error *error) {
    b->repeats = repeats;
    MQ_TRY(mq_alloc((size_t)b->count * PASSES * (size_t)repeats, sizeof *b->seconds, "times", &b->seconds,
                    error));
    /* The first step pays for page faults and cold code: not counted. */
    for (int i = -1; i < repeats; i++) MQ_TRY(step(b, i, error));
    for (int k = 0; k < b->count; k++)
        times[k] = (mq_dnn_time){median(b, k, FORWARD), median(b, k, DATA), median(b, k, WEIGHTS)};
    return MQ_OK;
}

mq_status mq_dnn_conv_time(const mq_dnn_conv_spec *specs, int count, int images, int repeats,
                           mq_dnn_time *times, mq_error *error) {
    bench b = {.images = images};
    if (count < 1 || images < 1 || repeats < 1)
        return mq_fail(error, MQ_INTERNAL,
                       "timing convolutions: got %d of them, %d images, %d times, expected at least 1 each",
                       count, images, repeats);
    mq_status status = make(&b, specs, count, error);
    if (status == MQ_OK) status = measure(&b, repeats, times, error);
    drop(&b);
    return status;
}
