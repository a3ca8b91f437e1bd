/* bench_step.c - the steps that `mixq bench` times. */
#include "cli/bench_step.h"

#include "base/memory.h"
#include "base/rng.h"
#include "search/search.h"
#include "train/objective.h"
#include "train/recipe.h"

struct bench_step {
    const mq_net *net;
    bench_setup setup;
    mq_model *model;
    mq_optimizer *optimizer;
    const mq_objective *objective;
    mq_factors factors;
    mq_search search;
    uint8_t *images;
    int32_t *labels;
    mq_target *targets; /* one per image */
    float *d_output;
};

static mq_status make_batch(bench_step *s, mq_error *error) {
    const mq_node *out = mq_net_output(s->net);
    size_t n = (size_t)s->setup.batch;
    size_t bytes = n * (size_t)s->net->in_h * (size_t)s->net->in_w * (size_t)s->net->in_c;
    size_t outputs = n * (size_t)out->h * (size_t)out->w * (size_t)out->c;
    MQ_TRY(mq_alloc(bytes, 1, "images", &s->images, error));
    MQ_TRY(mq_alloc(n, sizeof *s->labels, "labels", &s->labels, error));
    MQ_TRY(mq_alloc(n, sizeof *s->targets, "targets", &s->targets, error));
    MQ_TRY(mq_alloc(outputs, sizeof *s->d_output, "the loss gradient", &s->d_output, error));
    const mq_rng rng = mq_rng_stream(0, "bench", 0);
    for (size_t i = 0; i < bytes; i++) s->images[i] = (uint8_t)mq_rng_u32(&rng, i);
    for (size_t i = 0; i < n; i++) s->labels[i] = (int32_t)(i % (size_t)s->net->classes);
    const mq_rng places = mq_rng_stream(0, "bench targets", 0);
    for (size_t i = 0; i < n; i++) {
        const float u[4] = {mq_rng_uniform(&places, 4 * i), mq_rng_uniform(&places, 4 * i + 1),
                            mq_rng_uniform(&places, 4 * i + 2), mq_rng_uniform(&places, 4 * i + 3)};
        s->targets[i] = (mq_target){(int32_t)i, 0, {u[0], u[1], 0.05f + 0.3f * u[2], 0.05f + 0.3f * u[3]}, 1};
    }
    return MQ_OK;
}

static mq_status create(bench_step *s, mq_error *error) {
    const bench_setup *setup = &s->setup;
    bool training = setup->mode != BENCH_INFER;
    mq_model_options options = {.mode = setup->mode == BENCH_SEARCH ? MQ_MODE_SEARCH : MQ_MODE_FIXED,
                                .bits = setup->mode == BENCH_SEARCH ? NULL : &setup->bits,
                                .share = setup->mode != BENCH_SEARCH || setup->share,
                                .training = training,
                                .compute = setup->compute,
                                .batch = setup->batch};
    if (training) MQ_TRY(mq_objective_for(s->net, &s->objective, error));
    if (setup->mode == BENCH_SEARCH) {
        MQ_TRY(mq_factors_load(MQ_FACTORS_DEFAULT, &s->factors, error));
        MQ_TRY(mq_cost_create(s->net, &s->factors, &s->search.cost, error));
        s->search.prices.complexity = 3e-5 * mq_recipe_for(s->net->task)->price;
    }
    MQ_TRY(mq_model_create(s->net, &options, &s->model, error));
    mq_model_initialise(s->model, 0);
    if (training) MQ_TRY(mq_optimizer_create(s->model, MQ_SGD, &s->optimizer, error));
    return make_batch(s, error);
}

mq_status bench_step_create(const mq_net *net, const bench_setup *setup, bench_step **out, mq_error *error) {
    bench_step *s;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *s, "a benchmark", &s, error));
    s->net = net;
    s->setup = *setup;
    mq_status status = create(s, error);
    if (status == MQ_OK)
        *out = s;
    else
        bench_step_destroy(s);
    return status;
}

void bench_step_destroy(bench_step *s) {
    if (!s) return;
    mq_optimizer_destroy(s->optimizer);
    mq_model_destroy(s->model);
    mq_free(s->images);
    mq_free(s->labels);
    mq_free(s->targets);
    mq_free(s->d_output);
    mq_free(s);
}

mq_status bench_step_run(bench_step *s, mq_error *error) {
    const mq_rule rule = {.lr = 0.01, .momentum = 0.9, .decay = 5e-4};
    const mq_rule rules[MQ_GROUPS] = {rule, rule, rule, rule};
    const float *output;
    bool training = s->setup.mode != BENCH_INFER, detector = s->net->task == MQ_TASK_DETECTION;
    MQ_TRY(mq_model_forward(s->model, s->images, s->setup.batch, training, &output, error));
    if (!training) return MQ_OK;
    mq_batch batch = {.images = s->images,
                      .labels = s->labels,
                      .targets = s->targets,
                      .target_count = detector ? (size_t)s->setup.batch : 0,
                      .count = (size_t)s->setup.batch};
    mq_scores scores = {0};
    s->objective->loss(s->net, output, &batch, s->d_output, &scores, NULL);
    MQ_TRY(mq_model_backward(s->model, s->d_output, error));
    if (s->setup.mode == BENCH_SEARCH) mq_search_add_gradients(&s->search, s->model);
    mq_optimizer_step(s->optimizer, rules);
    return MQ_OK;
}

const mq_model *bench_step_model(const bench_step *s) {
    return s->model;
}
