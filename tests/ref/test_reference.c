/* test_reference.c - the gradients of the float64 reference by finite differences of whole small networks:
 * every parameter and every operator's output. */
#include "helper_reference.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"

typedef struct moved {
    fixture *f;
    double *value; /* a parameter, or */
    int node;      /* a node's output */
    size_t element;
} moved;

static double loss_with_value(void *context, double delta) {
    moved *m = context;
    const double before = *m->value;
    *m->value = before + delta;
    const double l = loss(m->f);
    *m->value = before;
    return l;
}

static double loss_with_output(void *context, double delta) {
    moved *m = context;
    mq_ref_nudge(m->f->ref, m->node, m->element, delta);
    const double l = loss(m->f);
    mq_ref_nudge(m->f->ref, -1, 0, 0);
    return l;
}

static void check_params(const char *what, fixture *f, bool alphas_only) {
    int count;
    mq_ref_param *params = mq_ref_params(f->ref, &count);
    for (int i = 0; i < count; i++) {
        mq_ref_param *p = &params[i];
        if (!mq_param_trained(p->spec->kind) || (alphas_only && !mq_param_is_alpha(p->spec->kind))) continue;
        const double scale = largest(p->grad, p->count);
        const size_t stride = 1 + p->count / 24;
        for (size_t e = 0; e < p->count; e += stride) {
            moved m = {.f = f, .value = &p->value[e]};
            compare(what, p->spec->name, e, p->grad[e], difference(loss_with_value, &m), scale);
        }
    }
}

static void check_outputs(const char *what, fixture *f) {
    for (int i = 1; i < f->net->node_count; i++) {
        const mq_node *node = &f->net->nodes[i];
        const size_t n = (size_t)f->n * elements(node), stride = 1 + n / 24;
        const double *grad = mq_ref_output_grad(f->ref, i), scale = largest(grad, n);
        for (size_t e = 0; e < n; e += stride) {
            moved m = {.f = f, .node = i, .element = e};
            compare(what, node->name, e, grad[e], difference(loss_with_output, &m), scale);
        }
    }
    const double *image = mq_ref_output_grad(f->ref, 0);
    assert_true(largest(image, (size_t)f->n * elements(&f->net->nodes[0])) == 0);
}

static void check_network(const char *text, mq_mode mode, bool share, bool symmetric, int n, bool training) {
    fixture f;
    char what[160];
    begin(&f, text, mode, share, symmetric, n, training);
    snprintf(what, sizeof what, "%s %s%s%s, %d images, %s", f.net->name, mq_mode_name(mode),
             share ? " shared" : "", symmetric ? " symmetric" : "", n, training ? "training" : "evaluation");
    const double value = loss(&f);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    OK(mq_ref_surrogate(f.ref, true, ERROR));
    const double surrogate = loss(&f);
    if (!(fabs(surrogate - value) <= 1e-12 * fabs(value)))
        fail_msg("%s: loss %.15g, surrogate %.15g", what, value, surrogate);
    check_params(what, &f, false);
    check_outputs(what, &f);
    end(&f);
}

static void gradients_float(void **state) {
    (void)state;
    for (int training = 0; training < 2; training++) {
        check_network(NET_ODD, MQ_MODE_FLOAT, true, false, 1, training);
        check_network(NET_ODD, MQ_MODE_FLOAT, true, false, 3, training);
        check_network(NET_BRANCHES, MQ_MODE_FLOAT, true, false, 1, training);
        check_network(NET_BRANCHES, MQ_MODE_FLOAT, true, false, 3, training);
        check_network(NET_LINEAR, MQ_MODE_FLOAT, true, false, 3, training);
    }
    check_network(NET_LINEAR, MQ_MODE_FLOAT, true, false, 1, false);
    check_network(NET_DOREFA, MQ_MODE_FLOAT, true, false, 2, true);
}

static void gradients_fixed(void **state) {
    (void)state;
    check_network(NET_ODD, MQ_MODE_FIXED, true, false, 1, true);
    check_network(NET_ODD, MQ_MODE_FIXED, true, true, 3, true);
    check_network(NET_BRANCHES, MQ_MODE_FIXED, true, false, 3, true);
    check_network(NET_BRANCHES, MQ_MODE_FIXED, true, true, 1, false);
    check_network(NET_LINEAR, MQ_MODE_FIXED, true, false, 3, true);
    check_network(NET_LINEAR, MQ_MODE_FIXED, true, false, 1, false);
    check_network(NET_DOREFA, MQ_MODE_FIXED, true, false, 3, true);
    check_network(NET_DOREFA, MQ_MODE_FIXED, true, true, 1, false);
}

static void gradients_search(void **state) {
    (void)state;
    check_network(NET_ODD, MQ_MODE_SEARCH, true, false, 1, true);
    check_network(NET_ODD, MQ_MODE_SEARCH, false, false, 3, true);
    check_network(NET_BRANCHES, MQ_MODE_SEARCH, true, true, 3, true);
    check_network(NET_BRANCHES, MQ_MODE_SEARCH, false, false, 1, false);
    check_network(NET_LINEAR, MQ_MODE_SEARCH, true, false, 3, true);
    check_network(NET_LINEAR, MQ_MODE_SEARCH, false, true, 1, false);
    check_network(NET_DOREFA, MQ_MODE_SEARCH, true, false, 3, true);
    check_network(NET_DOREFA, MQ_MODE_SEARCH, false, true, 2, true);
}

/* The alphas of a last layer need no surrogate: its quantisers stand still while they move. */
static void gradients_alphas_exact(void **state) {
    (void)state;
    for (int share = 0; share < 2; share++) {
        fixture f;
        begin(&f, NET_ALONE, MQ_MODE_SEARCH, share, false, 3, true);
        (void)loss(&f);
        OK(mq_ref_backward(f.ref, f.d_output, ERROR));
        check_params("alone", &f, true);
        end(&f);
    }
}

/* The same with decisions that were taken on other numbers. */
static void gradients_override(void **state) {
    (void)state;
    fixture f;
    begin(&f, NET_BRANCHES, MQ_MODE_FIXED, true, false, 3, true);
    float *noisy[8];
    int count = 0;
    (void)loss(&f);
    for (int i = 0; i < f.net->node_count; i++) {
        const mq_node *node = &f.net->nodes[i];
        const bool decides =
            node->op == MQ_OP_MAX_POOL || (node->op == MQ_OP_ACTIVATION && node->act.kind != MQ_ACT_IMAGE);
        if (!decides) continue;
        const size_t n = (size_t)f.n * elements(&f.net->nodes[node->input[0]]);
        const double *x = mq_ref_output(f.ref, node->input[0]);
        const mq_rng rng = mq_rng_stream(3, node->name, 0);
        OK(mq_alloc(n, sizeof(float), "test", &noisy[count], ERROR));
        for (size_t e = 0; e < n; e++) noisy[count][e] = (float)x[e] + 0.3f * mq_rng_normal(&rng, e);
        OK(mq_ref_override(f.ref, i, noisy[count++], ERROR));
    }
    assert_true(count > 3);
    (void)loss(&f);
    OK(mq_ref_backward(f.ref, f.d_output, ERROR));
    OK(mq_ref_surrogate(f.ref, true, ERROR));
    check_params("override", &f, false);
    check_outputs("override", &f);
    end(&f);
    while (count) mq_free(noisy[--count]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_float),    cmocka_unit_test(gradients_fixed),
        cmocka_unit_test(gradients_search),   cmocka_unit_test(gradients_alphas_exact),
        cmocka_unit_test(gradients_override),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
