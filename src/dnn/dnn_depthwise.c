/* dnn_depthwise.c - 3x3 and 5x5 depthwise layers in floating point by our own rows (depthwise.h): forward,
 * the source's gradient, which is forward with the kernel turned, and of 3x3 the weights' gradient
 * (dnn_depthwise_wide.c has that of wide kernels). Weights are not rounded.
 *
 * A task is a row of the result or, of the weights' gradient, a band of rows, whose number depends on the
 * shape alone; so results do not depend on the thread count. */
#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/depthwise.h"
#include "dnn/dnn_own.h"

enum { LANES = 16, BANDS = 32 };

typedef struct depthwise {
    mq_dnn_own own;
    int ih, iw, oh, ow; /* of what is read and written; of the gradient: of src and diff_dst */
    int top, left;      /* the first position's first tap */
    bool rounded;
    float *weights; /* [q][r][channels] */
    void *zeros;    /* a row outside */
    size_t grain, bands;
} depthwise;

static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    if (s->groups < 2 || s->groups != s->ic || s->groups != s->oc || s->stride != 1 || s->ic % LANES)
        return false;
    if (s->kh != s->kw || (s->kh != 3 && s->kh != 5) || (direction == MQ_DNN_FORWARD && s->codes))
        return false;
    /* oneDNN's float32 is as fast, but for what it has no code for. */
    if (s->compute == MQ_F32 && (direction != MQ_DNN_BACKWARD_WEIGHTS || (s->kh == 3 && !s->codes)))
        return false;
    return mq_depthwise_supported();
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    depthwise *d = (depthwise *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    const bool data = own->direction == MQ_DNN_BACKWARD_DATA;
    d->ih = data ? s->oh : s->ih;
    d->iw = data ? s->ow : s->iw;
    d->oh = data ? s->ih : s->oh;
    d->ow = data ? s->iw : s->ow;
    d->top = data ? s->pad_h - (s->kh - 1) : -s->pad_h;
    d->left = data ? s->pad_w - (s->kw - 1) : -s->pad_w;
    d->rounded = data ? s->diff_src == MQ_BF16 : s->rounded;
    d->grain = mq_task_count((size_t)s->n * (size_t)d->oh, BANDS);
    d->bands = mq_task_count((size_t)s->n * (size_t)d->oh, d->grain);
    const size_t weights = (size_t)s->kh * (size_t)s->kw * (size_t)s->ic;
    MQ_TRY(mq_alloc((size_t)d->iw * (size_t)s->ic, mq_dtype_size(s->compute), "a convolution's padding",
                    &d->zeros, error));
    if (own->direction == MQ_DNN_BACKWARD_WEIGHTS)
        return mq_dnn_reserve(own->dnn, d->bands * weights * sizeof(float), error);
    return mq_alloc(weights, sizeof(float), "convolution weights", &d->weights, error);
}

static void release(mq_dnn_own *own) {
    depthwise *d = (depthwise *)own;
    mq_free(d->weights);
    mq_free(d->zeros);
}

static void set_weights(mq_dnn_own *own, const float *w) {
    const depthwise *d = (depthwise *)own;
    const size_t channels = (size_t)own->spec.ic, size = (size_t)own->spec.kh, taps = size * size;
    for (size_t c = 0; d->weights && c < channels; c++)
        for (size_t r = 0; r < size; r++)
            for (size_t q = 0; q < size; q++) {
                const size_t tap = r * size + q;
                d->weights[(q * size + r) * channels + c] =
                    w[c * taps + (own->direction == MQ_DNN_BACKWARD_DATA ? taps - 1 - tap : tap)];
            }
}

typedef struct job {
    const depthwise *d;
    const char *in, *diff_dst;
    char *out;
    float *parts, *dw; /* parts: [bands][r][q][channels] */
} job;

/* What row `row` of all results meets. */
static mq_depthwise_rows rows_of(const job *j, size_t row) {
    const depthwise *d = j->d;
    const mq_dnn_conv_spec *s = &d->own.spec;
    const size_t oh = (size_t)d->oh, image = row / oh;
    const bool codes = s->codes && d->own.direction == MQ_DNN_BACKWARD_WEIGHTS;
    const mq_dtype type = codes ? MQ_U8 : s->compute;
    const size_t bytes = (size_t)d->iw * (size_t)s->ic * mq_dtype_size(type);
    mq_depthwise_rows in = {
        .size = (size_t)s->kh, .width = (size_t)d->iw, .channels = (size_t)s->ic, .type = type};
    for (int r = 0; r < s->kh; r++) {
        const int y = (int)(row % oh) + d->top + r;
        const bool there = y >= 0 && y < d->ih;
        in.row[r] = there ? j->in + (image * (size_t)d->ih + (size_t)y) * bytes : (const char *)d->zeros;
    }
    return in;
}

static void run_row(void *context, size_t task) {
    const job *j = context;
    const depthwise *d = j->d;
    const mq_depthwise_rows in = rows_of(j, task);
    const size_t bytes = (size_t)d->ow * in.channels * (d->rounded ? sizeof(uint16_t) : sizeof(float));
    mq_depthwise_row(&in, d->left, d->weights, (size_t)d->ow, d->rounded, j->out + task * bytes);
}

static void run_band(void *context, size_t task) {
    const job *j = context;
    const depthwise *d = j->d;
    const mq_dnn_conv_spec *s = &d->own.spec;
    const size_t count = (size_t)(s->kh * s->kw * s->ic), rows = (size_t)s->n * (size_t)d->oh;
    const size_t bytes = (size_t)d->ow * (size_t)s->ic * mq_dtype_size(s->compute);
    float *sums = j->parts + task * count;
    for (size_t i = 0; i < count; i++) sums[i] = 0;
    for (size_t k = task * d->grain; k < (task + 1) * d->grain && k < rows; k++) {
        const mq_depthwise_rows in = rows_of(j, k);
        mq_depthwise_sums(&in, d->left, j->diff_dst + k * bytes, s->compute, (size_t)d->ow, sums);
    }
}

/* The bands' sums in order, one tap after the other, into OIHW. */
static void gather(void *context, size_t tap) {
    const job *j = context;
    const size_t channels = (size_t)j->d->own.spec.ic;
    const size_t taps = (size_t)(j->d->own.spec.kh * j->d->own.spec.kw);
    for (size_t c = 0; c < channels; c++) {
        float sum = 0;
        for (size_t t = 0; t < j->d->bands; t++) sum += j->parts[(t * taps + tap) * channels + c];
        j->dw[c * taps + tap] = sum;
    }
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    const depthwise *d = (const depthwise *)own;
    const bool data = own->direction == MQ_DNN_BACKWARD_DATA;
    job j = {.d = d, .in = data ? dst : src, .out = (char *)(uintptr_t)(data ? src : dst), .dw = dw};
    if (own->direction != MQ_DNN_BACKWARD_WEIGHTS) {
        mq_parallel((size_t)own->spec.n * (size_t)d->oh, run_row, &j);
        return;
    }
    j.diff_dst = dst;
    j.parts = own->dnn->scratch;
    mq_parallel(d->bands, run_band, &j);
    mq_parallel((size_t)(own->spec.kh * own->spec.kw), gather, &j);
}

const mq_dnn_own_kind mq_dnn_depthwise = {
    "own:depthwise", sizeof(depthwise), wanted, create, release, set_weights, run, true, NULL};
