/* helper_networks.c - built-in networks with random parameters and bits, as checkpoints. */
#include "flow/helper_networks.h"

#include <stdlib.h>

#include "base/rng.h"
#include "ops/model.h"

/* Batch norms that use the codes' range, some falling, some flat. */
static void scatter(mq_param *p, const mq_rng *rng, uint64_t *drawn) {
    for (size_t i = 0; i < p->count; i++) {
        const float z = mq_rng_normal(rng, (*drawn)++);
        if (p->spec->kind == MQ_PARAM_GAMMA) p->value[i] = i % 9 == 4 ? 0 : 0.6f * z;
        if (p->spec->kind == MQ_PARAM_BETA) p->value[i] = 0.4f + 0.3f * z;
        if (p->spec->kind == MQ_PARAM_MEAN) p->value[i] = 0.1f * z;
        if (p->spec->kind == MQ_PARAM_VAR) p->value[i] = 0.02f + 0.1f * z * z;
    }
}

void network_checkpoint(const mq_net *net, uint64_t seed, const char *path, mq_checkpoint *out) {
    mq_error error = {0};
    mq_bits bits;
    mq_model *model;
    mq_st_writer *writer;
    int count;
    const mq_rng rng = mq_rng_stream(seed, "sim networks", 0);
    mq_bits_uniform(net, 4, 4, &bits);
    for (int i = 0; seed && i < net->layer_count; i++) {
        if (net->layers[i].pinned) continue;
        bits.weight[i] = (int8_t)(2 + mq_rng_below(&rng, (uint64_t)(1000000 + i), 7));
        bits.activation[i] = (int8_t)(2 + mq_rng_below(&rng, (uint64_t)(2000000 + i), 7));
    }
    const mq_model_options options = {
        .mode = MQ_MODE_FIXED, .bits = &bits, .share = true, .compute = MQ_F32, .batch = 1};
    const mq_checkpoint_info info = {
        .net = net, .mode = MQ_MODE_FIXED, .share = true, .bits = &bits, .precision = "f32"};
    NEED(mq_model_create(net, &options, &model, &error));
    mq_model_initialise(model, seed);
    NEED(mq_st_writer_create(&writer, &error));
    NEED(mq_checkpoint_describe(writer, &info, &error));
    mq_param *params = mq_model_params(model, &count);
    uint64_t drawn = 0;
    for (int i = 0; i < count; i++) {
        scatter(&params[i], &rng, &drawn);
        const mq_tensor tensor = {.dtype = MQ_F32, .shape = params[i].spec->shape, .data = params[i].value};
        NEED(mq_st_add(writer, params[i].spec->name, &tensor, &error));
    }
    NEED(mq_st_write(writer, path, &error));
    NEED(mq_checkpoint_load(path, out, &error));
    mq_st_writer_free(writer);
    mq_model_destroy(model);
}
