/* helper_conv.c - the definition of a convolution, summed in float64.
 *
 * The oracle also sums the absolute products: float32 accumulation in any order stays within a small multiple
 * of epsilon times that sum. On small integers nothing is rounded, so there the results must be equal, in
 * both types. */
#include "helper_conv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void *get(size_t count, size_t size) {
    void *memory = NULL;
    assert_int_equal(mq_alloc(count, size, "test", &memory, NULL), MQ_OK);
    return memory;
}

static const char *spec_text(const mq_dnn_conv_spec *s) {
    static char text[160];
    snprintf(text, sizeof text,
             "[%d,%d,%d,%d] to [%d,%d,%d] kernel %dx%d stride %d pad %d,%d groups %d %s, %d threads", s->n,
             s->ih, s->iw, s->ic, s->oh, s->ow, s->oc, s->kh, s->kw, s->stride, s->pad_h, s->pad_w, s->groups,
             s->codes ? "codes" : mq_dtype_name(s->compute), mq_threads());
    return text;
}

/* Not-a-number in both types: every pass overwrites its output, and reads nothing but its inputs. */
enum { FENCE = 4096, NAN_BYTE = 0xff };

static void *fenced(size_t count, size_t size) {
    char *memory = get(count * size + FENCE, 1);
    memset(memory, NAN_BYTE, count * size + FENCE);
    return memory;
}

static void check_fence(const mq_dnn_conv_spec *s, const char *what, const void *memory, size_t bytes) {
    const unsigned char *fence = (const unsigned char *)memory + bytes;
    for (size_t i = 0; i < FENCE; i++)
        if (fence[i] != NAN_BYTE)
            fail_msg("%s of %s: wrote %zu bytes past the end", what, spec_text(s), i + 1);
}

void ok(mq_status status, const mq_error *error) {
    if (status != MQ_OK) fail_msg("%s", error->text);
}

/* Values of the compute type, and the same as float64. Reals lie in [-1, 1), integers in low..low+count-1. */
static void draw(const char *name, enum kind kind, int low, uint32_t count, mq_dtype dtype, size_t n,
                 double *values, void *out) {
    const mq_rng rng = mq_rng_stream(7, name, 0);
    for (size_t i = 0; i < n; i++) {
        float v = kind == REALS ? 2.0f * mq_rng_uniform(&rng, i) - 1.0f
                                : (float)(low + (int)mq_rng_below(&rng, i, count));
        if (dtype == MQ_BF16) {
            ((uint16_t *)out)[i] = mq_f32_to_bf16(v);
            v = mq_bf16_to_f32(((uint16_t *)out)[i]);
        } else {
            ((float *)out)[i] = v;
        }
        values[i] = v;
    }
}

tensors make_tensors(const mq_dnn_conv_spec *s, enum kind kind) {
    tensors t = {0};
    t.src_count = (size_t)s->n * s->ih * s->iw * s->ic;
    t.dst_count = (size_t)s->n * s->oh * s->ow * s->oc;
    t.w_count = (size_t)s->oc * (s->ic / s->groups) * s->kh * s->kw;
    t.src = get(t.src_count, sizeof(double));
    t.diff_src = get(t.src_count, sizeof(double));
    t.diff_src_size = get(t.src_count, sizeof(double));
    t.dst = get(t.dst_count, sizeof(double));
    t.dst_size = get(t.dst_count, sizeof(double));
    t.diff_dst = get(t.dst_count, sizeof(double));
    t.w = get(t.w_count, sizeof(double));
    t.dw = get(t.w_count, sizeof(double));
    t.dw_size = get(t.w_count, sizeof(double));
    t.src_in = fenced(t.src_count, mq_dtype_size(s->compute));
    t.diff_dst_in = fenced(t.dst_count, mq_dtype_size(s->compute));
    t.w_in = fenced(t.w_count, sizeof(float));
    t.dst_out = fenced(t.dst_count, sizeof(float));
    t.dw_out = fenced(t.w_count, sizeof(float));
    t.diff_src_out = fenced(t.src_count, mq_dtype_size(s->diff_src));

    draw("src", kind, 0, 256, s->compute, t.src_count, t.src, t.src_in);
    if (s->codes) {
        t.codes_in = fenced(t.src_count, 1);
        for (size_t i = 0; i < t.src_count; i++) t.codes_in[i] = (uint8_t)t.src[i];
    }
    draw("diff_dst", kind, -8, 16, s->compute, t.dst_count, t.diff_dst, t.diff_dst_in);
    /* Weights go in as float32; oneDNN gets them rounded to the compute type. */
    const bool many = s->ic / s->groups * s->kh * s->kw > 1000; /* fewer bits where the sums are long */
    draw("w", kind, many ? -8 : -128, many ? 16 : 256, MQ_F32, t.w_count, t.w, t.w_in);
    if (s->compute == MQ_BF16)
        for (size_t i = 0; i < t.w_count; i++) {
            t.w[i] = mq_bf16_to_f32(mq_f32_to_bf16(t.w_in[i]));
            if (s->groups == 1 || s->ic % 16 == 0 || s->ic <= 4)
                t.w_in[i] = (float)t.w[i]; /* our own passes do not round them */
        }
    return t;
}

void free_tensors(tensors *t) {
    void *all[] = {t->src,    t->diff_src,    t->diff_src_size, t->dst,    t->dst_size, t->diff_dst,
                   t->w,      t->dw,          t->dw_size,       t->src_in, t->w_in,     t->dst_out,
                   t->dw_out, t->diff_dst_in, t->diff_src_out};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) mq_free(all[i]);
    mq_free(t->codes_in);
}

/* The definition: one visit of every (output position, weight) pair serves all three passes. */
void oracle(const mq_dnn_conv_spec *s, tensors *t) {
    const int icg = s->ic / s->groups, ocg = s->oc / s->groups;
    for (int b = 0; b < s->n; b++)
        for (int y = 0; y < s->oh; y++)
            for (int x = 0; x < s->ow; x++)
                for (int o = 0; o < s->oc; o++)
                    for (int r = 0; r < s->kh; r++)
                        for (int c = 0; c < s->kw; c++) {
                            const int iy = y * s->stride - s->pad_h + r, ix = x * s->stride - s->pad_w + c;
                            if (iy < 0 || iy >= s->ih || ix < 0 || ix >= s->iw) continue;
                            const size_t di = (((size_t)b * s->oh + y) * s->ow + x) * s->oc + o;
                            const size_t si = (((size_t)b * s->ih + iy) * s->iw + ix) * s->ic + o / ocg * icg;
                            for (int i = 0; i < icg; i++) {
                                const size_t wi = (((size_t)o * icg + i) * s->kh + r) * s->kw + c;
                                t->dst[di] += t->src[si + i] * t->w[wi];
                                t->dst_size[di] += fabs(t->src[si + i] * t->w[wi]);
                                t->diff_src[si + i] += t->diff_dst[di] * t->w[wi];
                                t->diff_src_size[si + i] += fabs(t->diff_dst[di] * t->w[wi]);
                                t->dw[wi] += t->src[si + i] * t->diff_dst[di];
                                t->dw_size[wi] += fabs(t->src[si + i] * t->diff_dst[di]);
                            }
                        }
}

static void compare(const mq_dnn_conv_spec *s, const char *what, enum kind kind, const void *got,
                    mq_dtype dtype, const double *want, const double *size, size_t count, bool winograd) {
    for (size_t i = 0; i < count; i++) {
        const double value =
            dtype == MQ_BF16 ? mq_bf16_to_f32(((const uint16_t *)got)[i]) : ((const float *)got)[i];
        double limit = 0;
        if (kind == INTEGERS)
            assert_true(size[i] < 16777216.0); /* else the case itself is wrong: sums would round */
        else
            limit = 2e-6 * size[i] + 1e-30;
        if (winograd) limit = 4e-6 * size[i] + 1e-5;           /* transforms mix neighbours, zeros too */
        if (dtype == MQ_BF16) limit += 0x1p-8 * fabs(want[i]); /* the result is rounded to 8 bits */
        if (!(fabs(value - want[i]) <= limit))
            fail_msg("%s of %s: element %zu: got %.9g, expected %.9g +- %.2g", what, spec_text(s), i, value,
                     want[i], limit);
    }
}

void run_passes(mq_dnn_conv *conv, tensors *t) {
    const mq_dnn_conv_spec *s = mq_dnn_conv_get_spec(conv);
    mq_error error = {0};
    ok(mq_dnn_conv_set_weights(conv, t->w_in, &error), &error);
    ok(mq_dnn_conv_forward(conv, s->codes ? t->codes_in : t->src_in, t->dst_out, &error), &error);
    if (s->backward_data)
        ok(mq_dnn_conv_backward_data(conv, t->diff_dst_in, t->diff_src_out, &error), &error);
    if (s->backward_weights)
        ok(mq_dnn_conv_backward_weights(conv, s->codes ? t->codes_in : t->src_in, t->diff_dst_in, t->dw_out,
                                        &error),
           &error);
}

static bool by_winograd(const mq_dnn_conv *conv, const char *what) {
    const char *at = strstr(mq_dnn_conv_implementation(conv), what), *end = at ? strchr(at, ',') : NULL;
    const char *name = at ? strstr(at, "wino") : NULL;
    return name && (!end || name < end);
}

void compare_passes(const mq_dnn_conv *conv, enum kind kind, const tensors *t) {
    const mq_dnn_conv_spec *s = mq_dnn_conv_get_spec(conv);
    assert_false((s->codes || s->whole) && by_winograd(conv, "forward"));
    const mq_dtype dst = s->rounded ? MQ_BF16 : MQ_F32;
    compare(s, "forward", kind, t->dst_out, dst, t->dst, t->dst_size, t->dst_count,
            by_winograd(conv, "forward"));
    check_fence(s, "forward", t->dst_out, t->dst_count * mq_dtype_size(dst));
    check_fence(s, "backward data", t->diff_src_out, t->src_count * mq_dtype_size(s->diff_src));
    check_fence(s, "backward weights", t->dw_out, t->w_count * sizeof(float));
    if (s->backward_data)
        compare(s, "backward data", kind, t->diff_src_out, s->diff_src, t->diff_src, t->diff_src_size,
                t->src_count, by_winograd(conv, "backward data"));
    if (s->backward_weights)
        compare(s, "backward weights", kind, t->dw_out, MQ_F32, t->dw, t->dw_size, t->w_count,
                by_winograd(conv, "backward weights"));
}

void check(mq_dnn *dnn, mq_dnn_conv_spec s, mq_dtype compute, mq_dtype diff_src, enum kind kind) {
    mq_error error = {0};
    mq_dnn_conv *conv = NULL;
    s.compute = compute;
    s.diff_src = diff_src;
    tensors t = make_tensors(&s, kind);
    oracle(&s, &t);
    ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
    run_passes(conv, &t);
    compare_passes(conv, kind, &t);
    mq_dnn_conv_destroy(conv);
    free_tensors(&t);
}

mq_dnn_conv_spec spec_of(int n, int ih, int iw, int ic, int oc, int k, int stride, int pad, int groups) {
    return (mq_dnn_conv_spec){.n = n,
                              .ih = ih,
                              .iw = iw,
                              .ic = ic,
                              .oh = mq_dnn_out_dim(ih, k, stride, pad),
                              .ow = mq_dnn_out_dim(iw, k, stride, pad),
                              .oc = oc,
                              .kh = k,
                              .kw = k,
                              .stride = stride,
                              .pad_h = pad,
                              .pad_w = pad,
                              .groups = groups,
                              .backward_data = true,
                              .backward_weights = true};
}

mq_dnn *open_dnn(void) {
    mq_error error = {0};
    mq_dnn *dnn = NULL;
    ok(mq_dnn_create(&dnn, &error), &error);
    return dnn;
}

static void check_error(const char *what, const float *got, const double *want, size_t count, double limit) {
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    const double relative = sqrt(error / size);
    if (!(relative < limit))
        fail_msg("%s: root mean square error %.3g of the result, expected below %.3g", what, relative, limit);
}

/* What the passes wrote, one after another. */
static char *kept(const mq_dnn_conv_spec *s, const tensors *t, size_t *bytes) {
    const size_t y = t->dst_count * mq_dtype_size(s->rounded ? MQ_BF16 : MQ_F32);
    const size_t dx = t->src_count * mq_dtype_size(s->diff_src), dw = t->w_count * sizeof(float);
    char *out = get(y + dx + dw, 1);
    memcpy(out, t->dst_out, y);
    memcpy(out + y, t->diff_src_out, dx);
    memcpy(out + y + dx, t->dw_out, dw);
    *bytes = y + dx + dw;
    return out;
}

void check_own(mq_dnn_conv_spec s, const char *implementation, bool expected, double relative) {
    enum { THREADS = 3 };
    mq_error error = {0};
    tensors t = make_tensors(&s, REALS);
    char *first = NULL;
    oracle(&s, &t);
    for (int threads = 1; threads <= THREADS; threads++) {
        mq_threads_set(threads);
        mq_dnn *dnn = open_dnn();
        mq_dnn_conv *conv = NULL;
        ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
        if (expected) assert_string_equal(mq_dnn_conv_implementation(conv), implementation);
        run_passes(conv, &t);
        compare_passes(conv, REALS, &t);
        if (!s.rounded) check_error(spec_text(&s), t.dst_out, t.dst, t.dst_count, relative);
        check_error(spec_text(&s), t.dw_out, t.dw, t.w_count, relative);
        size_t bytes;
        char *now = kept(&s, &t, &bytes);
        if (first && expected) assert_memory_equal(first, now, bytes);
        mq_free(first);
        first = now;
        mq_dnn_conv_destroy(conv);
        mq_dnn_destroy(dnn);
    }
    mq_threads_set(0);
    mq_free(first);
    free_tensors(&t);
}
