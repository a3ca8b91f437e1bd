/* test_dnn_conv.c - every pass of a convolution against the definition, and the rules of its use. */
#include "helper_conv.h"

#include <stdio.h>
#include <string.h>

enum { CASES = 46 };

static int make_cases(mq_dnn_conv_spec out[CASES]) {
    int n = 0;
    out[n] = spec_of(2, 16, 16, 3, 64, 3, 1, 1, 1); /* a first layer */
    out[n++].backward_data = false;
    out[n++] = spec_of(3, 8, 8, 64, 64, 3, 1, 1, 1);
    out[n++] = spec_of(8, 8, 8, 32, 48, 3, 1, 1, 1); /* by Winograd's algorithm */
    out[n++] = spec_of(2, 19, 18, 16, 32, 3, 1, 1, 1);
    out[n++] = spec_of(3, 18, 14, 48, 32, 3, 1, 0, 1);
    out[n++] = spec_of(1, 7, 9, 5, 7, 3, 1, 1, 1);
    out[n++] = spec_of(1, 1, 1, 1, 1, 1, 1, 0, 1);
    out[n++] = spec_of(4, 13, 11, 17, 33, 3, 2, 1, 1);
    out[n++] = spec_of(2, 15, 15, 6, 10, 5, 2, 2, 1);
    out[n++] = spec_of(2, 14, 14, 6, 16, 5, 1, 0, 1); /* LeNet's second */
    out[n++] = spec_of(2, 32, 32, 3, 6, 5, 1, 0, 1);
    out[n++] = spec_of(2, 7, 33, 4, 10, 3, 1, 1, 1); /* few channels in: our own source gradient */
    out[n++] = spec_of(3, 6, 21, 2, 8, 7, 1, 3, 1);
    out[n++] = spec_of(3, 5, 6, 19, 36, 1, 1, 0, 1);
    out[n++] = spec_of(2, 10, 20, 64, 36, 1, 1, 0, 1); /* a detector's head */
    out[n++] = spec_of(2, 9, 9, 20, 24, 1, 2, 0, 1);
    out[n++] = spec_of(2, 9, 8, 8, 12, 2, 2, 0, 1); /* the last row is left over */
    out[n++] = spec_of(2, 7, 8, 8, 12, 3, 1, 1, 2);
    out[n++] = spec_of(2, 8, 8, 64, 64, 3, 1, 1, 4);
    out[n++] = spec_of(1, 6, 5, 9, 6, 3, 2, 1, 3);
    out[n++] = spec_of(2, 10, 12, 48, 48, 3, 1, 1, 48); /* depthwise */
    out[n++] = spec_of(2, 9, 7, 3, 3, 3, 1, 1, 3);
    out[n++] = spec_of(2, 11, 9, 33, 33, 5, 1, 2, 33);
    out[n++] = spec_of(1, 12, 13, 96, 96, 5, 1, 2, 96);
    out[n++] = spec_of(3, 15, 14, 32, 32, 3, 2, 1, 32);
    out[n++] = spec_of(2, 9, 37, 3, 3, 5, 1, 2, 3);   /* wide depthwise kernels: our own gradient */
    out[n++] = spec_of(2, 5, 3, 18, 18, 5, 1, 2, 18); /* no column has the whole kernel inside */
    out[n++] = spec_of(3, 12, 40, 5, 5, 7, 1, 3, 5);
    out[n++] = spec_of(2, 11, 14, 7, 7, 5, 2, 2, 7);
    out[n++] = spec_of(70, 6, 9, 35, 35, 5, 2, 2, 35); /* more rows than tasks */
    out[n++] = spec_of(1, 8, 20, 17, 17, 4, 1, 0, 17);
    out[n++] = spec_of(2, 9, 9, 20, 20, 9, 1, 0, 20); /* one output position */
    out[n++] = spec_of(3, 4, 4, 256, 10, 4, 1, 0, 1); /* linear: the kernel is the input */
    out[n++] = spec_of(8, 1, 1, 120, 84, 1, 1, 0, 1);
    out[n++] = spec_of(1, 5, 5, 3, 7, 5, 1, 0, 1);
    out[n++] = spec_of(5, 3, 3, 8, 8, 3, 1, 0, 4);   /* the same, but grouped */
    out[n++] = spec_of(1, 3, 10, 3, 3, 1, 1, 0, 1);  /* 30 positions, odd channels: the bfloat16 1x1 kernel */
    out[n++] = spec_of(2, 6, 5, 46, 17, 1, 1, 0, 1); /* of oneDNN 2.6 is wrong in backward data */
    out[n++] = spec_of(3, 32, 32, 4, 8, 1, 2, 0, 1); /* and in backward weights writes past its copies */
    out[n++] = spec_of(1, 14, 18, 9, 5, 1, 2, 0, 1);
    out[n++] =
        spec_of(2, 12, 1, 1, 20, 1, 2, 0, 1);     /* one column, of which a stride of 2 would read a third */
    out[n] = spec_of(2, 8, 9, 6, 11, 3, 1, 1, 1); /* a kernel of 3 rows and 1 column */
    out[n].kw = 1;
    out[n].pad_w = 0;
    n++;
    out[n] = spec_of(2, 8, 8, 6, 11, 3, 2, 0, 1); /* padded at the bottom and right only */
    out[n].oh = out[n].ow = 4;
    n++;
    assert_true(n <= CASES);
    return n;
}

static void check_all(mq_dtype compute, mq_dtype diff_src, enum kind kind, bool codes) {
    mq_dnn_conv_spec cases[CASES];
    const int count = make_cases(cases);
    for (int threads = 1; threads <= 3; threads++) { /* 3: uneven shares */
        mq_threads_set(threads);
        mq_dnn *dnn = open_dnn();
        for (int i = 0; i < count; i++) {
            cases[i].codes = codes;
            cases[i].whole = kind == INTEGERS;
            cases[i].rounded = compute == MQ_BF16 && kind == REALS && diff_src == MQ_BF16;
            check(dnn, cases[i], compute, diff_src, kind);
        }
        mq_dnn_destroy(dnn);
    }
    mq_threads_set(0);
}

static void test_float32(void **state) {
    (void)state;
    check_all(MQ_F32, MQ_F32, REALS, false);
}

static void test_float32_integers(void **state) {
    (void)state;
    check_all(MQ_F32, MQ_F32, INTEGERS, false);
}

static void need_bf16(void) {
    if (mq_dnn_has_bf16()) return;
    print_message("no native bfloat16 on this CPU\n");
    skip();
}

static void test_bfloat16(void **state) {
    (void)state;
    need_bf16();
    check_all(MQ_BF16, MQ_F32, REALS, false);
}

/* And an output rounded as well. */
static void test_bfloat16_gradient(void **state) {
    (void)state;
    need_bf16();
    check_all(MQ_BF16, MQ_BF16, REALS, false);
}

static void test_bfloat16_integers(void **state) {
    (void)state;
    need_bf16();
    check_all(MQ_BF16, MQ_F32, INTEGERS, false);
}

static void need_codes(void) {
    if (mq_dnn_has_codes()) return;
    print_message("no VNNI on this CPU\n");
    skip();
}

static void test_codes(void **state) {
    (void)state;
    need_codes();
    check_all(MQ_F32, MQ_F32, INTEGERS, true);
    if (mq_dnn_has_bf16()) check_all(MQ_BF16, MQ_F32, INTEGERS, true);
}

/* Every pair of bytes at its most extreme, far above 2^24: products of bytes that saturate at 16 bits, or
 * sums in float32, would show. */
static void test_extreme_bytes(void **state) {
    (void)state;
    need_codes();
    mq_error error = {0};
    mq_dnn *dnn = open_dnn();
    const mq_dnn_conv_spec specs[] = {
        spec_of(2, 6, 6, 320, 24, 3, 1, 0, 1), spec_of(2, 4, 4, 80, 10, 4, 1, 0, 1),
        spec_of(2, 6, 6, 640, 17, 1, 1, 0, 1), spec_of(1, 9, 9, 40, 40, 5, 1, 0, 40)};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        for (int odd = 0; odd < 2; odd++) {
            mq_dnn_conv *conv = NULL;
            mq_dnn_conv_spec s = specs[i];
            s.compute = s.diff_src = MQ_F32;
            s.codes = true;
            s.backward_data = s.backward_weights = false;
            tensors t = make_tensors(&s, INTEGERS);
            memset(t.codes_in, 255, t.src_count);
            for (size_t k = 0; k < t.w_count; k++) t.w_in[k] = odd && k % 2 ? 127.0f : -128.0f;
            ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
            run_passes(conv, &t);
            const size_t terms = t.w_count / (size_t)s.oc;
            for (size_t k = 0; k < t.dst_count; k++) {
                int64_t sum = 0;
                for (size_t j = 0; j < terms; j++) sum += 255 * (int64_t)t.w_in[k % (size_t)s.oc * terms + j];
                assert_true(t.dst_out[k] == (float)sum);
            }
            free_tensors(&t);
            mq_dnn_conv_destroy(conv);
        }
    mq_dnn_destroy(dnn);
}

/* The extreme codes everywhere, as many of them as 2^24 allows: 255 * -128 * 512 = -16711680. */
static void test_extreme_codes(void **state) {
    (void)state;
    need_bf16();
    mq_error error = {0};
    mq_dnn *dnn = open_dnn();
    mq_dnn_conv *conv = NULL;
    mq_dnn_conv_spec s = spec_of(1, 4, 4, 512, 16, 1, 1, 0, 1);
    s.compute = MQ_BF16;
    tensors t = make_tensors(&s, INTEGERS);
    for (size_t i = 0; i < t.src_count; i++) ((uint16_t *)t.src_in)[i] = mq_f32_to_bf16(255.0f);
    for (size_t i = 0; i < t.w_count; i++) t.w_in[i] = -128.0f;
    s.backward_data = s.backward_weights = false;
    s.diff_src = MQ_F32;
    ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
    run_passes(conv, &t);
    for (size_t i = 0; i < t.dst_count; i++) assert_true(t.dst_out[i] == -16711680.0f);
    free_tensors(&t);
    mq_dnn_conv_destroy(conv);
    mq_dnn_destroy(dnn);
}

/* Convolutions of one context share scratch: a small one must survive that a larger one made it grow, and
 * both must work in turns, with changing weights, giving the same bits every time. */
static void test_shared_scratch(void **state) {
    (void)state;
    mq_error error = {0};
    mq_dnn *dnn = open_dnn();
    mq_dnn_conv_spec specs[2] = {spec_of(1, 5, 5, 4, 4, 3, 1, 1, 1), spec_of(4, 16, 16, 32, 80, 3, 1, 1, 1)};
    mq_dnn_conv *convs[2] = {NULL, NULL};
    tensors t[2];
    for (int i = 0; i < 2; i++) {
        specs[i].compute = specs[i].diff_src = MQ_F32;
        t[i] = make_tensors(&specs[i], REALS);
        oracle(&specs[i], &t[i]);
        const size_t before = mq_dnn_scratch_bytes(dnn);
        ok(mq_dnn_conv_create(dnn, &specs[i], &convs[i], &error), &error);
        assert_true(mq_dnn_scratch_bytes(dnn) > before);
        run_passes(convs[i], &t[i]);
        compare_passes(convs[i], REALS, &t[i]);
    }
    const size_t grown = mq_dnn_scratch_bytes(dnn);
    for (int i = 0; i < 2; i++) {
        float *first = get(t[i].w_count, sizeof(float)), *zero = get(t[i].w_count, sizeof(float));
        memcpy(first, t[i].dw_out, t[i].w_count * sizeof(float));
        ok(mq_dnn_conv_set_weights(convs[i], zero, &error), &error);
        ok(mq_dnn_conv_forward(convs[i], t[i].src_in, t[i].dst_out, &error), &error);
        for (size_t k = 0; k < t[i].dst_count; k++) assert_true(t[i].dst_out[k] == 0);
        run_passes(convs[i], &t[i]);
        compare_passes(convs[i], REALS, &t[i]);
        assert_memory_equal(first, t[i].dw_out, t[i].w_count * sizeof(float));
        mq_free(first);
        mq_free(zero);
    }
    assert_int_equal(mq_dnn_scratch_bytes(dnn), grown);
    for (int i = 0; i < 2; i++) {
        mq_dnn_conv_destroy(convs[i]);
        free_tensors(&t[i]);
    }
    mq_dnn_destroy(dnn);
}

/* Our own gradient adds up tasks that the shape alone decides: the same bits with any number of threads. */
static void test_own_gradient_threads(void **state) {
    (void)state;
    mq_error error = {0};
    mq_dnn_conv_spec s = spec_of(3, 30, 21, 19, 19, 5, 1, 2, 19);
    s.compute = s.diff_src = MQ_F32;
    tensors t = make_tensors(&s, REALS);
    float *first = get(t.w_count, sizeof(float));
    for (int threads = 1; threads <= 3; threads++) {
        mq_threads_set(threads);
        mq_dnn *dnn = open_dnn();
        mq_dnn_conv *conv = NULL;
        ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
        assert_non_null(strstr(mq_dnn_conv_implementation(conv), "own:depthwise"));
        ok(mq_dnn_conv_backward_weights(conv, t.src_in, t.diff_dst_in, t.dw_out, &error), &error);
        if (threads == 1) memcpy(first, t.dw_out, t.w_count * sizeof(float));
        assert_memory_equal(first, t.dw_out, t.w_count * sizeof(float));
        mq_dnn_conv_destroy(conv);
        mq_dnn_destroy(dnn);
    }
    mq_threads_set(0);
    mq_free(first);
    free_tensors(&t);
}

static void test_bad_specs(void **state) {
    (void)state;
    mq_dnn_conv_spec good = spec_of(2, 8, 8, 12, 18, 3, 1, 1, 1);
    good.compute = good.diff_src = MQ_F32;
    enum { BAD = 13 };
    mq_dnn_conv_spec bad[BAD];
    static const char *const words[BAD] = {"batch",    "channels", "groups",  "groups",  "stride",
                                           "heights",  "widths",   "heights", "heights", "widths",
                                           "bfloat16", "gradient", "rounded"};
    for (int i = 0; i < BAD; i++) bad[i] = good;
    bad[0].n = 0;
    bad[1].ic = -1;
    bad[2].groups = 4;
    bad[3].groups = 0;
    bad[4].stride = 0;
    bad[5].oh = 6; /* 7 would be right without padding at the bottom */
    bad[6].ow = 11;
    bad[7].pad_h = 3;
    bad[8].kh = 0;
    bad[9].pad_w = -1;
    bad[10].compute = MQ_I8;
    bad[11].diff_src = MQ_BF16;
    bad[12].rounded = true;
    mq_dnn *dnn = open_dnn();
    for (int i = 0; i < BAD; i++) {
        mq_error error = {0};
        mq_dnn_conv *conv = NULL;
        assert_int_equal(mq_dnn_conv_create(dnn, &bad[i], &conv, &error), MQ_INTERNAL);
        assert_null(conv);
        if (!strstr(error.text, words[i])) fail_msg("no \"%s\" in: %s", words[i], error.text);
    }
    mq_dnn_destroy(dnn);
}

static void test_misuse(void **state) {
    (void)state;
    mq_error error = {0};
    mq_dnn *dnn = open_dnn();
    mq_dnn_conv *conv = NULL;
    mq_dnn_conv_spec s = spec_of(1, 4, 4, 3, 5, 3, 1, 1, 1);
    s.compute = s.diff_src = MQ_F32;
    s.backward_data = s.backward_weights = false;
    mq_threads_set(1);
    ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
    tensors t = make_tensors(&s, REALS);
    ok(mq_dnn_conv_set_weights(conv, t.w_in, &error), &error);
    assert_int_equal(mq_dnn_conv_backward_data(conv, t.diff_dst_in, t.diff_src_out, &error), MQ_INTERNAL);
    assert_non_null(strstr(error.text, "backward data"));
    assert_int_equal(mq_dnn_conv_backward_weights(conv, t.src_in, t.diff_dst_in, t.dw_out, &error),
                     MQ_INTERNAL);
    assert_non_null(strstr(error.text, "backward weights"));
    mq_threads_set(2);
    assert_int_equal(mq_dnn_conv_forward(conv, t.src_in, t.dst_out, &error), MQ_INTERNAL);
    assert_non_null(strstr(error.text, "made for 1 threads, got 2"));
    mq_threads_set(1);
    ok(mq_dnn_conv_forward(conv, t.src_in, t.dst_out, &error), &error);
    mq_threads_set(0);
    free_tensors(&t);
    mq_dnn_conv_destroy(conv);
    mq_dnn_destroy(dnn);
}

/* Layers of the sizes that training has must get compiled kernels, not the reference code. */
static void test_no_reference_code(void **state) {
    (void)state;
    if (!strstr(mq_dnn_isa(), "avx512")) {
        print_message("only checked with AVX-512\n");
        skip();
    }
    mq_error error = {0};
    mq_dnn *dnn = open_dnn();
    mq_dnn_conv_spec layers[] = {
        spec_of(32, 32, 32, 3, 64, 3, 1, 1, 1),   spec_of(32, 16, 16, 128, 128, 3, 1, 1, 1),
        spec_of(4, 160, 320, 3, 16, 3, 1, 1, 1),  spec_of(4, 10, 20, 320, 64, 3, 1, 1, 1),
        spec_of(4, 10, 20, 64, 36, 1, 1, 0, 1),   spec_of(4, 40, 80, 96, 96, 3, 1, 1, 96),
        spec_of(4, 40, 80, 96, 96, 5, 1, 2, 96),  spec_of(4, 160, 320, 3, 3, 3, 1, 1, 3),
        spec_of(4, 20, 40, 384, 512, 1, 1, 0, 1), spec_of(32, 4, 4, 256, 10, 4, 1, 0, 1),
        spec_of(4, 160, 320, 3, 48, 1, 1, 0, 1),  spec_of(32, 32, 32, 3, 6, 5, 1, 0, 1),
    };
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        for (int bf16 = 0; bf16 <= (int)mq_dnn_has_bf16(); bf16++) {
            mq_dnn_conv *conv = NULL;
            layers[i].compute = bf16 ? MQ_BF16 : MQ_F32;
            layers[i].diff_src = MQ_F32;
            layers[i].codes = mq_dnn_has_codes() && !bf16;
            ok(mq_dnn_conv_create(dnn, &layers[i], &conv, &error), &error);
            if (strstr(mq_dnn_conv_implementation(conv), "ref"))
                fail_msg("layer %zu %s: %s", i, mq_dtype_name(layers[i].compute),
                         mq_dnn_conv_implementation(conv));
            mq_dnn_conv_destroy(conv);
        }
    mq_dnn_destroy(dnn);
}

static void test_time(void **state) {
    (void)state;
    mq_error error = {0};
    mq_dnn_conv_spec specs[2] = {spec_of(2, 8, 8, 3, 16, 3, 1, 1, 1), spec_of(2, 8, 8, 16, 16, 3, 1, 1, 1)};
    mq_dnn_time times[2];
    for (int i = 0; i < 2; i++) specs[i].compute = specs[i].diff_src = MQ_F32;
    specs[0].backward_data = false;
    ok(mq_dnn_conv_time(specs, 2, 5, 2, times, &error), &error);
    for (int i = 0; i < 2; i++) {
        assert_true(times[i].forward > 0 && times[i].forward < 10);
        assert_true(times[i].backward_weights > 0 && times[i].backward_weights < 10);
    }
    assert_true(times[0].backward_data == 0 && times[1].backward_data > 0);
    assert_int_equal(mq_dnn_conv_time(specs, 0, 2, 2, times, &error), MQ_INTERNAL);
    assert_int_equal(mq_dnn_conv_time(specs, 2, 2, 0, times, &error), MQ_INTERNAL);
    assert_int_equal(mq_dnn_conv_time(specs, 2, 0, 2, times, &error), MQ_INTERNAL);
    specs[1].groups = 3;
    assert_int_equal(mq_dnn_conv_time(specs, 2, 2, 2, times, &error), MQ_INTERNAL);
}

static void test_out_dim(void **state) {
    (void)state;
    assert_int_equal(mq_dnn_out_dim(32, 3, 1, 1), 32);
    assert_int_equal(mq_dnn_out_dim(32, 3, 2, 1), 16);
    assert_int_equal(mq_dnn_out_dim(9, 2, 2, 0), 4);
    assert_int_equal(mq_dnn_out_dim(2, 5, 1, 0), 0);
    assert_int_equal(mq_dnn_out_dim(5, 5, 3, 0), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float32),
        cmocka_unit_test(test_float32_integers),
        cmocka_unit_test(test_bfloat16),
        cmocka_unit_test(test_bfloat16_gradient),
        cmocka_unit_test(test_bfloat16_integers),
        cmocka_unit_test(test_extreme_codes),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_extreme_bytes),
        cmocka_unit_test(test_shared_scratch),
        cmocka_unit_test(test_own_gradient_threads),
        cmocka_unit_test(test_bad_specs),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_no_reference_code),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_out_dim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
