/* dnn_narrow.c - the source gradient of convolutions of few channels in, as a network's first layer is: a
 * search wants it for the image's branches.
 *
 * oneDNN fills vectors of 16 channels, of which three are wanted. Here the lanes of a vector are a kernel
 * row's columns and channels, kw*ic of them: 9 of 16. What output position x' gives to the source's row y is
 *   t[q][i] = sum over r, o of diff_dst[y + pad_h - r][x'][o] * w[o][i][r][q],
 * and diff_src[y][x][i] is the sum of t[q][i] of x' = x + pad_w - q: a register to which the positions' t are
 * added in turn gives off ic lanes after each and moves down by as many. A task is a row of the source, so
 * the result does not depend on the thread count. Rows of bfloat16 are multiplied in pairs, or widened first
 * where that is faster (mq_dnn_slow_dots). */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/dnn_own.h"
#include "dnn/product.h"

enum {
    LANES = MQ_PRODUCT_LANES,
    LEAST = 8 /* lanes in use */,
    MOST_CHANNELS = 4,
    POSITIONS = 8 /* at once */
};

typedef struct narrow {
    mq_dnn_own own;
    /* [kh][oc][LANES] float32, or [kh][oc/2][LANES][2] bfloat16: two channels out side by side */
    void *weights;
    bool pairs;     /* products are of pairs of bfloat16 */
    size_t widened; /* bytes of a worker's rows of diff_dst as float32; 0: as they are */
} narrow;

static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    const int lanes = s->kw * s->ic;
    return direction == MQ_DNN_BACKWARD_DATA && s->groups == 1 && s->stride == 1 && s->ic <= MOST_CHANNELS &&
           lanes >= LEAST && lanes <= LANES && s->diff_src == MQ_F32 && s->oc % 2 == 0 &&
           mq_product_supported(s->compute == MQ_BF16);
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    narrow *n = (narrow *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    n->pairs = s->compute == MQ_BF16 && !mq_dnn_slow_dots();
    if (s->compute == MQ_BF16 && !n->pairs)
        n->widened = mq_dnn_lines((size_t)s->kh * (size_t)s->ow * (size_t)s->oc * sizeof(float));
    MQ_TRY(mq_dnn_reserve(own->dnn, (size_t)mq_threads() * n->widened, error));
    return mq_alloc((size_t)s->kh * (size_t)s->oc * LANES, sizeof(float), "convolution weights", &n->weights,
                    error);
}

static void release(mq_dnn_own *own) {
    mq_free(((narrow *)own)->weights);
}

static void set_weights(mq_dnn_own *own, const float *w) {
    const narrow *n = (narrow *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    const size_t ic = (size_t)s->ic, kh = (size_t)s->kh, kw = (size_t)s->kw, oc = (size_t)s->oc;
    for (size_t r = 0; r < kh; r++)
        for (size_t o = 0; o < oc; o++)
            for (size_t q = 0; q < kw; q++)
                for (size_t i = 0; i < ic; i++) {
                    const float v = w[((o * ic + i) * kh + r) * kw + q];
                    const size_t lane = q * ic + i;
                    if (n->pairs)
                        ((uint16_t *)n->weights)[((r * oc + o / 2 * 2) * LANES) + 2 * lane + o % 2] =
                            mq_f32_to_bf16(v);
                    else
                        ((float *)n->weights)[(r * oc + o) * LANES + lane] = v;
                }
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bf16")))
#define INLINE static inline __attribute__((always_inline)) AVX512

/* A row of the source: what meets it. */
typedef struct row {
    const mq_dnn_conv_spec *spec;
    const char *diff_dst; /* its image's, from row `top` on */
    int top;
    const char *weights;
    float *out;        /* [iw][ic] */
    int y, first, end; /* kernel rows [first, end) whose output row exists */
} row;

/* t += a pair of channels, or one, times its weights. */
INLINE __m512 multiply(__m512 t, __m512 w, const char *at, bool bf16) {
    if (bf16) {
        int pair;
        memcpy(&pair, at, sizeof pair);
        return _mm512_dpbf16_ps(t, (__m512bh)w, (__m512bh)_mm512_set1_epi32(pair));
    }
    float one;
    memcpy(&one, at, sizeof one);
    return _mm512_fmadd_ps(w, _mm512_set1_ps(one), t);
}

/* t of `count` positions from x on. */
INLINE void terms(const row *l, int x, int count, bool bf16, __m512 *t) {
    const mq_dnn_conv_spec *s = l->spec;
    const size_t step = bf16 ? 2 : 1, oc = (size_t)s->oc, pixel = oc * (bf16 ? 2 : 4);
    for (int k = 0; k < count; k++) t[k] = _mm512_setzero_ps();
    for (int r = l->first; r < l->end; r++) {
        const size_t dst_row = (size_t)(l->y + s->pad_h - r - l->top) * (size_t)s->ow + (size_t)x;
        const char *from = l->diff_dst + dst_row * pixel, *w = l->weights + (size_t)r * pixel * LANES;
        for (size_t o = 0; o < oc; o += step, from += 4, w += sizeof(__m512)) {
            const __m512 weights = _mm512_loadu_ps(w);
#pragma GCC unroll 8
            for (int k = 0; k < count; k++) t[k] = multiply(t[k], weights, from + (size_t)k * pixel, bf16);
        }
    }
}

/* The lanes that are complete, of the source's column. Four are stored where the next column's come behind.
 */
INLINE void give(const row *l, int column, __m512 sum) {
    const mq_dnn_conv_spec *s = l->spec;
    float *to = l->out + (ptrdiff_t)column * s->ic;
    if (column < 0 || column >= s->iw) return;
    if ((column + 1) * s->ic + MOST_CHANNELS <= s->iw * s->ic)
        _mm_storeu_ps(to, _mm512_castps512_ps128(sum));
    else
        _mm_mask_storeu_ps(to, (__mmask8)((1 << s->ic) - 1), _mm512_castps512_ps128(sum));
}

INLINE void whole_row(const row *l, bool bf16) {
    static const int count[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const mq_dnn_conv_spec *s = l->spec;
    const __m512i down = _mm512_add_epi32(_mm512_loadu_si512(count), _mm512_set1_epi32(s->ic));
    const __mmask16 stay = (__mmask16)(0xffff >> s->ic);
    __m512 sum = _mm512_setzero_ps(), t[POSITIONS];
    int x = 0;
    for (int many; x < s->ow; x += many) {
        many = s->ow - x >= POSITIONS ? POSITIONS : 1;
        if (many == POSITIONS)
            terms(l, x, POSITIONS, bf16, t);
        else
            terms(l, x, 1, bf16, t);
        for (int k = 0; k < many; k++) {
            sum = _mm512_add_ps(sum, t[k]);
            give(l, x + k - s->pad_w, sum);
            sum = _mm512_maskz_permutexvar_ps(stay, down, sum);
        }
    }
    for (; x - s->pad_w < s->iw; x++) {
        give(l, x - s->pad_w, sum);
        sum = _mm512_maskz_permutexvar_ps(stay, down, sum);
    }
}

AVX512 static void row_f32(const row *l) {
    whole_row(l, false);
}

AVX512 static void row_bf16(const row *l) {
    whole_row(l, true);
}

typedef struct job {
    const narrow *narrow;
    const char *diff_dst;
    float *diff_src;
} job;

static void run_row(void *context, size_t worker, size_t task) {
    const job *j = context;
    const mq_dnn_conv_spec *s = &j->narrow->own.spec;
    const size_t element = mq_dtype_size(s->compute), width = (size_t)s->ow * (size_t)s->oc;
    row l = {.spec = s,
             .diff_dst = j->diff_dst + task / (size_t)s->ih * (size_t)s->oh * width * element,
             .weights = j->narrow->weights,
             .out = j->diff_src + task * (size_t)s->iw * (size_t)s->ic,
             .y = (int)(task % (size_t)s->ih)};
    l.first = l.y + s->pad_h - (s->oh - 1) > 0 ? l.y + s->pad_h - (s->oh - 1) : 0;
    l.end = l.y + s->pad_h + 1 < s->kh ? l.y + s->pad_h + 1 : s->kh;
    if (j->narrow->widened && l.first < l.end) {
        char *wide = (char *)j->narrow->own.dnn->scratch + worker * j->narrow->widened;
        l.top = l.y + s->pad_h - (l.end - 1);
        mq_product_copy(l.diff_dst + (size_t)l.top * width * element, MQ_BF16, width,
                        (size_t)(l.end - l.first), width, false, (float *)(void *)wide);
        l.diff_dst = wide;
    }
    (j->narrow->pairs ? row_bf16 : row_f32)(&l);
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    job j = {(const narrow *)own, dst, (float *)(uintptr_t)src};
    (void)dw;
    mq_parallel_workers((size_t)own->spec.n * (size_t)own->spec.ih, run_row, &j);
}

#else
static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    (void)own, (void)src, (void)dst, (void)dw;
}
#endif

const mq_dnn_own_kind mq_dnn_narrow = {"own:narrow", sizeof(narrow), wanted, create, release, set_weights,
                                       run,          false,          NULL};
