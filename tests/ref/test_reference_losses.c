/* test_reference_losses.c - cross entropy and cost terms of the float64 reference: values by hand, gradients
 * by finite differences. */
#include "helper_reference.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

/* ---- losses ---- */

typedef struct logits {
    double z[12];
    int32_t labels[3];
    int moved;
} logits;

static double cross_entropy_with(void *context, double delta) {
    logits l = *(logits *)context;
    l.z[l.moved] += delta;
    return mq_ref_cross_entropy(l.z, l.labels, 3, 4, NULL);
}

static void cross_entropy(void **state) {
    (void)state;
    logits l = {.z = {1, 2, 3, 4, -1, 0.5, 0.25, -3, 700, 699, 701, 698}, .labels = {3, 1, 0}};
    double grad[12];
    const double value = mq_ref_cross_entropy(l.z, l.labels, 3, 4, grad);
    double direct = 0;
    for (int b = 0; b < 3; b++) {
        double sum = 0;
        for (int k = 0; k < 4; k++) sum += exp(l.z[4 * b + k] - l.z[4 * b + l.labels[b]]);
        direct += log(sum) / 3;
    }
    assert_true(fabs(value - direct) < 1e-14);
    for (l.moved = 0; l.moved < 12; l.moved++)
        compare("cross entropy", "logits", (size_t)l.moved, grad[l.moved], difference(cross_entropy_with, &l),
                1);
}

typedef struct cost {
    fixture *f;
    mq_ref_cost which;
    const mq_ref_factors *factors;
    double *alpha;
} cost;

static double cost_with(void *context, double delta) {
    cost *c = context;
    const double before = *c->alpha;
    double value;
    *c->alpha = before + delta;
    OK(mq_ref_cost_term(c->f->ref, c->which, c->factors, 0, &value, ERROR));
    *c->alpha = before;
    return value;
}

static void cost_gradients(void **state) {
    (void)state;
    static mq_ref_factors factors;
    const mq_rng rng = mq_rng_stream(2, "factors", 0);
    for (size_t e = 0; e < sizeof factors.f / sizeof(double); e++)
        (&factors.f[0][0][0])[e] = 1 + 9 * (double)mq_rng_uniform(&rng, e);
    const char *const nets[] = {NET_ODD, NET_BRANCHES, NET_LINEAR};
    for (int k = 0; k < 3; k++)
        for (int which = 0; which < 3; which++) {
            fixture f;
            begin(&f, nets[k], MQ_MODE_SEARCH, true, false, 3, true);
            cost c = {.f = &f, .which = (mq_ref_cost)which, .factors = &factors};
            OK(mq_ref_cost_term(f.ref, c.which, &factors, 0.25, NULL, ERROR));
            int count;
            mq_ref_param *params = mq_ref_params(f.ref, &count);
            for (int i = 0; i < count; i++) {
                mq_ref_param *p = &params[i];
                for (size_t e = 0; mq_param_is_alpha(p->spec->kind) && e < p->count; e++) {
                    c.alpha = &p->value[e];
                    compare("cost", p->spec->name, e, p->grad[e], 0.25 * difference(cost_with, &c),
                            largest(p->grad, p->count));
                }
            }
            end(&f);
        }
}

/* One 3x3 convolution of stride 2 with 4-bit weights and 6-bit activations, worked by hand. */
static void cost_values(void **state) {
    (void)state;
    static mq_ref_factors factors;
    fixture f;
    begin(&f, NET_ODD, MQ_MODE_SEARCH, true, false, 1, true);
    refix(&f, 4, 6);
    factors.f[3][2][4] = 4;
    factors.f[1][2][4] = 2;
    /* Convolutions: 3 -> 5 k3 s2 on 9x7; depthwise 5 k3 on 5x4; 5 -> 6 k1 on 5x4; 6 -> 6 k3 in 3 groups on
     * 2x2. */
    const double macs[] = {3 * 5 * 9 * 63 / 4.0, 5 * 9 * 20, 30 * 20, 6 * 6 * 9 / 3 * 4}, f3[] = {4, 4, 2, 4};
    const double weights[] = {135, 45, 30, 108}, cache[] = {4 * 7 * 3, 4 * 4 * 5, 2 * 4 * 5, 4 * 2 * 6};
    double complexity = 0, trivial = 0, bram = 0, value;
    for (int l = 0; l < 4; l++) {
        complexity += 64 * macs[l] / f3[l] / macs[0];
        trivial += macs[l] * 24 / macs[0];
        bram += 64 * (weights[l] * 4 + cache[l] * 6) / (3 * 63);
    }
    OK(mq_ref_cost_term(f.ref, MQ_REF_COMPLEXITY, &factors, 1, &value, ERROR));
    assert_true(fabs(value / complexity - 1) < 1e-12);
    OK(mq_ref_cost_term(f.ref, MQ_REF_TRIVIAL, NULL, 1, &value, ERROR));
    assert_true(fabs(value / trivial - 1) < 1e-12);
    OK(mq_ref_cost_term(f.ref, MQ_REF_BRAM, NULL, 1, &value, ERROR));
    assert_true(fabs(value / bram - 1) < 1e-12);

    mq_error error = {0};
    factors.f[1][2][4] = 0;
    assert_int_equal(mq_ref_cost_term(f.ref, MQ_REF_COMPLEXITY, &factors, 1, &value, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "conv2: no cost factor for kernel 1 at w4a6"));
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(cost_gradients),
        cmocka_unit_test(cost_values),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
