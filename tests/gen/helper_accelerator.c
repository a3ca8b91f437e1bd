/* helper_accelerator.c - see helper_accelerator.h. */
#include "gen/helper_accelerator.h"

#include "accel/allocate.h"
#include "inet/certificate.h"
#include "inet/small_net.h"

static void conv(small_net *s, const char *name, int out, int kernel, bool depthwise, int weight_bits) {
    const mq_inet_edge *in = &s->net->nodes[s->last].edge;
    mq_inet_node node = {.kind = MQ_INET_CONV};
    snprintf(node.name, sizeof node.name, "%s", name);
    int groups = depthwise ? in->c : 1, pad = kernel / 2;
    size_t weights = (size_t)(out * (in->c / groups) * kernel * kernel);
    int8_t *weight = small_weights(s, weights, weight_bits, false);
    node.conv = (mq_inet_conv){.out_channels = out,
                               .kernel_h = kernel,
                               .kernel_w = kernel,
                               .stride_h = 1,
                               .stride_w = 1,
                               .pad_top = pad,
                               .pad_left = pad,
                               .pad_bottom = pad,
                               .pad_right = pad,
                               .groups = groups,
                               .weight_bits = weight_bits,
                               .weight_scale = 0.125,
                               .weight = weight};
    small_add(s, &node);
    free(weight);
}

static int node_of(const small_net *s, const char *name) {
    return mq_inet_find(s->net, name);
}

mq_inet *tiny_net(const char *dir, uint64_t seed) {
    small_net s = {.rng = mq_rng_stream(seed, "tiny accelerator", 0)};
    mq_error error = {0};
    if (mq_inet_create(&s.net, &error) != MQ_OK) abort();
    strcpy(s.net->model, "tiny-net");
    strcpy(s.net->bitw, "44444");
    strcpy(s.net->bita, "84444");
    s.net->classes = 5;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .dump = "image", .image = {8, 12, 3, 6}};
    small_add(&s, &image);
    conv(&s, "conv0", 8, 3, false, 4);
    small_requant(&s, "conv0.requant", "conv0", 4, false, false);
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "pool0", .dump = "pool0", .pool = {2, 2}};
    small_add(&s, &pool);
    conv(&s, "conv1", 8, 3, true, 3);
    small_requant(&s, "conv1.requant", "conv1", 3, false, false);
    conv(&s, "conv2", 12, 1, false, 4);
    small_requant(&s, "conv2.requant", "conv2", 4, false, false);
    mq_inet_node pool1 = {.kind = MQ_INET_MAX_POOL, .name = "pool1", .pool = {2, 2}};
    small_add(&s, &pool1);
    mq_inet_node reorg = {.kind = MQ_INET_REORG,
                          .name = "reorg0",
                          .dump = "reorg0",
                          .input = {node_of(&s, "conv2.requant")},
                          .input_count = 1};
    small_add(&s, &reorg);
    mq_inet_node concat = {.kind = MQ_INET_CONCAT,
                           .name = "concat0",
                           .input = {node_of(&s, "reorg0"), node_of(&s, "pool1")},
                           .input_count = 2};
    small_add(&s, &concat);
    conv(&s, "conv3", 6, 3, false, 2);
    small_requant(&s, "conv3.requant", "conv3", 4, false, false);
    small_linear(&s, "linear4", 5);
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {.divisor = 12.75}};
    small_add(&s, &output);
    char path[512];
    json_t *certificate = NULL;
    snprintf(path, sizeof path, "%s/" MQ_CERTIFICATE_FILE, dir);
    if (mq_inet_finish(s.net, &error) != MQ_OK || mq_inet_save(s.net, dir, &error) != MQ_OK ||
        mq_certificate_describe(s.net, &certificate, &error) != MQ_OK ||
        mq_json_save(path, certificate, &error) != MQ_OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    json_decref(certificate);
    return s.net;
}

mq_inet_plan *tiny_plan(const mq_inet *net) {
    mq_inet_plan *plan;
    mq_device device;
    mq_error error = {0};
    mq_accel_request request = {.device = &device, .target_fps = TINY_FPS, .multipliers = MQ_ACCEL_DSP};
    if (mq_device_open("ultra96v2", &device, &error) != MQ_OK ||
        mq_accel_allocate(net, &request, &plan, &error) != MQ_OK) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    return plan;
}
