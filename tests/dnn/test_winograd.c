/* test_winograd.c - 3x3 convolutions by Winograd's algorithm against the definition: edges of tiles and of
 * panels of channels, blocks of tiles that are not full, every padding; the same bits with any number of
 * threads and of images at once. */
#include "helper_conv.h"

#include <string.h>

enum { CASES = 10 };

static const char OWN[] = "forward own:winograd, backward data own:winograd, backward weights own:winograd";

static void make_cases(mq_dnn_conv_spec out[CASES]) {
    int n = 0;
    out[n++] = spec_of(8, 8, 8, 16, 16, 3, 1, 1, 1);   /* full tiles */
    out[n++] = spec_of(2, 15, 22, 16, 80, 3, 1, 1, 1); /* a panel of 64 channels and one of 16 */
    out[n++] = spec_of(1, 23, 24, 80, 16, 3, 1, 1, 1);
    out[n++] = spec_of(3, 19, 18, 48, 32, 3, 1, 0, 1);   /* without padding */
    out[n++] = spec_of(3, 14, 16, 32, 48, 3, 1, 2, 1);   /* the gradient without */
    out[n++] = spec_of(55, 8, 8, 32, 16, 3, 1, 1, 1);    /* 220 tiles: the gradient's blocks are 110 */
    out[n++] = spec_of(1, 40, 81, 16, 16, 3, 1, 1, 1);   /* 210 tiles, 105 twice */
    out[n++] = spec_of(1, 24, 24, 112, 112, 3, 1, 1, 1); /* 96 rows of the gradient and 16 */
    out[n++] = spec_of(8, 8, 8, 208, 144, 3, 1, 1, 1); /* weights transformed in each pass, 32 channels, 16 */
    out[n] = spec_of(1, 29, 25, 32, 32, 3, 1, 1, 1);   /* padded to the left only, and further down */
    out[n].ow = 24;
    out[n++].oh = 30;
    assert_int_equal(n, CASES);
}

static bool possible(mq_dtype compute) {
    return strstr(mq_dnn_isa(), "avx512") && !mq_dnn_has_amx() && (compute == MQ_F32 || mq_dnn_has_bf16());
}

static void check_all(mq_dtype compute, mq_dtype diff_src) {
    mq_dnn_conv_spec cases[CASES];
    make_cases(cases);
    for (int i = 0; i < CASES; i++) {
        cases[i].compute = compute;
        cases[i].diff_src = diff_src;
        check_own(cases[i], OWN, possible(compute), 4e-6);
    }
}

static void float32(void **state) {
    (void)state;
    check_all(MQ_F32, MQ_F32);
}

static void bfloat16(void **state) {
    (void)state;
    if (!mq_dnn_has_bf16()) {
        print_message("no native bfloat16 on this CPU\n");
        skip();
    }
    check_all(MQ_BF16, MQ_F32);
    check_all(MQ_BF16, MQ_BF16);
}

/* n images forward and of their gradient, `each` at a time. */
static void run_in_parts(mq_dnn_conv_spec s, int each, const tensors *t, float *y, float *dx) {
    mq_error error = {0};
    const size_t parts = (size_t)(s.n / each), src = t->src_count / parts, dst = t->dst_count / parts;
    mq_dnn *dnn = open_dnn();
    mq_dnn_conv *conv = NULL;
    s.n = each;
    ok(mq_dnn_conv_create(dnn, &s, &conv, &error), &error);
    ok(mq_dnn_conv_set_weights(conv, t->w_in, &error), &error);
    for (size_t i = 0; i < parts; i++) {
        ok(mq_dnn_conv_forward(conv, (const float *)t->src_in + i * src, y + i * dst, &error), &error);
        ok(mq_dnn_conv_backward_data(conv, (const float *)t->diff_dst_in + i * dst, dx + i * src, &error),
           &error);
    }
    mq_dnn_conv_destroy(conv);
    mq_dnn_destroy(dnn);
}

/* 208 tiles in blocks of 104, and in four convolutions of 52. */
static void blocks_do_not_matter(void **state) {
    (void)state;
    if (!possible(MQ_F32)) skip();
    mq_dnn_conv_spec s = spec_of(52, 8, 8, 144, 208, 3, 1, 1, 1);
    s.compute = s.diff_src = MQ_F32;
    tensors t = make_tensors(&s, REALS);
    float *y[2], *dx[2];
    for (int k = 0; k < 2; k++) {
        y[k] = get(t.dst_count, sizeof **y);
        dx[k] = get(t.src_count, sizeof **dx);
        run_in_parts(s, k == 0 ? 52 : 13, &t, y[k], dx[k]);
    }
    assert_memory_equal(y[0], y[1], t.dst_count * sizeof **y);
    assert_memory_equal(dx[0], dx[1], t.src_count * sizeof **dx);
    for (int k = 0; k < 2; k++) {
        mq_free(y[k]);
        mq_free(dx[k]);
    }
    free_tensors(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32),
        cmocka_unit_test(bfloat16),
        cmocka_unit_test(blocks_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
