/* test_optimizer.c - SGD bit for bit and Adam against PyTorch's formulas as plain loops; the schedules of the
 * recipes. */
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
#include "train/recipe.h"
#include "ok.h"

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

/* torch.optim.Adam, t = 1, 2 ..., in float64. */
static void torch_adam(double *w, double *m, double *v, const float *gradient, size_t n, int t, double lr,
                       double decay) {
    for (size_t i = 0; i < n; i++) {
        double g = (double)gradient[i] + decay * w[i];
        m[i] = 0.9 * m[i] + (1 - 0.9) * g;
        v[i] = 0.999 * v[i] + (1 - 0.999) * g * g;
        double denominator = sqrt(v[i]) / sqrt(1 - pow(0.999, t)) + 1e-8;
        w[i] -= lr / (1 - pow(0.9, t)) * (m[i] / denominator);
    }
}

typedef struct fixture {
    mq_net *net;
    mq_model *model;
    mq_optimizer *optimizer;
    mq_param *params;
    int count;
} fixture;

static void begin(fixture *f, mq_method method) {
    OK(mq_net_parse("t.yaml", NET, strlen(NET), &f->net, ERROR));
    const mq_model_options o = {
        .mode = MQ_MODE_SEARCH, .share = true, .training = true, .compute = MQ_F32, .batch = 2};
    OK(mq_model_create(f->net, &o, &f->model, ERROR));
    mq_model_initialise(f->model, 1);
    OK(mq_optimizer_create(f->model, method, &f->optimizer, ERROR));
    f->params = mq_model_params(f->model, &f->count);
    assert_true(f->count <= 16);
}

static void end(fixture *f) {
    mq_optimizer_destroy(f->optimizer);
    mq_optimizer_destroy(NULL);
    mq_model_destroy(f->model);
    mq_net_free(f->net);
}

static void make_gradients(fixture *f, int step) {
    for (int i = 0; i < f->count; i++) {
        const mq_param *p = &f->params[i];
        const mq_rng rng = mq_rng_stream((uint64_t)step, p->spec->name, 0);
        for (size_t e = 0; p->grad && e < p->count; e++) p->grad[e] = 0.1f * mq_rng_normal(&rng, e);
    }
}

static const mq_rule *rule_of(const mq_param *p, const mq_rule rules[MQ_GROUPS]) {
    const char *name = p->spec->name;
    if (strstr(name, "alpha_")) return &rules[MQ_GROUP_ALPHAS];
    if (strstr(name, ".bias") || strstr(name, ".beta")) return &rules[MQ_GROUP_BIASES];
    return &rules[strstr(name, ".gamma") ? MQ_GROUP_SCALES : MQ_GROUP_WEIGHTS];
}

static void check(const mq_rule rules[MQ_GROUPS]) {
    enum { STEPS = 4 };
    fixture f;
    const char *name;
    begin(&f, MQ_SGD);
    float *w[16], *v[16];
    for (int i = 0; i < f.count; i++) {
        const mq_param *p = &f.params[i];
        OK(mq_alloc(p->count, sizeof(float), "test", &w[i], ERROR));
        OK(mq_alloc(p->count, sizeof(float), "test", &v[i], ERROR));
        memcpy(w[i], p->value, p->count * sizeof(float));
        assert_int_equal(mq_optimizer_memory(f.optimizer, i, 0, &name) != NULL,
                         mq_param_trained(p->spec->kind));
        assert_null(mq_optimizer_memory(f.optimizer, i, 1, &name));
    }
    for (int step = 0; step < STEPS; step++) {
        make_gradients(&f, step);
        for (int i = 0; i < f.count; i++) {
            const mq_param *p = &f.params[i];
            const mq_rule *rule = rule_of(p, rules);
            if (p->grad)
                torch_sgd(w[i], v[i], p->grad, p->count, step == 0, (float)rule->lr, (float)rule->momentum,
                          (float)rule->decay, rule->nesterov);
        }
        mq_optimizer_step(f.optimizer, rules);
        for (int i = 0; i < f.count; i++) {
            const mq_param *p = &f.params[i];
            for (size_t e = 0; e < p->count; e++)
                if (p->value[e] != w[i][e])
                    fail_msg("step %d: %s[%zu]: got %.9g, expected %.9g", step + 1, p->spec->name, e,
                             (double)p->value[e], (double)w[i][e]);
            if (!p->grad) continue;
            assert_memory_equal(mq_optimizer_memory(f.optimizer, i, 0, &name), v[i],
                                p->count * sizeof(float));
            assert_string_equal(name, "momentum");
        }
    }
    for (int i = 0; i < f.count; i++) {
        mq_free(w[i]);
        mq_free(v[i]);
    }
    end(&f);
}

/* The alphas go by SGD, everything else by Adam, each with the rates of its group. */
static void adam_like_torch(void **state) {
    (void)state;
    const mq_rule rules[MQ_GROUPS] = {
        {0.01, 0.9, 0, true}, {0.01, 0.9, 0.02, true}, {0.02, 0.9, 0, true}, {0.05, 0.937, 4.84e-4, false}};
    fixture f;
    const char *name;
    begin(&f, MQ_ADAM);
    double *w[16], *m[16], *v[16];
    float *aw[16], *av[16];
    for (int i = 0; i < f.count; i++) {
        const mq_param *p = &f.params[i];
        OK(mq_alloc(p->count, sizeof(double), "test", &w[i], ERROR));
        OK(mq_alloc(p->count, sizeof(double), "test", &m[i], ERROR));
        OK(mq_alloc(p->count, sizeof(double), "test", &v[i], ERROR));
        OK(mq_alloc(p->count, sizeof(float), "test", &aw[i], ERROR));
        OK(mq_alloc(p->count, sizeof(float), "test", &av[i], ERROR));
        for (size_t e = 0; e < p->count; e++) w[i][e] = (double)(aw[i][e] = p->value[e]);
    }
    for (int step = 1; step <= 5; step++) {
        make_gradients(&f, step);
        mq_optimizer_step(f.optimizer, rules);
        assert_int_equal(*mq_optimizer_updates(f.optimizer), step);
        for (int i = 0; i < f.count; i++) {
            const mq_param *p = &f.params[i];
            const mq_rule *rule = rule_of(p, rules);
            if (!p->grad) continue;
            if (mq_param_is_alpha(p->spec->kind)) {
                torch_sgd(aw[i], av[i], p->grad, p->count, step == 1, (float)rule->lr, (float)rule->momentum,
                          (float)rule->decay, false);
                assert_memory_equal(p->value, aw[i], p->count * sizeof(float));
                assert_null(mq_optimizer_memory(f.optimizer, i, 1, &name));
                continue;
            }
            torch_adam(w[i], m[i], v[i], p->grad, p->count, step, rule->lr, rule->decay);
            const float *moment = mq_optimizer_memory(f.optimizer, i, 1, &name);
            assert_string_equal(name, "moment2");
            for (size_t e = 0; e < p->count; e++) {
                if (!(fabs((double)p->value[e] - w[i][e]) <= 1e-6 * (1 + fabs(w[i][e]))))
                    fail_msg("step %d: %s[%zu]: got %.9g, expected %.9g", step, p->spec->name, e,
                             (double)p->value[e], w[i][e]);
                assert_true(fabs((double)moment[e] - v[i][e]) <= 1e-5 * v[i][e]);
            }
        }
    }
    for (int i = 0; i < f.count; i++) {
        mq_free(w[i]);
        mq_free(m[i]);
        mq_free(v[i]);
        mq_free(aw[i]);
        mq_free(av[i]);
    }
    end(&f);
}

static void like_torch(void **state) {
    (void)state;
    const mq_rule plain[MQ_GROUPS] = {{.lr = 0.1}, {.lr = 0.1}, {.lr = 0.1}, {.lr = 0.01}};
    const mq_rule usual = {0.1, 0.9, 5e-4, false}, one = {0.01, 0.937, 0.1, true};
    const mq_rule classification[MQ_GROUPS] = {usual, usual, usual, usual};
    const mq_rule detection[MQ_GROUPS] = {
        one, {0.01, 0.937, 0, true}, {0.02, 0.9, 0, true}, {0.01, 0.937, 4.84e-4, false}};
    check(plain);
    check(classification);
    check(detection);
}

/* After a step the model quantises its new weights. */
static void the_model_sees_the_step(void **state) {
    (void)state;
    mq_net *net;
    mq_model *model;
    mq_optimizer *optimizer;
    OK(mq_net_parse("t.yaml", NET, strlen(NET), &net, ERROR));
    mq_bits bits;
    mq_bits_uniform(net, 4, 4, &bits);
    const mq_model_options o = {
        .mode = MQ_MODE_FIXED, .bits = &bits, .share = true, .training = true, .compute = MQ_F32, .batch = 2};
    OK(mq_model_create(net, &o, &model, ERROR));
    mq_model_initialise(model, 1);
    OK(mq_optimizer_create(model, MQ_SGD, &optimizer, ERROR));
    static uint8_t images[800];
    for (size_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)(i * i % 251);
    float before[6], d_output[6] = {1, -1, 0.5f, 2, 0, -1};
    const float *output;
    OK(mq_model_forward(model, images, 2, true, &output, ERROR));
    memcpy(before, output, sizeof before);
    OK(mq_model_backward(model, d_output, ERROR));
    const mq_rule rules[MQ_GROUPS] = {{.lr = 0.5}};
    mq_optimizer_step(optimizer, rules);
    OK(mq_model_forward(model, images, 2, true, &output, ERROR));
    double change = 0, wanted = 0;
    for (int i = 0; i < 6; i++) {
        wanted += (double)d_output[i] * (double)(output[i] - before[i]);
        change += fabs((double)(output[i] - before[i]));
    }
    assert_true(change > 0);
    assert_true(wanted < 0); /* downhill */
    mq_optimizer_destroy(optimizer);
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

static bool near(double a, double b) {
    return fabs(a - b) < 1e-14;
}

/* Numbers of the published recipes, by hand. */
static void schedules(void **state) {
    (void)state;
    mq_rule r[MQ_GROUPS];
    mq_schedule s = mq_recipe_for(MQ_TASK_DETECTION)->schedule;
    s.weights.lr = 0.01;
    s.weights.decay = 0.001;
    /* 15 batches: round(30/15) = 2, at least 3 epochs of warm-up; 4 batches: round(7.5) = 8 */
    for (int e = 0; e < 12; e++) {
        const double cosine_part = (1 + cos(M_PI * e / 35)) / 2;
        const int warm[] = {3, 8, 0};
        const size_t batches[] = {15, 4, 4};
        for (int k = 0; k < 3; k++) {
            s.warm_up = k < 2 ? MQ_WARM_UP_AUTO : 0;
            mq_schedule_at(&s, 35, e, batches[k], r);
            assert_true(near(r[MQ_GROUP_WEIGHTS].lr, 0.01 * (cosine_part * 0.999 + 0.001)));
            assert_true(near(r[MQ_GROUP_SCALES].lr, r[MQ_GROUP_WEIGHTS].lr));
            assert_true(near(r[MQ_GROUP_ALPHAS].lr, 0.01 * (cosine_part * 0.9 + 0.1)));
            const bool warming = e < warm[k];
            const double part = warming ? (double)e / warm[k] : 1;
            assert_true(near(r[MQ_GROUP_BIASES].lr,
                             warming ? 0.1 - 0.08 * part : 0.02 * (cosine_part * 0.999 + 0.001)));
            assert_true(near(r[MQ_GROUP_BIASES].momentum, warming ? 0.9 + 0.037 * part : 0.937));
            assert_true(r[MQ_GROUP_WEIGHTS].momentum == 0.937 && r[MQ_GROUP_WEIGHTS].nesterov);
            assert_true(r[MQ_GROUP_ALPHAS].momentum == 0.937 && !r[MQ_GROUP_ALPHAS].nesterov);
            assert_true(r[MQ_GROUP_ALPHAS].decay == 4.84e-4);
            /* decay that was asked for acts on weights alone */
            assert_true(r[MQ_GROUP_WEIGHTS].decay == 0.001);
            assert_true(r[MQ_GROUP_SCALES].decay == 0 && r[MQ_GROUP_BIASES].decay == 0);
        }
    }
    const mq_recipe *classification = mq_recipe_for(MQ_TASK_CLASSIFICATION);
    s = classification->schedule;
    s.weights.lr = classification->search_lr;
    mq_schedule_at(&s, 40, 0, 391, r);
    for (int g = 0; g < MQ_GROUPS; g++)
        assert_true(r[g].lr == 0.1 && r[g].momentum == 0.9 && r[g].decay == 5e-4 && !r[g].nesterov);
    mq_schedule_at(&s, 40, 20, 391, r);
    assert_true(near(r[MQ_GROUP_BIASES].lr, 0.1 * 0.505) && near(r[MQ_GROUP_ALPHAS].lr, 0.1 * 0.65));
    assert_true(mq_recipe_for(MQ_TASK_DETECTION)->price == 4 && classification->price == 1);
    assert_true(mq_recipe_for(MQ_TASK_DETECTION)->schedule.weights.decay == 0);
}

static int one_thread(void **state) {
    (void)state;
    mq_threads_set(1);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_torch),
        cmocka_unit_test(adam_like_torch),
        cmocka_unit_test(the_model_sees_the_step),
        cmocka_unit_test(cosine),
        cmocka_unit_test(schedules),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
