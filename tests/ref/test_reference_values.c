/* test_reference_values.c - what the float64 reference computes forward, against the formulas written another
 * way, and its decisions and refusals. */
#include "helper_reference.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"

/* ---- forward values from the formula ---- */

static double weight_at(const double *w, const mq_node *node, const mq_node *in, int o, int i, int r, int c) {
    if (node->op == MQ_OP_LINEAR) return w[((o * in->c + i) * in->h + r) * in->w + c];
    const mq_conv_attr *a = &node->conv;
    return w[((o * (a->in_channels / a->groups) + i) * a->kernel_h + r) * a->kernel_w + c];
}

static double convolved(const fixture *f, const mq_node *node, int b, int v, int u, int o) {
    const mq_node *in = &f->net->nodes[node->input[0]];
    const bool conv = node->op == MQ_OP_CONV;
    const int groups = conv ? node->conv.groups : 1, stride = conv ? node->conv.stride : 1;
    const int kh = conv ? node->conv.kernel_h : in->h, kw = conv ? node->conv.kernel_w : in->w;
    const int ph = conv ? node->conv.pad_h : 0, pw = conv ? node->conv.pad_w : 0, per = in->c / groups;
    const double *x = mq_ref_output(f->ref, in->index), *w = mq_ref_operand(f->ref, node->layer);
    const mq_ref_param *bias = mq_ref_find(f->ref, node->index, MQ_PARAM_BIAS, -1);
    double sum = bias ? bias->value[o] : 0;
    for (int i = 0; i < per; i++)
        for (int r = 0; r < kh; r++)
            for (int c = 0; c < kw; c++) {
                const int row = v * stride - ph + r, column = u * stride - pw + c;
                if (row < 0 || row >= in->h || column < 0 || column >= in->w) continue;
                const int channel = o / (node->c / groups) * per + i;
                sum += x[((b * in->h + row) * in->w + column) * in->c + channel] *
                       weight_at(w, node, in, o, i, r, c);
            }
    return sum;
}

static void forward_conv_linear(void **state) {
    (void)state;
    const char *const nets[] = {NET_ODD, NET_BRANCHES, NET_LINEAR};
    for (int k = 0; k < 3; k++) {
        fixture f;
        begin(&f, nets[k], MQ_MODE_FLOAT, true, false, 3, false);
        (void)loss(&f);
        for (int l = 0; l < f.net->layer_count; l++) {
            const mq_node *node = &f.net->nodes[f.net->layers[l].node];
            const double *y = mq_ref_output(f.ref, node->index);
            for (int b = 0; b < f.n; b++)
                for (int v = 0; v < node->h; v++)
                    for (int u = 0; u < node->w; u++)
                        for (int o = 0; o < node->c; o++, y++)
                            if (fabs(*y - convolved(&f, node, b, v, u, o)) > 1e-12)
                                fail_msg("%s %s (%d,%d,%d,%d): %.15g", f.net->name, node->name, b, v, u, o,
                                         *y);
        }
        end(&f);
    }
}

static void forward_batch_norm(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_BRANCHES, MQ_MODE_FLOAT, true, false, 3, true);
    const int node = node_named(f.net, "b"), c = f.net->nodes[node].c;
    mq_ref_param *mean = mq_ref_find(f.ref, node, MQ_PARAM_MEAN, -1),
                 *var = mq_ref_find(f.ref, node, MQ_PARAM_VAR, -1);
    const double old_mean = mean->value[1], old_var = var->value[1];
    const double gamma = mq_ref_find(f.ref, node, MQ_PARAM_GAMMA, -1)->value[1];
    const double beta = mq_ref_find(f.ref, node, MQ_PARAM_BETA, -1)->value[1];
    (void)loss(&f);
    const double *x = mq_ref_output(f.ref, f.net->nodes[node].input[0]), *y = mq_ref_output(f.ref, node);
    const int per = f.n * 8 * 6;
    double sum = 0, squares = 0;
    for (int e = 0; e < per; e++) sum += x[e * c + 1], squares += x[e * c + 1] * x[e * c + 1];
    const double m = sum / per, biased = squares / per - m * m, unbiased = biased * per / (per - 1);
    for (int e = 0; e < per; e++)
        assert_true(fabs(y[e * c + 1] - (gamma * (x[e * c + 1] - m) / sqrt(biased + 1e-5) + beta)) < 1e-11);
    assert_true(fabs(mean->value[1] - (0.9 * old_mean + 0.1 * m)) < 1e-12);
    assert_true(fabs(var->value[1] - (0.9 * old_var + 0.1 * unbiased)) < 1e-12);

    f.training = false; /* evaluation: the running ones, and they stay */
    const double kept_mean = mean->value[1], kept_var = var->value[1];
    (void)loss(&f);
    assert_true(mean->value[1] == kept_mean && var->value[1] == kept_var);
    for (int e = 0; e < per; e++)
        assert_true(fabs(y[e * c + 1] - (gamma * (x[e * c + 1] - kept_mean) / sqrt(kept_var + 1e-5) + beta)) <
                    1e-11);
    end(&f);
}

static void forward_reorg_concat(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_BRANCHES, MQ_MODE_FLOAT, true, false, 3, true);
    (void)loss(&f);
    const double *b = mq_ref_output(f.ref, node_named(f.net, "b")),
                 *r = mq_ref_output(f.ref, node_named(f.net, "r"));
    const double *low = mq_ref_output(f.ref, node_named(f.net, "low"));
    const double *side = mq_ref_output(f.ref, node_named(f.net, "side"));
    const double *all = mq_ref_output(f.ref, node_named(f.net, "all"));
    for (int n = 0; n < 3; n++)
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 3; x++) {
                const int p = (n * 4 + y) * 3 + x;
                for (int dy = 0; dy < 2; dy++)
                    for (int dx = 0; dx < 2; dx++)
                        for (int c = 0; c < 3; c++)
                            assert_true(r[p * 12 + (2 * dy + dx) * 3 + c] ==
                                        b[((n * 8 + 2 * y + dy) * 6 + 2 * x + dx) * 3 + c]);
                for (int c = 0; c < 12; c++) assert_true(all[p * 18 + c] == r[p * 12 + c]);
                for (int c = 0; c < 2; c++) assert_true(all[p * 18 + 12 + c] == low[p * 2 + c]);
                for (int c = 0; c < 4; c++) assert_true(all[p * 18 + 14 + c] == side[p * 4 + c]);
            }
    end(&f);
}

/* A constant image makes every window a tie: the gradient goes to the first value in row-major order. */
static void max_pool_ties(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_TIES, MQ_MODE_FLOAT, true, false, 2, true);
    memset(f.images, 77, 2 * 5 * 4);
    (void)loss(&f);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    const int pool = node_named(f.net, "pool0");
    const double *dy = mq_ref_output_grad(f.ref, pool);
    const double *dx = mq_ref_output_grad(f.ref, f.net->nodes[pool].input[0]);
    for (int b = 0; b < 2; b++)
        for (int y = 0; y < 5; y++)
            for (int x = 0; x < 4; x++)
                for (int c = 0; c < 2; c++) {
                    const bool first = y % 2 == 0 && x % 2 == 0 && y < 4;
                    const double from = first ? dy[((b * 2 + y / 2) * 2 + x / 2) * 2 + c] : 0;
                    assert_true(dx[((b * 5 + y) * 4 + x) * 2 + c] == from);
                }
    assert_true(largest(dy, 16) > 0);
    end(&f);
}

/* An override decides where the maximum is, but the value is the reference's own. */
static void max_pool_override(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_TIES, MQ_MODE_FLOAT, true, false, 1, true);
    const int pool = node_named(f.net, "pool0");
    float x[5 * 4 * 2] = {0};
    x[(3 * 4 + 3) * 2 + 1] = 4; /* row 3, column 3, channel 1: last of window (1, 1) */
    x[(2 * 4 + 3) * 2 + 1] = 4; /* row 2, column 3: tied, and before it */
    OK(mq_ref_override(f.ref, pool, x, ERROR));
    (void)loss(&f);
    const double *in = mq_ref_output(f.ref, f.net->nodes[pool].input[0]), *y = mq_ref_output(f.ref, pool);
    for (int v = 0; v < 2; v++)
        for (int u = 0; u < 2; u++)
            for (int c = 0; c < 2; c++) {
                const int column = 2 * u + (v == 1 && u == 1 && c == 1);
                assert_true(y[(v * 2 + u) * 2 + c] == in[(2 * v * 4 + column) * 2 + c]);
            }
    OK(mq_ref_override(f.ref, pool, NULL, ERROR));
    (void)loss(&f);
    for (int v = 0; v < 2; v++)
        for (int u = 0; u < 2; u++)
            for (int c = 0; c < 2; c++) {
                const double *corner = in + (2 * v * 4 + 2 * u) * 2 + c;
                assert_true(y[(v * 2 + u) * 2 + c] ==
                            fmax(fmax(corner[0], corner[2]), fmax(corner[8], corner[10])));
            }
    end(&f);
}

/* Codes from given operands: half to even, clipped at both ends, masks closed at both ends. */
static void activation_decisions(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_BRANCHES, MQ_MODE_FIXED, true, false, 1, false);
    refix(&f, 2, 2);
    const int node = node_named(f.net, "side.act");
    const float step = 0.538f, top = (float)(0.538 * 3);
    float x[8 * 6 * 3] = {-1, -0.0f, 0, 0.5f * step, 1.5f * step, 2.5f * step, top, nextafterf(top, 9), 5};
    const double code[] = {0, 0, 0, 0, 2, 2, 3, 3, 3}, slope[] = {0, 1, 1, 1, 1, 1, 1, 0, 0};
    OK(mq_ref_override(f.ref, node, x, ERROR));
    /* Only `side` shall pass a gradient: the head ignores the other channels. */
    mq_ref_param *head = mq_ref_find(f.ref, f.net->output, MQ_PARAM_WEIGHT, -1);
    for (size_t e = 0; e < head->count; e++)
        if (e % 18 < 14) head->value[e] = 0;
    (void)loss(&f);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    const double *y = mq_ref_output(f.ref, node), *dy = mq_ref_output_grad(f.ref, node);
    const double *dx = mq_ref_output_grad(f.ref, node_named(f.net, "b"));
    bool any = false;
    for (int e = 0; e < 9; e++) {
        assert_true(y[e] == code[e] * (double)step);
        assert_true(dx[e] == slope[e] * dy[e]);
        any |= dx[e] != 0;
    }
    assert_true(any);
    end(&f);
}

/* DoReFa: 2^b levels, the last one wider; the mask is closed at 0 and 1. Weights: tanh over its largest, ties
 * to even, codes clamped. */
static void dorefa_decisions(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_DOREFA, MQ_MODE_FIXED, true, false, 1, false);
    refix(&f, 3, 2);
    const int node = node_named(f.net, "side.act");
    float x[8 * 6 * 3] = {-1, -0.0f, 0, 0.125f, 0.375f, 0.625f, 0.75f, 1, nextafterf(1, 9), 5};
    const double code[] = {0, 0, 0, 0, 2, 2, 3, 3, 3, 3}, slope[] = {0, 1, 1, 1, 1, 1, 1, 1, 0, 0};
    OK(mq_ref_override(f.ref, node, x, ERROR));
    mq_ref_param *head = mq_ref_find(f.ref, f.net->output, MQ_PARAM_WEIGHT, -1);
    for (size_t e = 0; e < head->count; e++)
        if (e % 18 < 14) head->value[e] = 0; /* tanh(0) = 0: only `side` shall pass a gradient */
    head->value[14] = -3;
    head->value[15] = 3;
    (void)loss(&f);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    const double *y = mq_ref_output(f.ref, node), *dy = mq_ref_output_grad(f.ref, node);
    const double *dx = mq_ref_output_grad(f.ref, node_named(f.net, "b"));
    bool any = false;
    for (int e = 0; e < 10; e++) {
        assert_true(y[e] == code[e] / 4);
        assert_true(dx[e] == slope[e] * dy[e]);
        any |= dx[e] != 0;
    }
    assert_true(any);
    const double *q = mq_ref_operand(f.ref, f.net->layer_count - 1);
    assert_true(q[14] == -1 && q[15] == 0.75);
    for (size_t e = 0; e < head->count; e++) {
        const double t = tanh(head->value[e]) / tanh(3.0);
        assert_true(q[e] == fmin(rint(4 * t), 3) / 4);
    }
    end(&f);
}

/* ReLU6 and ReLU keep what lies between their bends, and pass its gradient only. */
static void float_activations(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_ODD, MQ_MODE_FLOAT, true, false, 3, true);
    const int six = node_named(f.net, "conv1.act"), relu = node_named(f.net, "conv2.act");
    for (int k = 0; k < 2; k++) {
        mq_ref_param *gamma = mq_ref_find(f.ref, node_named(f.net, k ? "bn1" : "bn0"), MQ_PARAM_GAMMA, -1);
        for (size_t c = 0; c < gamma->count; c++) gamma->value[c] = 6;
    }
    (void)loss(&f);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    for (int k = 0; k < 2; k++) {
        const mq_node *node = &f.net->nodes[k ? relu : six];
        const double *x = mq_ref_output(f.ref, node->input[0]), *y = mq_ref_output(f.ref, node->index);
        const double *dx = mq_ref_output_grad(f.ref, node->input[0]),
                     *dy = mq_ref_output_grad(f.ref, node->index);
        const size_t n = 3 * elements(node);
        size_t above = 0, below = 0;
        for (size_t e = 0; e < n; e++) {
            above += x[e] > 6;
            below += x[e] < 0;
            assert_true(y[e] == fmin(fmax(x[e], 0), k ? INFINITY : 6));
            assert_true(dx[e] == (x[e] > 0 && (k || x[e] < 6) ? dy[e] : 0));
        }
        assert_true(above > 10 && below > 10);
    }
    end(&f);
}

/* Codes stay in the signed range, without the lowest when symmetric; steps follow the unbiased deviation. */
static void weight_decisions(void **state) {
    (void)state;
    static const double unit[] = {1.596, 0.996, 0.586, 0.336, 0.190, 0.106, 0.059, 0.032};
    for (int bits = 1; bits <= 8; bits++)
        for (int symmetric = 0; symmetric < 2; symmetric++) {
            fixture f;
            begin(&f, NET_ALONE, MQ_MODE_FIXED, true, symmetric, 1, true);
            refix(&f, bits, 4);
            mq_ref_param *w = mq_ref_find(f.ref, f.net->output, MQ_PARAM_WEIGHT, -1);
            w->value[0] = -30;
            w->value[1] = 30;
            (void)loss(&f);
            double sum = 0, squares = 0, low = 0, high = 0;
            for (size_t e = 0; e < w->count; e++) sum += w->value[e];
            for (size_t e = 0; e < w->count; e++)
                squares += (w->value[e] - sum / (double)w->count) * (w->value[e] - sum / (double)w->count);
            const float deviation = (float)sqrt(squares / (double)(w->count - 1));
            const double step = (float)(unit[bits - 1] * (double)deviation);
            const double *q = mq_ref_operand(f.ref, 0);
            for (size_t e = 0; e < w->count; e++) {
                const double code = q[e] / step;
                assert_true(code == rint(code));
                low = fmin(low, code);
                high = fmax(high, code);
            }
            assert_true(low == -(1 << (bits - 1)) + symmetric);
            assert_true(high == (1 << (bits - 1)) - 1);
            end(&f);
        }
}

static void threads_agree(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_ODD, MQ_MODE_SEARCH, true, false, 3, true);
    const double one = loss(&f);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    double grad[135];
    mq_ref_param *w = mq_ref_find(f.ref, f.net->layers[0].node, MQ_PARAM_WEIGHT, -1);
    assert_int_equal(w->count, 135);
    memcpy(grad, w->grad, sizeof grad);
    mq_threads_set(2);
    assert_true(loss(&f) == one);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    mq_threads_set(1);
    assert_memory_equal(grad, w->grad, sizeof grad);
    end(&f);
}

/* ---- words of the caller that make no sense ---- */

static void expect_usage(mq_status status, const mq_error *error, const char *part) {
    assert_int_equal(status, MQ_USAGE);
    if (!strstr(error->text, part)) fail_msg("'%s' does not say '%s'", error->text, part);
}

static void bad_usage(void **state) {
    (void)state;
    fixture f;
    mq_error error = {0};
    mq_ref *none;
    double y[MOST_IMAGES * 3] = {0};
    begin(&f, NET_LINEAR, MQ_MODE_FLOAT, true, false, 1, true);
    mq_bits bits = {.count = 3, .weight = {4, 9, 8}, .activation = {4, 4, 8}};
    mq_ref_options options = {.mode = MQ_MODE_FIXED, .batch = 1};
    expect_usage(mq_ref_create(f.net, &options, &none, &error), &error, "bits of 0 layers: 3 expected");
    options.bits = &bits;
    expect_usage(mq_ref_create(f.net, &options, &none, &error), &error, "w9a4: bits 1 to 8 expected");
    options = (mq_ref_options){.mode = MQ_MODE_FLOAT};
    expect_usage(mq_ref_create(f.net, &options, &none, &error), &error, "batch 0");
    assert_null(none);
    expect_usage(mq_ref_backward(f.ref, y, &error), &error, "before any forward");
    expect_usage(mq_ref_surrogate(f.ref, true, &error), &error, "before any forward");
    expect_usage(mq_ref_forward(f.ref, f.images, 0, true, &error), &error, "0 images: 1 to 3");
    expect_usage(mq_ref_forward(f.ref, f.images, 4, true, &error), &error, "4 images: 1 to 3");
    expect_usage(mq_ref_forward(f.ref, f.images, 1, true, &error), &error, "one value per channel");
    expect_usage(mq_ref_override(f.ref, 1, NULL, &error), &error, "conv0.act");
    expect_usage(mq_ref_override(f.ref, f.net->output, NULL, &error), &error, "takes no decisions");
    expect_usage(mq_ref_cost_term(f.ref, MQ_REF_BRAM, NULL, 1, NULL, &error), &error, "float network");
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_conv_linear),
        cmocka_unit_test(forward_batch_norm),
        cmocka_unit_test(forward_reorg_concat),
        cmocka_unit_test(max_pool_ties),
        cmocka_unit_test(max_pool_override),
        cmocka_unit_test(activation_decisions),
        cmocka_unit_test(dorefa_decisions),
        cmocka_unit_test(float_activations),
        cmocka_unit_test(weight_decisions),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(bad_usage),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
