/* test_bytes.c - results of int16 and their sums by the products of bytes: equal to the definition's, for
 * every kind of edge, and at the limits of int16. (test_dnn_conv.c has the results of float32.) */
#include "helper_conv.h"

#include <string.h>

enum { CASES = 16, THREADS = 3, CODES = 8, WEIGHTS = 4 };

static void make_cases(mq_dnn_conv_spec out[CASES]) {
    int n = 0;
    out[n++] = spec_of(2, 12, 15, 3, 16, 3, 1, 1, 1);  /* rows of 9 bytes in 3 words */
    out[n++] = spec_of(2, 10, 13, 16, 32, 3, 1, 1, 1); /* 12 positions of two vectors, and 1 */
    out[n++] = spec_of(1, 9, 11, 48, 48, 3, 1, 1, 1);
    out[n++] = spec_of(1, 8, 20, 64, 80, 3, 1, 1, 1); /* panels of 64 channels and of 16 */
    out[n++] = spec_of(3, 9, 12, 20, 64, 3, 2, 1, 1);
    out[n++] = spec_of(2, 11, 9, 8, 16, 5, 1, 0, 1);   /* without padding */
    out[n++] = spec_of(1, 7, 8, 6, 16, 2, 2, 0, 1);    /* the last row is left over */
    out[n++] = spec_of(2, 13, 17, 40, 96, 1, 1, 0, 1); /* pointwise: 442 positions, 96 at once */
    out[n++] = spec_of(2, 6, 7, 3, 48, 1, 1, 0, 1);    /* of channels that fill no word */
    out[n++] = spec_of(1, 9, 9, 16, 16, 1, 2, 0, 1);
    out[n++] = spec_of(40, 5, 4, 4, 16, 3, 1, 1, 1);   /* 200 rows in bands of 4, of several images */
    out[n++] = spec_of(2, 9, 14, 48, 48, 3, 1, 1, 48); /* depthwise: 4 positions at once, and 2 */
    out[n++] = spec_of(1, 8, 7, 16, 16, 3, 1, 0, 16);
    out[n++] = spec_of(2, 9, 11, 32, 32, 5, 1, 2, 32);
    out[n++] = spec_of(7, 12, 6, 16, 16, 5, 1, 1, 16);
    out[n] = spec_of(2, 9, 10, 8, 16, 3, 1, 1, 1); /* padded to the left only, and further down */
    out[n].ow = 9;
    out[n++].oh = 10;
    assert_int_equal(n, CASES);
}

static void fill(tensors *t, unsigned seed) {
    const mq_rng rng = mq_rng_stream(seed, "bytes", 0);
    for (size_t i = 0; i < t->src_count; i++)
        t->src[i] = t->codes_in[i] = (uint8_t)mq_rng_below(&rng, 2 * i, CODES);
    for (size_t i = 0; i < t->w_count; i++)
        t->w[i] = t->w_in[i] = (float)mq_rng_below(&rng, 2 * i + 1, 2 * WEIGHTS + 1) - WEIGHTS;
}

static mq_dnn_conv *make(mq_dnn *dnn, mq_dnn_conv_spec *s, mq_error *error) {
    mq_dnn_conv *conv = NULL;
    s->compute = s->diff_src = MQ_F32;
    s->codes = true;
    s->backward_data = s->backward_weights = false;
    ok(mq_dnn_conv_create(dnn, s, &conv, error), error);
    return conv;
}

/* dst and its sums, which begin at 1. */
static void compare(const mq_dnn_conv_spec *s, const tensors *t, const int16_t *dst, const double *sum,
                    const double *square) {
    const size_t oc = (size_t)s->oc;
    for (size_t c = 0; c < oc; c++) {
        double first = 1, second = 1;
        for (size_t i = c; i < t->dst_count; i += oc) {
            if (t->dst[i] != dst[i]) fail_msg("element %zu: got %d, expected %g", i, dst[i], t->dst[i]);
            first += t->dst[i];
            second += t->dst[i] * t->dst[i];
        }
        assert_true(sum[c] == first);
        assert_true(square[c] == second);
    }
}

static void run_whole(mq_dnn_conv_spec s, const tensors *t) {
    mq_error error = {0};
    const size_t oc = (size_t)s.oc;
    int16_t *dst = get(t->dst_count + 16, sizeof *dst);
    double *sums = get(2 * oc, sizeof *sums);
    for (int threads = 1; threads <= THREADS; threads++) {
        mq_threads_set(threads);
        mq_dnn *dnn = open_dnn();
        mq_dnn_conv *conv = make(dnn, &s, &error);
        assert_true(mq_dnn_conv_has_whole(conv));
        ok(mq_dnn_conv_set_weights(conv, t->w_in, &error), &error);
        memset(dst, 0x55, (t->dst_count + 16) * sizeof *dst);
        ok(mq_dnn_conv_forward_whole(conv, t->codes_in, dst, NULL, NULL, &error), &error);
        for (size_t c = 0; c < 2 * oc; c++) sums[c] = 1;
        ok(mq_dnn_conv_forward_whole(conv, t->codes_in, dst, sums, sums + oc, &error), &error);
        compare(&s, t, dst, sums, sums + oc);
        for (size_t i = 0; i < 16; i++) assert_int_equal(dst[t->dst_count + i], 0x5555);
        mq_dnn_conv_destroy(conv);
        mq_dnn_destroy(dnn);
    }
    mq_threads_set(0);
    mq_free(dst);
    mq_free(sums);
}

static bool possible(void) {
    return mq_dnn_has_codes() && !mq_dnn_has_amx();
}

static void equal(void **state) {
    (void)state;
    if (!possible()) skip();
    mq_dnn_conv_spec cases[CASES];
    make_cases(cases);
    for (int i = 0; i < CASES; i++) {
        cases[i].compute = MQ_F32;
        cases[i].codes = true;
        tensors t = make_tensors(&cases[i], INTEGERS);
        fill(&t, (unsigned)i);
        oracle(&cases[i], &t);
        run_whole(cases[i], &t);
        free_tensors(&t);
    }
}

/* All results 32767 or all -32767: the largest sums that a block has. */
static void limits(void **state) {
    (void)state;
    if (!possible()) skip();
    for (int sign = -1; sign <= 1; sign += 2) {
        mq_dnn_conv_spec s = spec_of(5, 31, 37, 4, 16, 1, 1, 0, 1);
        s.compute = MQ_F32;
        s.codes = true;
        tensors t = make_tensors(&s, INTEGERS);
        for (size_t i = 0; i < t.src_count; i++) /* 255*127 + 191*2 = 32767 */
            t.src[i] = t.codes_in[i] = i % 4 == 0 ? 255 : i % 4 == 1 ? 191 : 0;
        for (size_t i = 0; i < t.w_count; i++)
            t.w[i] = t.w_in[i] = (float)(sign * (i % 4 == 0 ? 127 : i % 4 == 1 ? 2 : 100));
        oracle(&s, &t);
        assert_true(t.dst[0] == sign * 32767.0);
        run_whole(s, &t);
        free_tensors(&t);
    }
}

static void refused(void **state) {
    (void)state;
    mq_error error = {0};
    mq_dnn *dnn = open_dnn();
    mq_dnn_conv *conv = NULL;
    mq_dnn_conv_spec s = spec_of(1, 4, 4, 4, 16, 1, 1, 0, 1);
    int16_t dst[256];
    const uint8_t src[64] = {0};
    s.compute = s.diff_src = MQ_F32;
    ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
    assert_false(mq_dnn_conv_has_whole(conv));
    assert_int_equal(mq_dnn_conv_forward_whole(conv, src, dst, NULL, NULL, &error), MQ_INTERNAL);
    assert_non_null(strstr(error.text, "int16"));
    mq_dnn_conv_destroy(conv);
    mq_dnn_destroy(dnn);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal),
        cmocka_unit_test(limits),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
