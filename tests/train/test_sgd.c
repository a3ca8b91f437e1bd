/* test_sgd.c - the optimiser against PyTorch's formula as a plain loop, bit for bit, and the cosine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "train/sgd.h"

#define OK(call)                                                                                             \
    do {                                                                                                     \
        mq_error ok_error_ = {0};                                                                            \
        if ((call) != MQ_OK) fail_msg("%s", ok_error_.text);                                                 \
    } while (0)
#define ERROR &ok_error_

/* Both kinds of biases, alphas, and a tensor of more than one task. */
static const char NET[] = "name: t\nclasses: 3\ninput: {channels: 1, height: 20, width: 20}\n"
                          "layers:\n  - conv: {out: 100, kernel: 3, bias: true}\n  - batch_norm\n"
                          "  - linear: {out: 3, weight_bits: 8, activation_bits: 8}\n";

/* torch.optim.SGD with its default dampening, for one tensor. */
static void torch_sgd(float *w, float *buffer, const float *gradient, size_t n, bool first, float lr,
                      float momentum, float decay, bool nesterov) {
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] + decay * w[i];
        buffer[i] = first ? g : momentum * buffer[i] + g;
        g = nesterov ? g + momentum * buffer[i] : buffer[i];
        w[i] = w[i] + -lr * g;
    }
}

static void check(const mq_sgd_group groups[MQ_SGD_GROUPS], double lr_bias) {
    enum { STEPS = 4 };
    mq_net *net;
    mq_model *model;
    mq_sgd *sgd;
    OK(mq_net_parse("t.yaml", NET, strlen(NET), &net, ERROR));
    const mq_model_options o = {
        .mode = MQ_MODE_SEARCH, .share = true, .training = true, .compute = MQ_F32, .batch = 2};
    OK(mq_model_create(net, &o, &model, ERROR));
    mq_model_initialise(model, 1);
    OK(mq_sgd_create(model, &sgd, ERROR));
    int count;
    mq_param *params = mq_model_params(model, &count);
    float *w[16], *v[16];
    assert_true(count <= 16);
    for (int i = 0; i < count; i++) {
        OK(mq_alloc(params[i].count, sizeof(float), "test", &w[i], ERROR));
        OK(mq_alloc(params[i].count, sizeof(float), "test", &v[i], ERROR));
        memcpy(w[i], params[i].value, params[i].count * sizeof(float));
        assert_int_equal(mq_sgd_momentum(sgd, i) != NULL, mq_param_trained(params[i].spec->kind));
    }
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < count; i++) {
            const mq_param *p = &params[i];
            if (!p->grad) continue;
            const mq_rng rng = mq_rng_stream((uint64_t)step, p->spec->name, 0);
            for (size_t e = 0; e < p->count; e++) p->grad[e] = 0.1f * mq_rng_normal(&rng, e);
            const bool alpha = strstr(p->spec->name, "alpha_") != NULL;
            const bool bias = strstr(p->spec->name, ".bias") || strstr(p->spec->name, ".beta");
            const mq_sgd_group *g = &groups[alpha ? MQ_SGD_ALPHAS : MQ_SGD_WEIGHTS];
            torch_sgd(w[i], v[i], p->grad, p->count, step == 0, (float)(g->lr * (bias ? lr_bias : 1)),
                      (float)g->momentum, (float)g->decay, g->nesterov);
        }
        mq_sgd_step(sgd, groups, lr_bias);
        for (int i = 0; i < count; i++) {
            for (size_t e = 0; e < params[i].count; e++)
                if (params[i].value[e] != w[i][e])
                    fail_msg("step %d: %s[%zu]: got %.9g, expected %.9g", step + 1, params[i].spec->name, e,
                             (double)params[i].value[e], (double)w[i][e]);
            if (params[i].grad)
                assert_memory_equal(mq_sgd_momentum(sgd, i), v[i], params[i].count * sizeof(float));
        }
    }
    for (int i = 0; i < count; i++) {
        mq_free(w[i]);
        mq_free(v[i]);
    }
    mq_sgd_destroy(sgd);
    mq_sgd_destroy(NULL);
    mq_model_destroy(model);
    mq_net_free(net);
}

static void like_torch(void **state) {
    (void)state;
    const mq_sgd_group plain[MQ_SGD_GROUPS] = {{0.1, 0, 0, false}, {0.01, 0, 0, false}};
    const mq_sgd_group classification[MQ_SGD_GROUPS] = {{0.1, 0.9, 5e-4, false}, {0.1, 0.9, 5e-4, false}};
    const mq_sgd_group detection[MQ_SGD_GROUPS] = {{0.01, 0.937, 0, true}, {0.01, 0.937, 4.84e-4, false}};
    check(plain, 1);
    check(classification, 1);
    check(detection, 2);
}

/* After a step the model quantises its new weights. */
static void the_model_sees_the_step(void **state) {
    (void)state;
    mq_net *net;
    mq_model *model;
    mq_sgd *sgd;
    OK(mq_net_parse("t.yaml", NET, strlen(NET), &net, ERROR));
    mq_bits bits;
    mq_bits_uniform(net, 4, 4, &bits);
    const mq_model_options o = {
        .mode = MQ_MODE_FIXED, .bits = &bits, .share = true, .training = true, .compute = MQ_F32, .batch = 2};
    OK(mq_model_create(net, &o, &model, ERROR));
    mq_model_initialise(model, 1);
    OK(mq_sgd_create(model, &sgd, ERROR));
    static uint8_t images[800];
    for (size_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)(i * i % 251);
    float before[6], d_output[6] = {1, -1, 0.5f, 2, 0, -1};
    const float *output;
    OK(mq_model_forward(model, images, 2, true, &output, ERROR));
    memcpy(before, output, sizeof before);
    OK(mq_model_backward(model, d_output, ERROR));
    const mq_sgd_group groups[MQ_SGD_GROUPS] = {{0.5, 0, 0, false}};
    mq_sgd_step(sgd, groups, 1);
    OK(mq_model_forward(model, images, 2, true, &output, ERROR));
    double change = 0, wanted = 0;
    for (int i = 0; i < 6; i++) {
        wanted += (double)d_output[i] * (double)(output[i] - before[i]);
        change += fabs((double)(output[i] - before[i]));
    }
    assert_true(change > 0);
    assert_true(wanted < 0); /* downhill */
    mq_sgd_destroy(sgd);
    mq_model_destroy(model);
    mq_net_free(net);
}

static void cosine(void **state) {
    (void)state;
    assert_true(mq_cosine(0, 40, 0.01) == 1);
    assert_true(fabs(mq_cosine(40, 40, 0.01) - 0.01) < 1e-15);
    assert_true(fabs(mq_cosine(20, 40, 0.3) - 0.65) < 1e-15);
    for (int x = 0; x < 35; x++) {
        /* the detector's factor, in the form that its recipe states */
        assert_true(fabs(mq_cosine(x, 35, 0.001) - ((1 + cos(M_PI * x / 35)) / 2 * 0.999 + 0.001)) < 1e-14);
        assert_true(mq_cosine(x + 1, 35, 0.001) < mq_cosine(x, 35, 0.001));
    }
}

static int one_thread(void **state) {
    (void)state;
    mq_threads_set(1);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_torch),
        cmocka_unit_test(the_model_sees_the_step),
        cmocka_unit_test(cosine),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
