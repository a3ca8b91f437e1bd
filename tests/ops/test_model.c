/* test_model.c - making and asking a model: refusals, the first weights, peeking, non-finite values, chosen
 * bits. */
#include "helper_ops.h"

#include <math.h>
#include <string.h>

#include "ops/precision.h"

static mq_model_options float_options(int batch) {
    return (mq_model_options){
        .mode = MQ_MODE_FLOAT, .share = true, .training = true, .compute = MQ_F32, .batch = batch};
}

static void refuse(const mq_net *net, const mq_model_options *o, mq_status status, const char *word) {
    mq_model *model;
    mq_error e = {0};
    assert_int_equal(mq_model_create(net, o, &model, &e), status);
    assert_null(model);
    if (!strstr(e.text, word)) fail_msg("'%s' expected in: %s", word, e.text);
}

static void refusals_of_create(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NET_BLOCKED);
    mq_model_options o = float_options(0);
    refuse(net, &o, MQ_USAGE, "batch 0");
    o.batch = 1;
    o.mode = MQ_MODE_FIXED;
    refuse(net, &o, MQ_USAGE, "bits for 4 layers");
    mq_bits bits = {.count = 3};
    o.bits = &bits;
    refuse(net, &o, MQ_USAGE, "bits for 4 layers");
    bits = ops_bits(net, 0, false);
    bits.weight[2] = 1;
    o.symmetric = true;
    refuse(net, &o, MQ_USAGE, "conv2: symmetric weights need at least 2 bits");
    mq_net_free(net);

    static const char wide[] = "name: wide\nclasses: 2\ninput: {channels: 1, height: 18, width: 17}\n"
                               "layers:\n  - conv: {out: 2, kernel: 1}\n  - max_pool: {kernel: 17}\n"
                               "  - linear: {out: 2}\n";
    mq_error e = {0};
    assert_int_equal(mq_net_parse("wide", wide, strlen(wide), &net, &e), MQ_BAD_INPUT);
    assert_non_null(strstr(e.text, "kernel: got 17"));
}

static void refusals_of_passes(void **state) {
    (void)state;
    static const char one_value[] = "name: one\nclasses: 2\ninput: {channels: 1, height: 4, width: 4}\n"
                                    "layers:\n  - linear: {out: 3}\n  - batch_norm\n  - linear: {out: 2}\n";
    mq_net *net = ops_open(one_value);
    const mq_model_options o = float_options(2);
    mq_model *model = ops_model(net, &o, 1);
    uint8_t *images = ops_images(net, 3, 1);
    const float *output;
    const float d_output[6] = {0};
    mq_error e = {0};
    assert_int_equal(mq_model_backward(model, d_output, &e), MQ_INTERNAL);
    assert_int_equal(mq_model_forward(model, images, 0, true, &output, &e), MQ_INTERNAL);
    assert_int_equal(mq_model_forward(model, images, 3, true, &output, &e), MQ_INTERNAL);
    assert_non_null(strstr(e.text, "3 images: 1 to 2 expected"));
    assert_int_equal(mq_model_forward(model, images, 1, true, &output, &e), MQ_USAGE);
    assert_non_null(strstr(e.text, "bn0: batch norm in training needs more than one value"));
    OK(mq_model_forward(model, images, 1, false, &output, ERROR));
    OK(mq_model_forward(model, images, 2, true, &output, ERROR));
    mq_model_destroy(model);

    mq_model_options test = o;
    test.training = false;
    model = ops_model(net, &test, 1);
    assert_null(mq_model_param(model, net->layers[0].node, MQ_PARAM_WEIGHT, -1)->grad);
    assert_int_equal(mq_model_forward(model, images, 2, true, &output, &e), MQ_INTERNAL);
    OK(mq_model_forward(model, images, 2, false, &output, ERROR));
    mq_model_destroy(model);
    mq_model_destroy(NULL);
    mq_free(images);
    mq_net_free(net);
}

/* A model without memory for backward computes the same. */
static void evaluation_model(void **state) {
    (void)state;
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        mq_net *net = ops_open(w->text);
        const mq_bits bits = ops_bits(net, 3, false);
        mq_model_options o = {.mode = MQ_MODE_FIXED,
                              .bits = &bits,
                              .share = true,
                              .training = true,
                              .compute = MQ_F32,
                              .batch = w->many};
        mq_model *train = ops_model(net, &o, 7);
        o.training = false;
        mq_model *test = ops_model(net, &o, 7);
        assert_true(mq_model_bytes(test) < mq_model_bytes(train));
        uint8_t *images = ops_images(net, w->many, 7);
        const float *a, *b;
        OK(mq_model_forward(train, images, w->many, false, &a, ERROR));
        OK(mq_model_forward(test, images, w->many, false, &b, ERROR));
        assert_memory_equal(a, b, (size_t)w->many * ops_elements(mq_net_output(net)) * sizeof *a);
        mq_model_destroy(train);
        mq_model_destroy(test);
        mq_free(images);
        mq_net_free(net);
    }
}

static void first_weights(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NETS[0].text);
    mq_model_options o = float_options(1);
    mq_model *model = ops_model(net, &o, 1), *other;
    o.mode = MQ_MODE_SEARCH;
    other = ops_model(net, &o, 1);
    mq_model_initialise(model, 3);
    mq_model_initialise(other, 3);
    int count;
    const mq_param *params = mq_model_params(model, &count);
    for (int i = 0; i < count; i++) {
        const mq_param *p = &params[i];
        const mq_node *node = &net->nodes[p->spec->node];
        double most = 0, sum = 0;
        for (size_t e = 0; e < p->count; e++) {
            most = fmax(most, fabs((double)p->value[e]));
            sum += (double)p->value[e];
        }
        /* the same seed gives a layer the same weights in every mode */
        const mq_param *again = mq_model_param(other, p->spec->node, p->spec->kind, -1);
        assert_memory_equal(p->value, again->value, p->count * sizeof(float));
        if (p->spec->kind == MQ_PARAM_GAMMA || p->spec->kind == MQ_PARAM_VAR) {
            assert_true(sum == (double)p->count);
        } else if (p->spec->kind == MQ_PARAM_BETA || p->spec->kind == MQ_PARAM_MEAN) {
            assert_true(most == 0);
        } else {
            const int depth = node->conv.in_channels / node->conv.groups;
            const double bound = 1 / sqrt((double)(depth * node->conv.kernel_h * node->conv.kernel_w));
            assert_true(most <= bound * (1 + 1e-6) && most > 0);
            if (p->count > 40) {
                assert_true(most > 0.9 * bound);
                assert_true(fabs(sum / (double)p->count) < 4 * bound / sqrt(3.0 * (double)p->count));
            }
        }
    }
    const mq_param *alpha = mq_model_param(other, net->layers[1].node, MQ_PARAM_ALPHA_WEIGHT, -1);
    for (size_t e = 0; e < alpha->count; e++) assert_true(alpha->value[e] == 0.01f);
    mq_model_initialise(other, 4);
    const mq_param *w = mq_model_param(model, net->layers[0].node, MQ_PARAM_WEIGHT, -1);
    const mq_param *v = mq_model_param(other, net->layers[0].node, MQ_PARAM_WEIGHT, -1);
    assert_memory_not_equal(w->value, v->value, w->count * sizeof(float));
    mq_model_destroy(model);
    mq_model_destroy(other);
    mq_net_free(net);
}

/* Non-finite numbers reach the output instead of being clipped away, and their cause is named. */
static void nonfinite_values(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NETS[0].text);
    for (int mode = MQ_MODE_FLOAT; mode <= MQ_MODE_SEARCH; mode++) {
        mq_model_options o = float_options(1);
        o.mode = (mq_mode)mode;
        mq_model *model = ops_model(net, &o, 2);
        uint8_t *images = ops_images(net, 1, 2);
        const float *output;
        OK(mq_model_forward(model, images, 1, true, &output, ERROR));
        assert_null(mq_model_find_nonfinite(model));
        float *gamma = mq_model_param(model, net->layers[1].node + 1, MQ_PARAM_GAMMA, -1)->value;
        const float before = gamma[1];
        gamma[1] = NAN;
        OK(mq_model_forward(model, images, 1, true, &output, ERROR));
        assert_string_equal(mq_model_find_nonfinite(model), "bn1.gamma");
        assert_string_equal(mq_model_find_nonfinite_param(model), "bn1.gamma");
        bool finite = true;
        for (size_t e = 0; e < ops_elements(mq_net_output(net)); e++) finite &= isfinite(output[e]) != 0;
        assert_false(finite);
        /* it came out of the batch norm, and spoiled the running statistics of the next one */
        gamma[1] = before;
        const float *mean = mq_model_param(model, net->layers[2].node + 1, MQ_PARAM_MEAN, -1)->value;
        assert_true(isnan(mean[0]));
        assert_string_equal(mq_model_find_nonfinite(model), "bn1");
        assert_string_equal(mq_model_find_nonfinite_param(model), "bn2.mean");
        mq_model_destroy(model);
        mq_free(images);
    }
    mq_net_free(net);
}

static void chosen_bits(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NET_BLOCKED);
    mq_model_options o = float_options(1);
    o.mode = MQ_MODE_SEARCH;
    mq_model *model = ops_model(net, &o, 2);
    for (int l = 0; l < 3; l++) {
        float *w = mq_model_param(model, net->layers[l].node, MQ_PARAM_ALPHA_WEIGHT, -1)->value;
        float *a = mq_model_param(model, net->layers[l].node, MQ_PARAM_ALPHA_ACTIVATION, -1)->value;
        for (int b = 0; b < 7; b++) {
            w[b] = b == 2 * l ? 0.5f : 0.25f;
            a[b] = b == 6 - l || b == 6 ? 0.5f : -1.0f; /* the first of equals */
        }
    }
    mq_bits bits;
    mq_model_chosen_bits(model, &bits);
    assert_int_equal(bits.count, 4);
    for (int l = 0; l < 3; l++) {
        assert_int_equal(bits.weight[l], 2 + 2 * l);
        assert_int_equal(bits.activation[l], 8 - l);
    }
    assert_int_equal(bits.weight[3], 8); /* pinned */
    assert_int_equal(bits.activation[3], 8);
    mq_model_destroy(model);
    mq_net_free(net);
}

static void precisions(void **state) {
    (void)state;
    mq_dtype type;
    mq_error e = {0};
    OK(mq_precision(MQ_PRECISION_F32, &type, ERROR));
    assert_int_equal(type, MQ_F32);
    mq_dtype native;
    OK(mq_precision(MQ_PRECISION_AUTO, &native, ERROR));
    const mq_status status = mq_precision(MQ_PRECISION_BF16, &type, &e);
    assert_int_equal(status, native == MQ_BF16 ? MQ_OK : MQ_USAGE);
    if (status == MQ_OK) assert_int_equal(type, MQ_BF16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_of_create), cmocka_unit_test(refusals_of_passes),
        cmocka_unit_test(evaluation_model),   cmocka_unit_test(first_weights),
        cmocka_unit_test(nonfinite_values),   cmocka_unit_test(chosen_bits),
        cmocka_unit_test(precisions),
    };
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
