/* dnn_depthwise_few.c - 3x3 and 5x5 depthwise layers of one to four channels, as a network's first layer may
 * be, in floating point: forward, the source's gradient, which is forward with the kernel turned, and the
 * weights' gradient. Sums in float32; weights are not rounded. AVX-512.
 *
 * 16 lanes run along the row, over several pixels: the neighbour of an element in the next column lies
 * `channels` further on. The channel of a lane repeats after `phases` vectors, and so do the weights. Rows
 * are copied with their padding, as float32. Tasks are rows of the result or, of the weights' gradient, bands
 * of rows, whose number depends on the shape alone; so results do not depend on the thread count. */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/dnn_own.h"
#include "dnn/product.h"

enum { LANE_COUNT = 16, MOST_CHANNELS = 4, MOST_PHASES = 3, MOST_SIZE = 5, BANDS = 64 };

typedef struct few {
    mq_dnn_own own;
    int ih, oh;    /* rows of what is read and written; of the gradient: of src and diff_dst */
    int top, left; /* the first position's first tap */
    size_t size, channels, phases;
    size_t in_row, row;    /* elements of a row of each */
    size_t line, dst_line; /* floats of a copy: of a row with its padding; of a row of diff_dst */
    size_t grain, bands;   /* rows of a band, and how many */
    size_t taps;           /* floats of the weights or of their sums */
    bool rounded;
    float *weights; /* [r][q][phase][lane] */
} few;

#if defined(__x86_64__) && defined(__GNUC__)
#define AVX512_TARGET "avx512f,avx512bw,avx512vl,avx512bf16"
#include "tensor/avx512.h"

static bool supported(void) {
    return mq_product_supported(true);
}

INLINE void store(void *out, size_t at, __m512 v, __mmask16 some, bool rounded) {
    if (rounded)
        _mm256_mask_storeu_epi16((uint16_t *)out + at, some, (__m256i)_mm512_cvtneps_pbh(v));
    else
        _mm512_mask_storeu_ps((float *)out + at, some, v);
}

INLINE void row_of(const few *f, const float *lines, size_t size, size_t phases, bool rounded, void *out) {
    for (size_t i = 0, phase = 0; i < f->row; i += LANES, phase = phase + 1 < phases ? phase + 1 : 0) {
        __m512 sum = _mm512_setzero_ps();
#pragma GCC unroll 5
        for (size_t r = 0; r < size; r++)
#pragma GCC unroll 5
            for (size_t q = 0; q < size; q++)
                sum = _mm512_fmadd_ps(_mm512_loadu_ps(lines + r * f->line + i + q * f->channels),
                                      _mm512_loadu_ps(f->weights + ((r * size + q) * phases + phase) * LANES),
                                      sum);
        const size_t left = f->row - i;
        store(out, i, sum, first_lanes(left), rounded);
    }
}

AVX512 static void multiply_row(const few *f, const float *lines, void *out) {
    if (f->size == 3)
        row_of(f, lines, 3, f->phases, f->rounded, out);
    else
        row_of(f, lines, 5, f->phases, f->rounded, out);
}

/* One row of the kernel: its columns' sums of all phases stay in registers. */
INLINE void sums_of(const few *f, const float *line, const float *d, size_t size, size_t phases,
                    float *sums) {
    __m512 sum[MOST_SIZE][MOST_PHASES];
#pragma GCC unroll 5
    for (size_t q = 0; q < size; q++)
#pragma GCC unroll 3
        for (size_t p = 0; p < phases; p++) sum[q][p] = _mm512_loadu_ps(sums + (q * phases + p) * LANES);
    for (size_t i = 0; i < f->row; i += phases * LANES)
#pragma GCC unroll 3
        for (size_t p = 0; p < phases; p++) {
            const __m512 by = _mm512_loadu_ps(d + i + p * LANES);
#pragma GCC unroll 5
            for (size_t q = 0; q < size; q++)
                sum[q][p] =
                    _mm512_fmadd_ps(_mm512_loadu_ps(line + i + p * LANES + q * f->channels), by, sum[q][p]);
        }
#pragma GCC unroll 5
    for (size_t q = 0; q < size; q++)
#pragma GCC unroll 3
        for (size_t p = 0; p < phases; p++) _mm512_storeu_ps(sums + (q * phases + p) * LANES, sum[q][p]);
}

AVX512 static void add_row(const few *f, const float *lines, const float *d, float *sums) {
    for (size_t r = 0; r < f->size; r++, lines += f->line, sums += f->size * f->phases * LANES) {
        if (f->size == 3 && f->phases == 3)
            sums_of(f, lines, d, 3, 3, sums);
        else if (f->size == 3)
            sums_of(f, lines, d, 3, 1, sums);
        else if (f->phases == 3)
            sums_of(f, lines, d, 5, 3, sums);
        else
            sums_of(f, lines, d, 5, 1, sums);
    }
}

#else
static bool supported(void) {
    return false;
}

/* Nobody calls these where it is not supported. */
static void multiply_row(const few *f, const float *lines, void *out) {
    (void)f, (void)lines, (void)out;
}

static void add_row(const few *f, const float *lines, const float *d, float *sums) {
    (void)f, (void)lines, (void)d, (void)sums;
}
#endif

static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    if (s->groups != s->ic || s->groups != s->oc || s->stride != 1 || s->ic > MOST_CHANNELS) return false;
    if (s->kh != s->kw || (s->kh != 3 && s->kh != 5) || (direction == MQ_DNN_FORWARD && s->codes))
        return false;
    return supported();
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    few *f = (few *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    const bool data = own->direction == MQ_DNN_BACKWARD_DATA;
    const int width = data ? s->iw : s->ow;
    f->ih = data ? s->oh : s->ih;
    f->oh = data ? s->ih : s->oh;
    f->top = data ? s->pad_h - (s->kh - 1) : -s->pad_h;
    f->left = data ? s->pad_w - (s->kw - 1) : -s->pad_w;
    f->rounded = data ? s->diff_src == MQ_BF16 : s->rounded;
    f->size = (size_t)s->kh;
    f->channels = (size_t)s->ic;
    f->phases = s->ic == 3 ? 3 : 1;
    f->in_row = (size_t)(data ? s->ow : s->iw) * f->channels;
    f->row = (size_t)width * f->channels;
    const size_t step = f->phases * LANE_COUNT;
    f->dst_line = mq_task_count(f->row, step) * step;
    f->line = f->dst_line + mq_dnn_lines((f->size - 1) * f->channels);
    f->grain = mq_task_count((size_t)s->n * (size_t)f->oh, BANDS);
    f->bands = mq_task_count((size_t)s->n * (size_t)f->oh, f->grain);
    f->taps = f->size * f->size * step;
    const size_t working = (size_t)mq_threads() * (f->size * f->line + f->dst_line);
    if (own->direction == MQ_DNN_BACKWARD_WEIGHTS)
        return mq_dnn_reserve(own->dnn, (working + f->bands * f->taps) * sizeof(float), error);
    MQ_TRY(mq_alloc(f->taps, sizeof(float), "convolution weights", &f->weights, error));
    return mq_dnn_reserve(own->dnn, working * sizeof(float), error);
}

static void release(mq_dnn_own *own) {
    mq_free(((few *)own)->weights);
}

static void set_weights(mq_dnn_own *own, const float *w) {
    const few *f = (few *)own;
    const size_t taps = f->size * f->size, lanes = f->phases * LANE_COUNT;
    for (size_t tap = 0; f->weights && tap < taps; tap++)
        for (size_t lane = 0; lane < lanes; lane++)
            f->weights[tap * lanes + lane] =
                w[lane % f->channels * taps +
                  (own->direction == MQ_DNN_BACKWARD_DATA ? taps - 1 - tap : tap)];
}

typedef struct job {
    const few *f;
    const char *in, *diff_dst;
    char *out;
    float *parts, *dw; /* parts: [bands][taps] */
} job;

/* A worker's copies of rows; behind those of the last begins what all share. */
static float *lines_of(const few *f, size_t worker) {
    return (float *)f->own.dnn->scratch + worker * (f->size * f->line + f->dst_line);
}

/* The rows that row `row` of all results meets. */
static void copy_rows(const job *j, size_t row, float *lines) {
    const few *f = j->f;
    const mq_dtype type = f->own.spec.compute;
    const size_t oh = (size_t)f->oh, before = (size_t)-f->left * f->channels;
    const size_t room = f->row + (f->size - 1) * f->channels - before;
    const size_t inside = f->in_row < room ? f->in_row : room;
    for (size_t r = 0; r < f->size; r++, lines += f->line) {
        const int y = (int)(row % oh) + f->top + (int)r;
        memset(lines, 0, f->line * sizeof *lines);
        if (y < 0 || y >= f->ih) continue;
        const size_t at = (row / oh * (size_t)f->ih + (size_t)y) * f->in_row;
        mq_product_copy(j->in + at * mq_dtype_size(type), type, inside, 1, inside, false, lines + before);
    }
}

static void run_row(void *context, size_t worker, size_t task) {
    const job *j = context;
    float *lines = lines_of(j->f, worker);
    copy_rows(j, task, lines);
    multiply_row(j->f, lines, j->out + task * j->f->row * (j->f->rounded ? 2 : 4));
}

static void run_band(void *context, size_t worker, size_t task) {
    const job *j = context;
    const few *f = j->f;
    const mq_dtype type = f->own.spec.compute;
    const size_t rows = (size_t)f->own.spec.n * (size_t)f->oh;
    float *lines = lines_of(f, worker), *d = lines + f->size * f->line, *sums = j->parts + task * f->taps;
    memset(sums, 0, f->taps * sizeof *sums);
    memset(d, 0, f->dst_line * sizeof *d);
    for (size_t k = task * f->grain; k < (task + 1) * f->grain && k < rows; k++) {
        copy_rows(j, k, lines);
        mq_product_copy(j->diff_dst + k * f->row * mq_dtype_size(type), type, f->row, 1, f->row, false, d);
        add_row(f, lines, d, sums);
    }
}

/* The bands' sums in order, and a channel's lanes. */
static void gather(const job *j) {
    const few *f = j->f;
    const size_t taps = f->size * f->size, lanes = f->phases * LANE_COUNT;
    for (size_t c = 0; c < f->channels; c++)
        for (size_t tap = 0; tap < taps; tap++) {
            float sum = 0;
            for (size_t b = 0; b < f->bands; b++)
                for (size_t lane = c; lane < lanes; lane += f->channels)
                    sum += j->parts[b * f->taps + tap * lanes + lane];
            j->dw[c * taps + tap] = sum;
        }
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    const few *f = (const few *)own;
    const bool data = own->direction == MQ_DNN_BACKWARD_DATA;
    job j = {.f = f, .in = data ? dst : src, .out = (char *)(uintptr_t)(data ? src : dst), .dw = dw};
    if (own->direction != MQ_DNN_BACKWARD_WEIGHTS) {
        mq_parallel_workers((size_t)own->spec.n * (size_t)f->oh, run_row, &j);
        return;
    }
    j.diff_dst = dst;
    j.parts = lines_of(f, (size_t)mq_threads());
    mq_parallel_workers(f->bands, run_band, &j);
    gather(&j);
}

const mq_dnn_own_kind mq_dnn_depthwise_few = {"own:depthwise", sizeof(few), wanted, create, release,
                                              set_weights,     run,         false,  NULL};
