/* dnn_few.c - convolutions of few channels in, as a network's first layer is, where pairs of bfloat16 are
 * slow (mq_dnn_slow_dots): forward and the weights' gradient as products of matrices (product.h) in float32;
 * operands are widened as they are read, weights are not rounded. dnn_narrow.c has the source's gradient.
 *
 * An output row is made from a window: for every column of the padded source kh*ic numbers, those of one
 * column of the kernel. So the kh*kw*ic numbers of position x lie side by side from kh*ic*x on, and
 * neighbours overlap. Forward multiplies the window by the weights [kw*kh*ic][oc]; the gradient multiplies
 * its transpose by the row of diff_dst. Tasks are bands of rows, whose number depends on the shape alone, so
 * results do not depend on the thread count. */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/dnn_own.h"
#include "dnn/product.h"

enum { LANES = MQ_PRODUCT_LANES, MOST_CHANNELS = 4, MOST_TAPS = 128, LEAST_WIDTH = 8, BANDS = 64 };

typedef struct few {
    mq_dnn_own own;
    size_t taps, columns; /* kw*kh*ic; oc */
    float *weights;       /* [taps][oc] in panels; NULL for the gradient */
    size_t window, row;   /* floats of a worker: the window; a row of dst or diff_dst as float32, or none */
    size_t grain, bands;  /* rows of a band, and how many */
} few;

static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    const bool forward = direction == MQ_DNN_FORWARD;
    if (direction == MQ_DNN_BACKWARD_DATA || (forward && s->codes)) return false;
    if (s->groups != 1 || s->stride != 1 || s->ic > MOST_CHANNELS || s->kh * s->kw == 1) return false;
    if (s->kh * s->kw * s->ic > MOST_TAPS || s->oc % LANES || s->ow < LEAST_WIDTH) return false;
    return s->compute == MQ_BF16 && mq_dnn_slow_dots() && mq_product_supported(true);
}

/* Whether a row of dst or diff_dst has to be another than the product's: rounded, or in panels. */
static bool copies_row(const few *f) {
    return f->own.direction == MQ_DNN_FORWARD ? f->own.spec.rounded : f->columns > MQ_PRODUCT_PANEL;
}

static size_t working_bytes(const few *f) {
    return mq_dnn_lines((f->window + f->row) * sizeof(float));
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    few *f = (few *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    f->taps = (size_t)s->kh * (size_t)s->kw * (size_t)s->ic;
    f->columns = (size_t)s->oc;
    f->window = mq_dnn_lines((size_t)(s->ow + s->kw - 1) * (size_t)s->kh * (size_t)s->ic);
    f->row = copies_row(f) ? (size_t)s->ow * f->columns : 0;
    f->grain = mq_task_count((size_t)s->n * (size_t)s->oh, BANDS);
    f->bands = mq_task_count((size_t)s->n * (size_t)s->oh, f->grain);
    size_t bytes = (size_t)mq_threads() * working_bytes(f);
    if (own->direction == MQ_DNN_FORWARD)
        MQ_TRY(mq_alloc(f->taps * f->columns, sizeof(float), "convolution weights", &f->weights, error));
    else
        bytes += f->bands * f->taps * f->columns * sizeof(float);
    return mq_dnn_reserve(own->dnn, bytes, error);
}

static void release(mq_dnn_own *own) {
    mq_free(((few *)own)->weights);
}

/* Number of a weight in the window's order. */
static size_t tap_of(const mq_dnn_conv_spec *s, size_t i, size_t r, size_t q) {
    return (q * (size_t)s->kh + r) * (size_t)s->ic + i;
}

static void set_weights(mq_dnn_own *own, const float *w) {
    const few *f = (few *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    for (size_t o = 0; f->weights && o < f->columns; o++)
        for (size_t i = 0; i < (size_t)s->ic; i++)
            for (size_t r = 0; r < (size_t)s->kh; r++)
                for (size_t q = 0; q < (size_t)s->kw; q++)
                    f->weights[mq_product_at(f->taps, f->columns, tap_of(s, i, r, q), o)] = *w++;
}

/* What a pass is given. */
typedef struct job {
    const few *f;
    const uint16_t *src, *diff_dst;
    void *dst;
    float *parts, *dw; /* parts: [bands][taps][oc] */
} job;

static float *work_of(const few *f, size_t worker) {
    return (float *)(void *)((char *)f->own.dnn->scratch + worker * working_bytes(f));
}

/* The window of row `row` of all images; what lies left and right of them is zero already. */
static void fill_window(const job *j, size_t row, float *window) {
    const few *f = j->f;
    const mq_dnn_conv_spec *s = &f->own.spec;
    const size_t ic = (size_t)s->ic, column = (size_t)s->kh * ic, width = (size_t)(s->ow + s->kw - 1);
    const size_t left = (size_t)s->pad_w, iw = (size_t)s->iw;
    const size_t inside = width - left < iw ? width - left : iw, image = row / (size_t)s->oh;
    for (int r = 0; r < s->kh; r++) {
        const int y = (int)(row % (size_t)s->oh) - s->pad_h + r;
        const size_t from = (image * (size_t)s->ih + (size_t)(y < 0 ? 0 : y)) * iw * ic;
        mq_product_scatter(y < 0 || y >= s->ih ? NULL : j->src + from, inside, ic, column,
                           window + left * column + (size_t)r * ic);
    }
}

/* A worker's window, zero. */
static float *begin_band(const few *f, size_t worker) {
    float *window = work_of(f, worker);
    memset(window, 0, f->window * sizeof(float));
    return window;
}

static size_t end_of_band(const few *f, size_t task) {
    const size_t rows = (size_t)f->own.spec.n * (size_t)f->own.spec.oh, end = (task + 1) * f->grain;
    return end < rows ? end : rows;
}

static void run_forward(void *context, size_t worker, size_t task) {
    const job *j = context;
    const few *f = j->f;
    const size_t width = (size_t)f->own.spec.ow, step = (size_t)f->own.spec.kh * (size_t)f->own.spec.ic;
    const size_t count = width * f->columns;
    float *window = begin_band(f, worker);
    for (size_t k = task * f->grain; k < end_of_band(f, task); k++) {
        float *row = f->row ? window + f->window : (float *)j->dst + k * count;
        fill_window(j, k, window);
        mq_product(window, step, 1, f->weights, width, f->columns, f->taps, false, row);
        if (f->row) mq_product_round(row, count, (uint16_t *)j->dst + k * count);
    }
}

/* ---- the weights' gradient ---- */

static void run_band(void *context, size_t worker, size_t task) {
    const job *j = context;
    const few *f = j->f;
    const size_t width = (size_t)f->own.spec.ow, step = (size_t)f->own.spec.kh * (size_t)f->own.spec.ic;
    float *window = begin_band(f, worker), *panels = window + f->window;
    float *part = j->parts + task * f->taps * f->columns;
    for (size_t k = task * f->grain; k < end_of_band(f, task); k++) {
        const uint16_t *row = j->diff_dst + k * width * f->columns;
        const bool add = k > task * f->grain;
        fill_window(j, k, window);
        if (f->row) {
            mq_product_copy(row, MQ_BF16, f->columns, width, f->columns, true, panels);
            mq_product(window, 1, step, panels, f->taps, f->columns, width, add, part);
        } else {
            mq_product_half(window, step, row, f->taps, f->columns, width, add, part);
        }
    }
}

/* The bands' sums in order, for channel o. */
static void gather(void *context, size_t o) {
    const job *j = context;
    const few *f = j->f;
    const mq_dnn_conv_spec *s = &f->own.spec;
    float *dw = j->dw + o * f->taps;
    for (size_t i = 0; i < (size_t)s->ic; i++)
        for (size_t r = 0; r < (size_t)s->kh; r++)
            for (size_t q = 0; q < (size_t)s->kw; q++) {
                float sum = 0;
                for (size_t b = 0; b < f->bands; b++)
                    sum += j->parts[(b * f->taps + tap_of(s, i, r, q)) * f->columns + o];
                *dw++ = sum;
            }
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    const few *f = (const few *)own;
    job j = {.f = f, .src = src, .diff_dst = dst, .dst = (void *)(uintptr_t)dst, .dw = dw};
    if (own->direction == MQ_DNN_FORWARD) {
        mq_parallel_workers(f->bands, run_forward, &j);
        return;
    }
    j.parts = work_of(f, (size_t)mq_threads());
    mq_parallel_workers(f->bands, run_band, &j);
    mq_parallel(f->columns, gather, &j);
}

const mq_dnn_own_kind mq_dnn_few = {"own:few",   sizeof(few), wanted, create, release,
                                    set_weights, run,         false,  NULL};
