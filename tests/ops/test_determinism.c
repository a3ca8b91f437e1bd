/* test_determinism.c - what may not change a result by a bit: the thread count and, where operands are
 * integer codes, their number type.
 *
 * Sums of codes are exact below 2^24 in float32 (the largest here, 4096 products of 8-bit codes of random
 * sign, stay under 2^22), and statistics are summed in tasks that do not depend on the threads. So the
 * forward pass of a fixed network is the same in float32 and bfloat16 and for any number of threads, in
 * training and evaluation. A mixed network's is not: its operands are no integers. */
#include "helper_ops.h"

#include <string.h>

#include "ops/precision.h"

enum { STEPS = 2 };

/* Everything a forward leaves: outputs in training and in evaluation, running statistics between. */
typedef struct result {
    float *values;
    size_t count, used;
} result;

static void keep(result *r, const float *values, size_t count) {
    assert_true(r->used + count <= r->count);
    memcpy(r->values + r->used, values, count * sizeof *values);
    r->used += count;
}

static result run(const mq_net *net, const mq_bits *bits, int n, int threads, mq_dtype compute) {
    const mq_model_options o = {
        .mode = MQ_MODE_FIXED, .bits = bits, .share = true, .training = true, .compute = compute, .batch = n};
    result r = {.count = 1 << 17};
    OK(mq_alloc(r.count, sizeof *r.values, "test", &r.values, ERROR));
    mq_threads_set(threads);
    mq_model *model;
    OK(mq_model_create(net, &o, &model, ERROR));
    mq_model_initialise(model, 3);
    const size_t outputs = (size_t)n * ops_elements(mq_net_output(net));
    for (uint64_t step = 0; step < STEPS; step++) {
        uint8_t *images = ops_images(net, n, step);
        const float *output;
        OK(mq_model_forward(model, images, n, true, &output, ERROR));
        keep(&r, output, outputs);
        OK(mq_model_forward(model, images, n, false, &output, ERROR));
        keep(&r, output, outputs);
        mq_free(images);
    }
    int count;
    const mq_param *params = mq_model_params(model, &count);
    for (int i = 0; i < count; i++)
        if (!mq_param_trained(params[i].spec->kind)) keep(&r, params[i].value, params[i].count);
    mq_model_destroy(model);
    mq_threads_set(1);
    return r;
}

static void same(const char *what, const result *a, const result *b) {
    assert_int_equal(a->used, b->used);
    for (size_t i = 0; i < a->used; i++) {
        uint32_t x, y;
        memcpy(&x, &a->values[i], sizeof x);
        memcpy(&y, &b->values[i], sizeof y);
        if (x != y)
            fail_msg("%s: number %zu of %zu: %.9g and %.9g", what, i, a->used, (double)a->values[i],
                     (double)b->values[i]);
    }
}

static void check(const mq_net *net, int n) {
    mq_dtype fast;
    OK(mq_precision(MQ_PRECISION_AUTO, &fast, ERROR));
    for (int turn = 0; turn < 2; turn++) {
        const mq_bits bits = ops_bits(net, 3 * turn, false);
        result one = run(net, &bits, n, 1, MQ_F32), again = run(net, &bits, n, 1, MQ_F32);
        result two = run(net, &bits, n, 2, MQ_F32), fastest = run(net, &bits, n, 2, fast);
        same("the same twice", &one, &again);
        same("1 and 2 threads", &one, &two);
        same("float32 on 1 thread and the fastest type on 2", &one, &fastest);
        mq_free(one.values);
        mq_free(again.values);
        mq_free(two.values);
        mq_free(fastest.values);
    }
}

static void small_networks(void **state) {
    (void)state;
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        mq_net *net = ops_open(w->text);
        check(net, w->many);
        mq_net_free(net);
    }
}

static void large_images(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NET_LARGE.text);
    check(net, OPS_NET_LARGE.many);
    mq_net_free(net);
}

/* Large enough that every loop is cut into several tasks. */
static void a_real_network(void **state) {
    (void)state;
    mq_net *net;
    OK(mq_net_open("vgg_tiny", &net, ERROR));
    check(net, 3);
    mq_net_free(net);
}

static void same_gradients(mq_model *a, mq_model *b) {
    int count;
    const mq_param *p = mq_model_params(a, &count), *q = mq_model_params(b, &count);
    for (int i = 0; i < count; i++)
        if (p[i].grad) assert_memory_equal(p[i].grad, q[i].grad, p[i].count * sizeof(float));
}

/* A step of a search, gradients included, on one thread: the same bits each time. */
static void a_search_step_repeats(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NETS[1].text);
    const mq_model_options o = {
        .mode = MQ_MODE_SEARCH, .training = true, .compute = MQ_F32, .batch = OPS_NETS[1].many};
    mq_model *a = ops_model(net, &o, 4), *b = ops_model(net, &o, 4);
    uint8_t *images = ops_images(net, o.batch, 4);
    float *d_output = ops_normal((size_t)o.batch * ops_elements(mq_net_output(net)), 4);
    mq_model *models[] = {a, b};
    for (int i = 0; i < 2; i++) {
        const float *output;
        OK(mq_model_forward(models[i], images, o.batch, true, &output, ERROR));
        OK(mq_model_backward(models[i], d_output, ERROR));
    }
    same_gradients(a, b);
    mq_model_destroy(a);
    mq_model_destroy(b);
    mq_free(images);
    mq_free(d_output);
    mq_net_free(net);
}

static mq_status fail_at(void *context, int node, mq_error *error) {
    return node == *(int *)context ? mq_fail(error, MQ_INTERNAL, "as asked") : MQ_OK;
}

/* Of the same batch: gradients after steps that broke off behind each of the nodes, and without. */
static void a_failed_step_leaves_nothing(void **state) {
    (void)state;
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        mq_net *net = ops_open(w->text);
        const mq_model_options o = {
            .mode = MQ_MODE_SEARCH, .share = true, .training = true, .compute = MQ_F32, .batch = w->many};
        mq_model *a = ops_model(net, &o, 4), *b = ops_model(net, &o, 4);
        uint8_t *images = ops_images(net, o.batch, 4);
        float *d_output = ops_normal((size_t)o.batch * ops_elements(mq_net_output(net)), 4);
        const float *output;
        OK(mq_model_forward(b, images, o.batch, true, &output, ERROR));
        OK(mq_model_backward(b, d_output, ERROR));
        for (int node = net->node_count - 1; node >= 0; node--) {
            mq_error error = {0};
            OK(mq_model_forward(a, images, o.batch, true, &output, ERROR));
            assert_int_equal(mq_model_backward_by_node(a, d_output, fail_at, &node, &error), MQ_INTERNAL);
            OK(mq_model_forward(a, images, o.batch, true, &output, ERROR));
            OK(mq_model_backward(a, d_output, ERROR));
            same_gradients(a, b);
        }
        mq_model_destroy(a);
        mq_model_destroy(b);
        mq_free(images);
        mq_free(d_output);
        mq_net_free(net);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_networks),
        cmocka_unit_test(large_images),
        cmocka_unit_test(a_real_network),
        cmocka_unit_test(a_search_step_repeats),
        cmocka_unit_test(a_failed_step_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
