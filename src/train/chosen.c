/* chosen.c - the fixed network with the weights of a search. */
#include "train/chosen.h"

#include <stdio.h>
#include <string.h>

#include "base/stop.h"
#include "data/loader.h"
#include "train/evaluate.h"

static const mq_param *find(const mq_param *params, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(params[i].spec->name, name) == 0) return &params[i];
    return NULL;
}

/* Tensors have the same names, but for the weights of an unshared search, one per branch. */
static mq_status copy(mq_model *mixed, const mq_bits *bits, mq_model *fixed, mq_error *error) {
    int from_count, count;
    const mq_param *from = mq_model_params(mixed, &from_count);
    mq_param *to = mq_model_params(fixed, &count);
    for (int i = 0; i < count; i++) {
        const mq_param_spec *spec = to[i].spec;
        const mq_param *source = find(from, from_count, spec->name);
        if (!source && spec->kind == MQ_PARAM_WEIGHT) {
            char branch[MQ_MAX_NAME + 64];
            const int layer = mq_model_net(fixed)->nodes[spec->node].layer;
            snprintf(branch, sizeof branch, "%s.%d", spec->name, bits->weight[layer]);
            source = find(from, from_count, branch);
        }
        if (!source || source->count != to[i].count)
            return mq_fail(error, MQ_INTERNAL, "the search has no tensor for %s", spec->name);
        memcpy(to[i].value, source->value, to[i].count * sizeof(float));
    }
    mq_model_touch(fixed);
    return MQ_OK;
}

static mq_status settle(mq_model *fixed, uint64_t seed, const mq_dataset *train, mq_error *error) {
    mq_ranks *ranks = mq_model_get_options(fixed)->ranks;
    mq_loader_options options = {.seed = seed, .shuffle = true};
    mq_loader *loader = NULL;
    mq_evaluate_shares(fixed, &options);
    mq_status status = mq_ranks_agree(ranks, mq_loader_start(train, &options, &loader, error), error);
    if (status == MQ_OK) mq_loader_epoch(loader, 0);
    for (int i = 0; i < MQ_CHOSEN_BATCHES && status == MQ_OK; i++) {
        const float *output;
        const mq_batch *batch = mq_loader_next(loader);
        status = mq_evaluate_goes_on(ranks, mq_loader_status(loader, error), error);
        if (!batch || status != MQ_OK) break;
        status = mq_model_forward(fixed, batch->images, (int)batch->count, true, &output, error);
    }
    mq_loader_stop(loader);
    return status;
}

mq_status mq_chosen_evaluate(mq_model *mixed, const mq_bits *bits, uint64_t seed, const mq_dataset *train,
                             const mq_dataset *test, mq_chosen_scores *out, mq_error *error) {
    mq_model_options options = *mq_model_get_options(mixed);
    options.mode = MQ_MODE_FIXED;
    options.bits = bits;
    options.share = true;
    options.training = true;
    mq_model *fixed;
    MQ_TRY(mq_model_create(mq_model_net(mixed), &options, &fixed, error));
    mq_status status = copy(mixed, bits, fixed, error);
    if (status == MQ_OK) status = mq_evaluate(fixed, test, &out->as_is, NULL, error);
    if (status == MQ_OK) status = settle(fixed, seed, train, error);
    if (status == MQ_OK) status = mq_evaluate(fixed, test, &out->settled, NULL, error);
    mq_model_destroy(fixed);
    return status;
}
