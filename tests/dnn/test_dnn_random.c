/* test_dnn_random.c - the passes of random convolutions against the definition. */
#include "helper_conv.h"

#include <stdio.h>

typedef struct dice {
    mq_rng rng;
    uint64_t at;
} dice;

static int between(dice *d, int low, int high) {
    return low + (int)mq_rng_below(&d->rng, d->at++, (uint32_t)(high - low + 1));
}

/* Few channels and many, odd sizes, every grouping, strides that leave columns over, batches of one. */
static mq_dnn_conv_spec draw_spec(dice *d) {
    static const int channels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 31, 32, 33, 48};
    static const int kernels[] = {1, 1, 2, 3, 3, 3, 4, 5, 5, 7};
    const int k = kernels[between(d, 0, 9)], kind = between(d, 0, 3), stride = between(d, 0, 2) ? 1 : 2;
    int ic = channels[between(d, 0, 15)], oc = channels[between(d, 0, 15)], groups = 1;
    if (kind == 0) {
        oc = groups = ic;
    } else if (kind == 1) {
        groups = between(d, 2, 4);
        ic = groups * between(d, 1, 12);
        oc = groups * between(d, 1, 12);
    }
    const int pad = between(d, 0, 2) ? k / 2 : between(d, 0, k - 1);
    const int ih = between(d, k, k + 14), iw = between(d, k, k + 20);
    return spec_of(between(d, 0, 2) ? between(d, 2, 5) : 1, ih, iw, ic, oc, k, stride, pad, groups);
}

static void check_random(mq_dtype compute, mq_dtype diff_src, enum kind kind, bool codes, uint64_t seed,
                         int count) {
    dice d = {.rng = mq_rng_stream(seed, "convolutions", 0)};
    for (int i = 0; i < count; i++) {
        mq_threads_set(between(&d, 1, 2));
        mq_dnn *dnn = open_dnn();
        mq_dnn_conv_spec spec = draw_spec(&d);
        spec.codes = codes;
        spec.rounded = compute == MQ_BF16 && kind == REALS && diff_src == MQ_BF16;
        check(dnn, spec, compute, diff_src, kind);
        mq_dnn_destroy(dnn);
    }
    mq_threads_set(0);
}

enum { COUNT = 60 };

static void float32(void **state) {
    (void)state;
    check_random(MQ_F32, MQ_F32, REALS, false, 1, COUNT);
}

static void bfloat16(void **state) {
    (void)state;
    if (!mq_dnn_has_bf16()) {
        print_message("no native bfloat16 on this CPU\n");
        skip();
    }
    check_random(MQ_BF16, MQ_F32, REALS, false, 2, COUNT);
    check_random(MQ_BF16, MQ_BF16, REALS, false, 3, COUNT);
    check_random(MQ_BF16, MQ_F32, INTEGERS, false, 4, COUNT);
}

static void codes(void **state) {
    (void)state;
    if (!mq_dnn_has_codes()) {
        print_message("no VNNI on this CPU\n");
        skip();
    }
    check_random(MQ_F32, MQ_F32, INTEGERS, true, 5, COUNT);
    if (mq_dnn_has_bf16()) check_random(MQ_BF16, MQ_BF16, INTEGERS, true, 6, COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32),
        cmocka_unit_test(bfloat16),
        cmocka_unit_test(codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
