/* helper_reference.c - the networks and the loss. */
#include "helper_reference.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/rng.h"

/* Odd sizes, stride 2, depthwise, groups, with and without bias, ReLU6. */
const char NET_ODD[] = "name: odd\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                       "input: {channels: 3, height: 9, width: 7}\n"
                       "layers:\n"
                       "  - conv: {out: 5, kernel: 3, stride: 2, bias: true}\n"
                       "  - batch_norm\n"
                       "  - conv: {kernel: 3, groups: depthwise, activation: relu6}\n"
                       "  - batch_norm\n"
                       "  - conv: {out: 6, kernel: 1}\n"
                       "  - batch_norm\n"
                       "  - max_pool: {kernel: 2}\n"
                       "  - conv: {out: 6, kernel: 3, groups: 3, bias: true}\n";

/* Tensors with several readers, reorg, concat, an unsearched layer, a large kernel with a stride of 3. */
const char NET_BRANCHES[] =
    "name: branches\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
    "input: {channels: 2, height: 8, width: 6}\n"
    "layers:\n"
    "  - conv: {out: 3, kernel: 3}\n"
    "  - batch_norm: {name: b}\n"
    "  - max_pool: {kernel: 2, name: p}\n"
    "  - conv: {out: 2, kernel: 5, weight_bits: 3, activation_bits: 5}\n"
    "  - batch_norm: {name: low}\n"
    "  - reorg: {stride: 2, from: b, name: r}\n"
    "  - conv: {out: 4, kernel: 5, stride: 2, padding: 2, from: b, bias: true, name: side}\n"
    "  - concat: {from: [r, low, side], name: all}\n"
    "  - conv: {out: 6, kernel: 1, from: all}\n";

/* Even kernel, overlapping pool, linear layers (their order of weights), batch norm of a linear layer. */
const char NET_LINEAR[] = "name: linear\ntask: classification\nclasses: 3\n"
                          "input: {channels: 1, height: 5, width: 6}\n"
                          "layers:\n"
                          "  - conv: {out: 4, kernel: 2, padding: 0, bias: true}\n"
                          "  - max_pool: {kernel: 3, stride: 1}\n"
                          "  - linear: {out: 5}\n"
                          "  - batch_norm\n"
                          "  - linear: {out: 3, weight_bits: 8, activation_bits: 8}\n";

/* The other quantisers: a pinned layer, several readers, a large kernel, ReLU6 that is none. */
const char NET_DOREFA[] =
    "name: dorefa\nquantizer: dorefa\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
    "input: {channels: 2, height: 8, width: 6}\n"
    "layers:\n"
    "  - conv: {out: 3, kernel: 3}\n"
    "  - batch_norm: {name: b}\n"
    "  - max_pool: {kernel: 2, name: p}\n"
    "  - conv: {out: 2, kernel: 5, weight_bits: 3, activation_bits: 5}\n"
    "  - batch_norm: {name: low}\n"
    "  - reorg: {stride: 2, from: b, name: r}\n"
    "  - conv: {out: 4, kernel: 3, stride: 2, from: b, bias: true, name: side}\n"
    "  - concat: {from: [r, low, side], name: all}\n"
    "  - conv: {out: 6, kernel: 1, from: all, activation: relu6, bias: true}\n";

/* One layer: nothing is rounded behind its alphas. */
const char NET_ALONE[] = "name: alone\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                         "input: {channels: 3, height: 5, width: 4}\n"
                         "layers:\n"
                         "  - conv: {out: 6, kernel: 3, bias: true}\n";

/* A max pool right behind a 1x1 convolution. */
const char NET_TIES[] = "name: ties\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                        "input: {channels: 1, height: 5, width: 4}\n"
                        "layers:\n"
                        "  - conv: {out: 2, kernel: 1}\n"
                        "  - max_pool\n"
                        "  - conv: {out: 6, kernel: 1}\n";

size_t elements(const mq_node *node) {
    return (size_t)node->h * (size_t)node->w * (size_t)node->c;
}

int node_named(const mq_net *net, const char *name) {
    for (int i = 0; i < net->node_count; i++)
        if (strcmp(net->nodes[i].name, name) == 0) return i;
    fail_msg("no node %s", name);
    return -1;
}

/* Random parameters that are float32 numbers, of usual sizes. */
static void randomise(fixture *f, uint64_t seed) {
    int count;
    mq_ref_param *params = mq_ref_params(f->ref, &count);
    for (int i = 0; i < count; i++) {
        mq_ref_param *p = &params[i];
        const mq_rng rng = mq_rng_stream(seed, p->spec->name, 0);
        float *values;
        OK(mq_alloc(p->count, sizeof *values, "test", &values, ERROR));
        for (size_t e = 0; e < p->count; e++) {
            const float normal = mq_rng_normal(&rng, e);
            switch (p->spec->kind) {
            case MQ_PARAM_GAMMA:
                values[e] = 1.2f + 0.2f * normal;
                break;
            case MQ_PARAM_VAR:
                values[e] = 0.5f + mq_rng_uniform(&rng, e);
                break;
            default:
                values[e] = 0.6f * normal;
            }
        }
        mq_ref_set(p, values);
        mq_free(values);
    }
    const mq_rng rng = mq_rng_stream(seed, "images", 0);
    for (size_t e = 0; e < (size_t)f->n * elements(&f->net->nodes[0]); e++)
        f->images[e] = (uint8_t)mq_rng_below(&rng, e, 256);
    for (size_t e = 0; e < f->outputs; e++) {
        f->linear[e] = mq_rng_normal(&rng, 1000000 + e);
        f->square[e] = mq_rng_normal(&rng, 2000000 + e);
    }
}

static void open_net(const char *text, mq_net **net) {
    OK(mq_net_parse("test.yaml", text, strlen(text), net, ERROR));
}

void begin(fixture *f, const char *text, mq_mode mode, bool share, bool symmetric, int n, bool training) {
    *f = (fixture){.n = n, .training = training, .symmetric = symmetric};
    open_net(text, &f->net);
    mq_bits bits = {.count = f->net->layer_count};
    for (int l = 0; l < bits.count; l++) {
        bits.weight[l] = (int8_t)(1 + (l + 1) % 8);
        bits.activation[l] = (int8_t)(1 + (3 * l + 7) % 8);
    }
    const mq_ref_options options = {.mode = mode,
                                    .bits = mode == MQ_MODE_FIXED ? &bits : NULL,
                                    .share = share,
                                    .symmetric = symmetric,
                                    .batch = MOST_IMAGES};
    OK(mq_ref_create(f->net, &options, &f->ref, ERROR));
    f->outputs = (size_t)n * elements(mq_net_output(f->net));
    OK(mq_alloc((size_t)n * elements(&f->net->nodes[0]), 1, "test", &f->images, ERROR));
    OK(mq_alloc(f->outputs, sizeof(double), "test", &f->linear, ERROR));
    OK(mq_alloc(f->outputs, sizeof(double), "test", &f->square, ERROR));
    OK(mq_alloc(f->outputs, sizeof(double), "test", &f->d_output, ERROR));
    randomise(f, 11);
}

void refix(fixture *f, int weight_bits, int activation_bits) {
    mq_bits bits;
    mq_bits_uniform(f->net, weight_bits, activation_bits, &bits);
    const mq_ref_options options = {
        .mode = MQ_MODE_FIXED, .bits = &bits, .symmetric = f->symmetric, .batch = MOST_IMAGES};
    mq_ref_destroy(f->ref);
    OK(mq_ref_create(f->net, &options, &f->ref, ERROR));
    randomise(f, 5);
}

void end(fixture *f) {
    mq_ref_destroy(f->ref);
    mq_net_free(f->net);
    mq_free(f->images);
    mq_free(f->linear);
    mq_free(f->square);
    mq_free(f->d_output);
}

double loss(fixture *f) {
    OK(mq_ref_forward(f->ref, f->images, f->n, f->training, ERROR));
    const double *y = mq_ref_output(f->ref, f->net->output);
    double sum = 0;
    for (size_t e = 0; e < f->outputs; e++) {
        sum += f->linear[e] * y[e] + 0.5 * f->square[e] * y[e] * y[e];
        f->d_output[e] = f->linear[e] + f->square[e] * y[e];
    }
    return sum;
}

double difference(double (*fn)(void *, double), void *context) {
    const double h = 2e-4;
    return (8 * (fn(context, h) - fn(context, -h)) - (fn(context, 2 * h) - fn(context, -2 * h))) / (12 * h);
}

void compare(const char *what, const char *name, size_t element, double gradient, double numeric,
             double scale) {
    const double unit = scale > 1e-9 ? scale : 1;
    if (!(fabs(gradient - numeric) <= 1e-7 * unit))
        fail_msg("%s: %s[%zu]: gradient %.12g, finite difference %.12g, largest of the tensor %.3g", what,
                 name, element, gradient, numeric, scale);
}

double largest(const double *v, size_t n) {
    double most = 0;
    for (size_t e = 0; e < n; e++) most = fmax(most, fabs(v[e]));
    return most;
}

int one_thread(void **state) {
    (void)state;
    mq_threads_set(1);
    return 0;
}
