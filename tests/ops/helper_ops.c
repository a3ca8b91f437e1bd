/* helper_ops.c - the networks, and random models of them. */
#include "helper_ops.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

/* Odd sizes, a stride of 2, a bias in front of a batch norm, depthwise, ReLU6, groups, a head with bias. */
static const char ODD[] = "name: odd\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                          "input: {channels: 3, height: 9, width: 7}\n"
                          "layers:\n"
                          "  - conv: {out: 5, kernel: 3, stride: 2, bias: true}\n"
                          "  - batch_norm\n"
                          "  - conv: {kernel: 3, groups: depthwise, activation: relu6}\n"
                          "  - batch_norm\n"
                          "  - conv: {out: 20, kernel: 1}\n"
                          "  - batch_norm\n"
                          "  - max_pool: {kernel: 2}\n"
                          "  - conv: {out: 6, kernel: 3, groups: 2, bias: true}\n";

/* A tensor with three readers; reorg; a concat; a convolution without batch norm that two layers read, one of
 * them twice; pinned layers; an overlapping pool. */
static const char BRANCHES[] =
    "name: branches\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
    "input: {channels: 2, height: 12, width: 10}\n"
    "layers:\n"
    "  - conv: {out: 7, kernel: 3}\n"
    "  - batch_norm: {name: b}\n"
    "  - max_pool: {kernel: 2}\n"
    "  - conv: {kernel: 5, groups: depthwise, weight_bits: 3, activation_bits: 5}\n"
    "  - batch_norm: {name: low}\n"
    "  - reorg: {stride: 2, from: b, name: r}\n"
    "  - conv: {out: 4, kernel: 5, stride: 2, from: b, bias: true, name: side}\n"
    "  - conv: {out: 3, kernel: 3, from: side, activation: relu6, name: more}\n"
    "  - concat: {from: [r, low, side, more, side]}\n"
    "  - conv: {out: 17, kernel: 1, weight_bits: 1, activation_bits: 1}\n"
    "  - batch_norm\n"
    "  - max_pool: {kernel: 3, stride: 2}\n"
    "  - conv: {out: 6, kernel: 3}\n";

/* An even kernel without padding, a pool right behind a convolution, linear layers in a chain with and
 * without bias and batch norm. */
static const char CHAIN[] = "name: chain\ntask: classification\nclasses: 5\n"
                            "input: {channels: 1, height: 11, width: 13}\n"
                            "layers:\n"
                            "  - conv: {out: 4, kernel: 2, padding: 0, bias: true}\n"
                            "  - max_pool: {kernel: 3, stride: 2}\n"
                            "  - linear: {out: 21, bias: false}\n"
                            "  - batch_norm\n"
                            "  - linear: {out: 18}\n"
                            "  - linear: {out: 9}\n"
                            "  - batch_norm\n"
                            "  - linear: {out: 5, weight_bits: 8, activation_bits: 8}\n";

/* Two layers on the image, a tensor with three readers that are a reorg of stride 3, a convolution of stride
 * 3 and an overlapping pool, a concat with one tensor twice. */
static const char FORKS[] = "name: forks\ntask: detection\nclasses: 2\nanchors: [[20, 20], [9, 7]]\n"
                            "input: {channels: 3, height: 9, width: 12}\n"
                            "layers:\n"
                            "  - conv: {out: 3, kernel: 3, from: input, name: one}\n"
                            "  - batch_norm: {name: one.bn}\n"
                            "  - conv: {out: 2, kernel: 1, from: input, name: two}\n"
                            "  - concat: {from: [one.bn, two], name: both}\n"
                            "  - reorg: {stride: 3, from: both, name: deep}\n"
                            "  - conv: {out: 6, kernel: 3, stride: 3, from: both, name: third}\n"
                            "  - batch_norm: {name: third.bn}\n"
                            "  - max_pool: {kernel: 5, stride: 2, from: both, name: wide}\n"
                            "  - concat: {from: [deep, third.bn, wide, deep]}\n"
                            "  - conv: {out: 33, kernel: 1}\n"
                            "  - batch_norm\n"
                            "  - max_pool: {kernel: 2, stride: 1}\n"
                            "  - conv: {out: 14, kernel: 3}\n";

/* Depthwise and pointwise pairs, as in SkyNet. */
static const char PAIRS[] = "name: pairs\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                            "input: {channels: 3, height: 10, width: 6}\n"
                            "layers:\n"
                            "  - conv: {kernel: 3, groups: depthwise}\n"
                            "  - batch_norm\n"
                            "  - conv: {out: 24, kernel: 1, activation: relu6}\n"
                            "  - batch_norm\n"
                            "  - max_pool\n"
                            "  - conv: {kernel: 5, groups: depthwise, activation: relu6}\n"
                            "  - batch_norm\n"
                            "  - conv: {out: 40, kernel: 1, activation: relu6}\n"
                            "  - batch_norm\n"
                            "  - conv: {kernel: 3, stride: 2, groups: depthwise, bias: true}\n"
                            "  - conv: {out: 6, kernel: 1, activation: relu6}\n";

/* The other quantisers: branches, ReLU6, pinned layers, biases with and without batch norm, linear layers;
 * the pointwise layers in the middle are wide enough for blocked implementations. */
static const char DOREFA[] = "name: dorefa\nquantizer: dorefa\ntask: classification\nclasses: 5\n"
                             "input: {channels: 3, height: 12, width: 10}\n"
                             "layers:\n"
                             "  - conv: {out: 7, kernel: 3, bias: true}\n"
                             "  - batch_norm: {name: b}\n"
                             "  - max_pool: {kernel: 2}\n"
                             "  - conv: {kernel: 5, groups: depthwise, weight_bits: 3, activation_bits: 5}\n"
                             "  - batch_norm: {name: low}\n"
                             "  - reorg: {stride: 2, from: b, name: r}\n"
                             "  - conv: {out: 4, kernel: 5, stride: 2, from: b, bias: true, name: side}\n"
                             "  - concat: {from: [r, low, side]}\n"
                             "  - conv: {out: 32, kernel: 1, activation: relu6}\n"
                             "  - batch_norm\n"
                             "  - conv: {out: 16, kernel: 3}\n"
                             "  - batch_norm\n"
                             "  - max_pool: {kernel: 3, stride: 2}\n"
                             "  - linear: {out: 21, bias: false}\n"
                             "  - batch_norm\n"
                             "  - linear: {out: 5, weight_bits: 8, activation_bits: 8}\n";

/* Pools of tiles right behind batch norms that nobody else reads, of channels that fill no vector and that
 * fill one and a half. */
static const char TILES[] = "name: tiles\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                            "input: {channels: 3, height: 12, width: 18}\n"
                            "layers:\n"
                            "  - conv: {out: 13, kernel: 3}\n"
                            "  - batch_norm\n"
                            "  - max_pool: {kernel: 2}\n"
                            "  - conv: {out: 5, kernel: 3, activation: relu6, bias: true}\n"
                            "  - batch_norm\n"
                            "  - max_pool: {kernel: 3, stride: 3}\n"
                            "  - conv: {out: 6, kernel: 3}\n";

/* Pointwise layers of two, three and four channels behind which tiles are pooled: the image's three, and what
 * a batch norm and an activation give. */
static const char THIN[] = "name: thin\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                           "input: {channels: 3, height: 12, width: 20}\n"
                           "layers:\n"
                           "  - conv: {out: 16, kernel: 1, name: three}\n"
                           "  - batch_norm\n"
                           "  - max_pool: {kernel: 2}\n"
                           "  - conv: {out: 4, kernel: 3, activation: relu6, bias: true}\n"
                           "  - batch_norm\n"
                           "  - conv: {out: 48, kernel: 1, activation: relu6, name: four}\n"
                           "  - batch_norm\n"
                           "  - max_pool: {kernel: 2}\n"
                           "  - conv: {out: 2, kernel: 3}\n"
                           "  - batch_norm\n"
                           "  - conv: {out: 6, kernel: 1}\n";

/* The same of 3x3 kernels, of an image's three channels and of one. */
static const char WINDOWS[] = "name: windows\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                              "input: {channels: 3, height: 12, width: 20}\n"
                              "layers:\n"
                              "  - conv: {out: 32, kernel: 3, name: three}\n"
                              "  - batch_norm\n"
                              "  - max_pool: {kernel: 2}\n"
                              "  - conv: {out: 1, kernel: 3, activation: relu6, bias: true}\n"
                              "  - conv: {out: 16, kernel: 3, activation: relu6, name: one}\n"
                              "  - batch_norm\n"
                              "  - max_pool: {kernel: 2}\n"
                              "  - conv: {out: 6, kernel: 3}\n";

const char OPS_NET_BLOCKED[] = "name: blocked\ntask: classification\nclasses: 10\n"
                               "input: {channels: 3, height: 16, width: 16}\n"
                               "layers:\n"
                               "  - conv: {out: 16, kernel: 3}\n"
                               "  - batch_norm\n"
                               "  - conv: {out: 16, kernel: 3}\n"
                               "  - batch_norm\n"
                               "  - max_pool\n"
                               "  - conv: {out: 32, kernel: 3}\n"
                               "  - batch_norm\n"
                               "  - max_pool\n"
                               "  - linear: {out: 10, weight_bits: 8, activation_bits: 8}\n";

const ops_net OPS_NETS[] = {
    {ODD, 1, 3},  {BRANCHES, 1, 3}, {CHAIN, 6, 9},           {FORKS, 1, 3},  {PAIRS, 1, 3}, {TILES, 1, 3},
    {THIN, 2, 3}, {WINDOWS, 2, 3},  {OPS_NET_BLOCKED, 1, 3}, {DOREFA, 6, 9}, {NULL, 0, 0}};

const ops_net OPS_NET_LARGE = {"name: large\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                               "input: {channels: 2, height: 120, width: 120}\n"
                               "layers:\n"
                               "  - conv: {out: 24, kernel: 1}\n"
                               "  - batch_norm\n"
                               "  - conv: {kernel: 3, groups: depthwise, activation: relu6, bias: true}\n"
                               "  - batch_norm\n"
                               "  - max_pool: {kernel: 4}\n"
                               "  - conv: {out: 6, kernel: 1}\n",
                               1, 5};

mq_net *ops_open(const char *text) {
    mq_net *net;
    OK(mq_net_parse("test.yaml", text, strlen(text), &net, ERROR));
    return net;
}

size_t ops_elements(const mq_node *node) {
    return (size_t)node->h * (size_t)node->w * (size_t)node->c;
}

mq_bits ops_bits(const mq_net *net, int turn, bool symmetric) {
    mq_bits bits = {.count = net->layer_count};
    for (int l = 0; l < bits.count; l++) {
        bits.weight[l] = (int8_t)(1 + (3 * l + turn) % 8);
        bits.activation[l] = (int8_t)(1 + (7 * l + 3 * turn + 5) % 8);
        if (symmetric && bits.weight[l] == 1) bits.weight[l] = 2;
    }
    return bits;
}

void ops_randomise(mq_model *model, uint64_t seed) {
    int count;
    mq_param *params = mq_model_params(model, &count);
    for (int i = 0; i < count; i++) {
        mq_param *p = &params[i];
        const mq_rng rng = mq_rng_stream(seed, p->spec->name, 1);
        const double fan_in = (double)p->count / (double)p->spec->shape.dim[0];
        for (size_t e = 0; e < p->count; e++) {
            const float normal = mq_rng_normal(&rng, e);
            switch (p->spec->kind) {
            case MQ_PARAM_WEIGHT:
                p->value[e] = (float)(normal / sqrt(fan_in));
                break;
            case MQ_PARAM_GAMMA:
                p->value[e] = (e % 5 == 3 ? -1.0f : 1.0f) + 0.2f * normal;
                break;
            case MQ_PARAM_BETA: /* some channels around the bend of ReLU6, above all quantisers' tops */
                p->value[e] = (e % 4 == 2 ? 6.0f : 0.0f) + 0.6f * normal;
                break;
            case MQ_PARAM_VAR:
                p->value[e] = 0.5f + mq_rng_uniform(&rng, e);
                break;
            default:
                p->value[e] = 0.6f * normal;
            }
        }
    }
    mq_model_touch(model);
}

mq_model *ops_model(const mq_net *net, const mq_model_options *options, uint64_t seed) {
    mq_model *model;
    OK(mq_model_create(net, options, &model, ERROR));
    ops_randomise(model, seed);
    return model;
}

uint8_t *ops_images(const mq_net *net, int n, uint64_t seed) {
    const size_t count = (size_t)n * ops_elements(&net->nodes[0]);
    const mq_rng rng = mq_rng_stream(seed, "images", 0);
    uint8_t *images;
    OK(mq_alloc(count, 1, "test", &images, ERROR));
    for (size_t e = 0; e < count; e++) images[e] = (uint8_t)mq_rng_below(&rng, e, 256);
    return images;
}

float *ops_normal(size_t count, uint64_t seed) {
    const mq_rng rng = mq_rng_stream(seed, "normal", 0);
    float *values;
    OK(mq_alloc(count, sizeof *values, "test", &values, ERROR));
    for (size_t e = 0; e < count; e++) values[e] = mq_rng_normal(&rng, e);
    return values;
}

int ops_one_thread(void **state) {
    (void)state;
    mq_threads_set(1);
    return 0;
}
