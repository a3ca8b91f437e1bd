/* small_export.h - the one network of the harnesses whose files belong to a network, saved in fuzz_dir():
 * two convolutions, a pool between them, a linear layer; it can be built. */
#ifndef MIXQ_TESTS_FUZZ_SMALL_EXPORT_H
#define MIXQ_TESTS_FUZZ_SMALL_EXPORT_H

#include "fuzz.h"
#include "inet/small_net.h"

static inline void small_export_layer(small_net *s, const char *name, const char *requant) {
    int8_t *weight = small_weights(s, (size_t)(4 * s->net->nodes[s->last].edge.c * 9), 3, false);
    mq_inet_node node = {.kind = MQ_INET_CONV};
    snprintf(node.name, sizeof node.name, "%s", name);
    node.conv = (mq_inet_conv){.out_channels = 4,
                               .kernel_h = 3,
                               .kernel_w = 3,
                               .stride_h = 1,
                               .stride_w = 1,
                               .pad_top = 1,
                               .pad_left = 1,
                               .pad_bottom = 1,
                               .pad_right = 1,
                               .groups = 1,
                               .weight_bits = 3,
                               .weight = weight};
    small_add(s, &node);
    free(weight);
    small_requant(s, requant, name, 4, false, false);
}

static inline const mq_inet *small_export_in(const char *folder) {
    small_net s = {.rng = mq_rng_stream(1, "small export", 0)};
    fuzz_demand(mq_inet_create(&s.net, NULL) == MQ_OK, "memory");
    strcpy(s.net->model, "small");
    s.net->classes = 3;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .dump = "image"};
    image.image = (mq_inet_image){.h = 6, .w = 6, .c = 2, .bits = 8};
    small_add(&s, &image);
    small_export_layer(&s, "conv0", "conv0.requant");
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "pool0", .dump = "pool0", .pool = {2, 2}};
    small_add(&s, &pool);
    small_export_layer(&s, "conv1", "conv1.requant");
    small_linear(&s, "linear0", 3);
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {.divisor = 12.75}};
    small_add(&s, &output);
    fuzz_demand(mq_inet_finish(s.net, NULL) == MQ_OK, "no network");
    fuzz_demand(mq_inet_save(s.net, folder, NULL) == MQ_OK, "cannot save");
    return s.net;
}

static inline const mq_inet *small_export(void) {
    static const mq_inet *net;
    if (!net) net = small_export_in(fuzz_dir());
    return net;
}

#endif
