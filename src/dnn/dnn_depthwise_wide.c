/* dnn_depthwise_wide.c - the weights' gradient of depthwise convolutions with wide kernels.
 *
 * oneDNN's depthwise code for this pass ends at kernels 3 columns wide; a 5x5 one falls to general code that
 * is 10 (float32) to 40 (bfloat16) times slower than its other passes. The sum is dw[c][r][q] = sum over b,
 * y, x of src[b][y*stride - pad_h + r][x*stride - pad_w + q][c] * diff_dst[b][y][x][c].
 *
 * 16 lanes run along the channels; several kernel columns share each load of diff_dst. With fewer than 16
 * channels and stride 1 the lanes run along the row, over several pixels, and are folded at its end. Tasks
 * are bands of output rows; their number depends on the shape alone, so the result does not depend on the
 * thread count. */
#include <string.h>

#include "base/parallel.h"
#include "dnn/dnn_own.h"

enum { LANES = 16, COLUMNS = 5, TASKS = 64 };

typedef float lanes_f32 __attribute__((vector_size(LANES * sizeof(float))));
typedef uint32_t lanes_u32 __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint16_t lanes_u16 __attribute__((vector_size(LANES * sizeof(uint16_t))));

#define INLINE static inline __attribute__((always_inline))

typedef struct job {
    const mq_dnn_conv_spec *spec;
    const void *src, *diff_dst;
    float *partial; /* [task][kh][kw][channel] */
    float *dw;
    size_t rows; /* n * oh */
    size_t grain, tasks;
} job;

static size_t row_grain(const mq_dnn_conv_spec *s) {
    return mq_task_count((size_t)s->n * (size_t)s->oh, TASKS);
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    const mq_dnn_conv_spec *s = &own->spec;
    const size_t tasks = mq_task_count((size_t)s->n * (size_t)s->oh, row_grain(s));
    return mq_dnn_reserve(own->dnn, tasks * (size_t)s->kh * (size_t)s->kw * (size_t)s->ic * sizeof(float),
                          error);
}

static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    return direction == MQ_DNN_BACKWARD_WEIGHTS && s->groups > 1 && s->groups == s->ic &&
           s->groups == s->oc && s->kw > 3;
}

/* Through a pointer, since returning a vector would depend on the CPU compiled for. */
INLINE void load(lanes_f32 *out, const void *base, size_t at, bool bf16) {
    if (bf16) {
        lanes_u16 half;
        memcpy(&half, (const uint16_t *)base + at, sizeof half);
        lanes_u32 word = __builtin_convertvector(half, lanes_u32) << 16;
        memcpy(out, &word, sizeof word);
    } else {
        memcpy(out, (const float *)base + at, sizeof *out);
    }
}

INLINE float load_one(const void *base, size_t at, bool bf16) {
    return bf16 ? mq_bf16_to_f32(((const uint16_t *)base)[at]) : ((const float *)base)[at];
}

/* One output row against one kernel row. Positions count elements from the tensors' beginning. */
typedef struct line {
    const void *src, *diff_dst;
    size_t src_at, dst_at; /* column 0 of the two rows */
    size_t channels;
    int stride, pad, width; /* width: columns of src */
    float *sums;            /* [kw][channels] */
} line;

/* Position in src of column x*stride - pad + q; x is such that it exists. */
INLINE size_t src_position(const line *l, int x, int q) {
    return l->src_at + (size_t)(x * l->stride - l->pad + q) * l->channels;
}

/* A vector that began `lane` elements after a pixel's first, into column q's sums. */
INLINE void add_sum(const line *l, int q, size_t lane, const lanes_f32 *sum) {
    float *into = l->sums + (size_t)q * l->channels;
    if (lane + LANES <= l->channels)
        for (size_t i = 0; i < LANES; i++) into[lane + i] += (*sum)[i];
    else
        for (size_t i = 0; i < LANES; i++) into[(lane + i) % l->channels] += (*sum)[i];
}

/* sums[q..q+columns) over output columns [x, end), 16 lanes beginning `lane` elements after each visited
 * position. A visit takes `pixels` output columns (1, or with stride 1 as many as make whole lanes); the rest
 * is left. */
INLINE void add_lanes(const line *l, int q, int columns, int x, int end, int pixels, size_t lane, bool bf16) {
    lanes_f32 sum[COLUMNS];
    const size_t src_step = (size_t)(pixels * l->stride) * l->channels,
                 dst_step = (size_t)pixels * l->channels;
    size_t src_at = src_position(l, x, q) + lane, dst_at = l->dst_at + (size_t)x * l->channels + lane;
    memset(sum, 0, sizeof sum);
    for (; x + pixels <= end; x += pixels, src_at += src_step, dst_at += dst_step) {
        lanes_f32 gradient, value;
        load(&gradient, l->diff_dst, dst_at, bf16);
        for (int k = 0; k < columns; k++) {
            load(&value, l->src, src_at + (size_t)k * l->channels, bf16);
            sum[k] += value * gradient;
        }
    }
    for (int k = 0; k < columns; k++) add_sum(l, q + k, lane, &sum[k]);
}

/* The same with stride 1 for COLUMNS columns and 16 channels: an element of src serves as many outputs, so
 * it is loaded once and stays in a register while the window slides over it. Returns the columns done. */
INLINE int slide(const line *l, int q, int x, int end, size_t lane, bool bf16) {
    lanes_f32 sum[COLUMNS], window[COLUMNS], gradient;
    const int first = x;
    size_t src_at = src_position(l, x, q) + lane, dst_at = l->dst_at + (size_t)x * l->channels + lane;
    if (x + COLUMNS > end) return 0;
    memset(sum, 0, sizeof sum);
    for (int k = 0; k + 1 < COLUMNS; k++, src_at += l->channels) load(&window[k], l->src, src_at, bf16);
    for (; x + COLUMNS <= end; x += COLUMNS) {
#pragma GCC unroll 5
        for (int u = 0; u < COLUMNS; u++, src_at += l->channels, dst_at += l->channels) {
            load(&window[(u + COLUMNS - 1) % COLUMNS], l->src, src_at, bf16);
            load(&gradient, l->diff_dst, dst_at, bf16);
#pragma GCC unroll 5
            for (int k = 0; k < COLUMNS; k++) sum[k] += window[(u + k) % COLUMNS] * gradient;
        }
    }
    for (int k = 0; k < COLUMNS; k++) add_sum(l, q + k, lane, &sum[k]);
    return x - first;
}

/* The same for channels [channel, channels), one number at a time. */
INLINE void add_ones(const line *l, int q, int columns, int x, int end, size_t channel, bool bf16) {
    for (; x < end; x++)
        for (int k = 0; k < columns; k++) {
            const size_t src_at = src_position(l, x, q + k), dst_at = l->dst_at + (size_t)x * l->channels;
            for (size_t c = channel; c < l->channels; c++)
                l->sums[(size_t)(q + k) * l->channels + c] +=
                    load_one(l->src, src_at + c, bf16) * load_one(l->diff_dst, dst_at + c, bf16);
        }
}

INLINE void add_columns(const line *l, int q, int columns, int x, int end, bool bf16) {
    if (x >= end) return;
    if (l->channels >= LANES) {
        const size_t whole = l->channels / LANES * LANES;
        for (size_t c = 0; c < whole; c += LANES) {
            const int done = columns == COLUMNS && l->stride == 1 ? slide(l, q, x, end, c, bf16) : 0;
            add_lanes(l, q, columns, x + done, end, 1, c, bf16);
        }
        add_ones(l, q, columns, x, end, whole, bf16);
    } else if (l->stride == 1) {
        /* LANES pixels are `channels` whole vectors. */
        for (size_t v = 0; v < l->channels; v++) add_lanes(l, q, columns, x, end, LANES, v * LANES, bf16);
        add_ones(l, q, columns, x + (end - x) / LANES * LANES, end, 0, bf16);
    } else {
        add_ones(l, q, columns, x, end, 0, bf16);
    }
}

/* Output columns [*begin, *end) whose column q of the kernel lies inside src. */
INLINE void valid_range(const line *l, int out, int q, int *begin, int *end) {
    const int first = l->pad - q, last = l->width - 1 + l->pad - q; /* of x*stride */
    *begin = first <= 0 ? 0 : (first + l->stride - 1) / l->stride;
    *end = last < 0 ? 0 : last / l->stride + 1;
    if (*begin > out) *begin = out;
    if (*end > out) *end = out;
    if (*end < *begin) *end = *begin;
}

/* COLUMNS kernel columns at once where all of them lie inside, one at a time at the edges and for what is
 * left. */
INLINE void add_line(const line *l, int out, int kw, bool bf16) {
    int q = 0;
    for (; q + COLUMNS <= kw; q += COLUMNS) {
        int begin, end, unused;
        valid_range(l, out, q, &begin, &unused);
        valid_range(l, out, q + COLUMNS - 1, &unused, &end);
        if (end < begin) end = begin;
        add_columns(l, q, COLUMNS, begin, end, bf16);
        for (int k = q; k < q + COLUMNS; k++) {
            int one_begin, one_end;
            valid_range(l, out, k, &one_begin, &one_end);
            add_ones(l, k, 1, one_begin, begin < one_end ? begin : one_end, 0, bf16);
            add_ones(l, k, 1, end > one_begin ? end : one_begin, one_end, 0, bf16);
        }
    }
    for (; q < kw; q++) {
        int begin, end;
        valid_range(l, out, q, &begin, &end);
        add_columns(l, q, 1, begin, end, bf16);
    }
}

INLINE void add_band(const job *j, size_t task, bool bf16) {
    const mq_dnn_conv_spec *s = j->spec;
    const size_t channels = (size_t)s->ic, kernel_row = (size_t)s->kw * channels;
    const size_t end = (task + 1) * j->grain < j->rows ? (task + 1) * j->grain : j->rows;
    float *sums = j->partial + task * (size_t)s->kh * kernel_row;
    memset(sums, 0, (size_t)s->kh * kernel_row * sizeof *sums);
    for (size_t row = task * j->grain; row < end; row++) {
        const int y = (int)(row % (size_t)s->oh);
        for (int r = 0; r < s->kh; r++) {
            const int iy = y * s->stride - s->pad_h + r;
            if (iy < 0 || iy >= s->ih) continue;
            const size_t src_row = row / (size_t)s->oh * (size_t)s->ih + (size_t)iy;
            const line l = {.src = j->src,
                            .diff_dst = j->diff_dst,
                            .src_at = src_row * (size_t)s->iw * channels,
                            .dst_at = row * (size_t)s->ow * channels,
                            .channels = channels,
                            .stride = s->stride,
                            .pad = s->pad_w,
                            .width = s->iw,
                            .sums = sums + (size_t)r * kernel_row};
            add_line(&l, s->ow, s->kw, bf16);
        }
    }
}

MQ_CLONES static void add_band_f32(const job *j, size_t task) {
    add_band(j, task, false);
}

MQ_CLONES static void add_band_bf16(const job *j, size_t task) {
    add_band(j, task, true);
}

static void run_band(void *context, size_t task) {
    const job *j = context;
    if (j->spec->compute == MQ_BF16)
        add_band_bf16(j, task);
    else
        add_band_f32(j, task);
}

/* The tasks' sums in task order, one kernel position after the other, into OIHW. */
static void gather(void *context, size_t tap) {
    const job *j = context;
    const size_t channels = (size_t)j->spec->ic, taps = (size_t)j->spec->kh * (size_t)j->spec->kw;
    for (size_t c = 0; c < channels; c++) {
        float sum = 0;
        for (size_t t = 0; t < j->tasks; t++) sum += j->partial[(t * taps + tap) * channels + c];
        j->dw[c * taps + tap] = sum;
    }
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    const mq_dnn_conv_spec *s = &own->spec;
    job j = {.spec = s, .src = src, .diff_dst = dst, .partial = own->dnn->scratch, .dw = dw};
    j.rows = (size_t)s->n * (size_t)s->oh;
    j.grain = row_grain(s);
    j.tasks = mq_task_count(j.rows, j.grain);
    mq_parallel(j.tasks, run_band, &j);
    mq_parallel((size_t)s->kh * (size_t)s->kw, gather, &j);
}

const mq_dnn_own_kind mq_dnn_depthwise_wide = {
    "own:depthwise", sizeof(mq_dnn_own), wanted, create, NULL, NULL, run, false, NULL};
