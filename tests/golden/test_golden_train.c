/* test_golden_train.c - a few steps of search and main training from the published framework's starting
 * points, on its batches, against its losses, outputs and gradients (bounds: helper_steps.c), for classifiers
 * and detectors. Cases are found by their files: expected.json with a mode, initial.safetensors,
 * batches.safetensors, step1.safetensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "golden_files.h"
#include "helper_steps.h"
#include "io/json.h"
#include "net/import.h"
#include "ops/model.h"
#include "search/search.h"
#include "train/objective.h"
#include "train/recipe.h"

typedef struct golden_case {
    const char *where;
    json_t *expected;
    mq_net *net;
    const golden_bounds *bounds;
    mq_st_file *initial, *batches, *step1;
    mq_model *model;
    mq_optimizer *optimizer;
    mq_search search;
    mq_factors factors;
    bool is_search;
    size_t batch;
} golden_case;

#define CHECK(call)                                                                                          \
    do {                                                                                                     \
        if ((call) != MQ_OK) fail_msg("%s: %s", g->where, error.text);                                       \
    } while (0)

static mq_st_file *load(const golden_case *g, const char *name) {
    mq_error error = {0};
    char path[GOLDEN_PATH];
    mq_st_file *file;
    assert_true(golden_path(path, g->where, name));
    CHECK(mq_st_load(path, &file, &error));
    return file;
}

static void open_case(golden_case *g, mq_dtype compute) {
    mq_error error = {0};
    static mq_bits bits;
    g->bounds = golden_bounds_for(g->net);
    g->initial = load(g, "initial.safetensors");
    g->batches = load(g, "batches.safetensors");
    g->step1 = load(g, "step1.safetensors");
    g->batch = (size_t)golden_number(g->expected, "batch", 0);
    mq_model_options options = {.mode = g->is_search ? MQ_MODE_SEARCH : MQ_MODE_FIXED,
                                .share = !json_is_false(json_object_get(g->expected, "share_weight")),
                                .training = true,
                                .compute = compute,
                                .batch = (int)g->batch};
    if (!g->is_search) {
        CHECK(mq_bits_parse(g->net, json_string_value(json_object_get(g->expected, "bitw")),
                            json_string_value(json_object_get(g->expected, "bita")), &bits, &error));
        options.bits = &bits;
    }
    CHECK(mq_model_create(g->net, &options, &g->model, &error));
    mq_import_map map;
    CHECK(mq_import_map_file(g->initial, "", g->net, options.mode, !g->is_search || options.share, false,
                             &map, &error));
    int count;
    mq_param *params = mq_model_params(g->model, &count);
    assert_int_equal(count, map.count);
    for (int i = 0; i < count; i++) {
        assert_string_equal(params[i].spec->name, map.specs[i].name);
        memcpy(params[i].value, map.entries[i]->tensor.data, params[i].count * sizeof(float));
    }
    mq_import_map_free(&map);
    mq_model_touch(g->model);
    CHECK(mq_optimizer_create(g->model, MQ_SGD, &g->optimizer, &error));
    CHECK(mq_factors_load("published", &g->factors, &error));
    CHECK(mq_cost_create(g->net, &g->factors, &g->search.cost, &error));
    double factor = mq_recipe_for(g->net->task)->price;
    g->search.prices =
        (mq_search_prices){.complexity = factor * golden_number(g->expected, "complexity_decay", 0),
                           .trivial = factor * golden_number(g->expected, "complexity_decay_trivial", 0)};
}

static void close_case(golden_case *g) {
    mq_optimizer_destroy(g->optimizer);
    mq_model_destroy(g->model);
    mq_net_free(g->net);
    mq_st_free(g->initial);
    mq_st_free(g->batches);
    mq_st_free(g->step1);
    json_decref(g->expected);
}

/* The images of one step and what is there. */
typedef struct step_data {
    uint8_t *pixels;
    int32_t *labels;
    mq_target *targets;
    float *d_output, *golden; /* of the output of step 1, [n][h][w][c] */
    size_t outputs;
    mq_batch batch;
} step_data;

static void open_step_data(golden_case *g, step_data *d) {
    mq_error error = {0};
    const mq_node *last = mq_net_output(g->net);
    size_t n = g->batch;
    d->outputs = n * (size_t)last->h * (size_t)last->w * (size_t)last->c;
    CHECK(mq_alloc(n * (size_t)(g->net->in_h * g->net->in_w * g->net->in_c), 1, "test", &d->pixels, &error));
    CHECK(mq_alloc(n, sizeof *d->labels, "test", &d->labels, &error));
    CHECK(mq_alloc(n, sizeof *d->targets, "test", &d->targets, &error));
    CHECK(mq_alloc(d->outputs, sizeof *d->d_output, "test", &d->d_output, &error));
    CHECK(mq_alloc(d->outputs, sizeof *d->golden, "test", &d->golden, &error));
    d->batch = (mq_batch){.images = d->pixels, .count = n};
    if (g->net->task == MQ_TASK_CLASSIFICATION) {
        d->batch.labels = d->labels;
        memcpy(d->golden,
               golden_tensor(g->where, g->step1, "logits", MQ_F32, mq_shape2((int64_t)n, g->net->classes)),
               d->outputs * sizeof(float));
        return;
    }
    d->batch.targets = d->targets;
    d->batch.target_count = n;
    mq_shape shape = {
        .rank = 5,
        .dim = {(int64_t)n, g->net->anchor_count, last->h, last->w, last->c / g->net->anchor_count}};
    golden_prediction(g->net, golden_tensor(g->where, g->step1, "prediction", MQ_F32, shape), n, d->golden);
}

static void close_step_data(step_data *d) {
    mq_free(d->pixels);
    mq_free(d->labels);
    mq_free(d->targets);
    mq_free(d->d_output);
    mq_free(d->golden);
}

static void take_step(golden_case *g, size_t s, size_t count, step_data *d) {
    size_t n = g->batch, image = (size_t)(g->net->in_h * g->net->in_w * g->net->in_c);
    mq_shape images = {.rank = 5,
                       .dim = {(int64_t)count, (int64_t)n, g->net->in_c, g->net->in_h, g->net->in_w}};
    const uint8_t *pixels = golden_tensor(g->where, g->batches, "images", MQ_U8, images);
    golden_images(g->net, pixels + s * n * image, n, d->pixels);
    if (g->net->task == MQ_TASK_CLASSIFICATION) {
        const int64_t *labels =
            golden_tensor(g->where, g->batches, "labels", MQ_I64, mq_shape2((int64_t)count, (int64_t)n));
        for (size_t i = 0; i < n; i++) d->labels[i] = (int32_t)labels[s * n + i];
        return;
    }
    mq_shape shape = {.rank = 3, .dim = {(int64_t)count, (int64_t)n, 7}};
    const float *rows = golden_tensor(g->where, g->batches, "targets", MQ_F32, shape);
    golden_targets(rows + s * n * 7, n, d->targets);
}

/* The parts of a step's loss; the whole is `minimised`. */
static void compare_losses(const golden_case *g, int number, const json_t *step, double minimised,
                           const mq_scores *scores) {
    const golden_bounds *b = g->bounds;
    bool first = number == 1;
    if (g->net->task == MQ_TASK_CLASSIFICATION) {
        golden_close(g->where, number, "cross entropy", minimised,
                     golden_number(step, "cross_entropy", golden_number(step, "loss", NAN)),
                     first ? b->loss_first : b->loss_later);
        return;
    }
    double box = mq_scores_part(scores, 0), objectness = mq_scores_part(scores, 1);
    golden_close(g->where, number, "box", box, golden_number(step, "box", NAN),
                 first ? b->loss_first : b->loss_later);
    golden_close(g->where, number, "objectness", objectness, golden_number(step, "objectness", NAN),
                 !g->is_search ? b->objectness_fixed
                 : first       ? b->objectness_first
                               : b->objectness_later);
    golden_close(g->where, number, "mean_iou", mq_scores_part(scores, 2),
                 golden_number(step, "mean_iou", NAN), first ? b->iou_first : b->iou_later);
    assert_true(fabs(minimised - (box + objectness) * (double)g->batch / 64) < 1e-9);
}

static void compare_costs(golden_case *g, int number, const json_t *step, double minimised) {
    mq_cost_losses cost = mq_search_add_gradients(&g->search, g->model);
    const golden_bounds *b = g->bounds;
    bool first = number == 1, detector = g->net->task == MQ_TASK_DETECTION;
    double bound = first ? b->cost_first : b->cost_later;
    golden_close(g->where, number, "complexity", cost.complexity, golden_number(step, "complexity", NAN),
                 bound);
    if (json_object_get(step, "complexity_trivial"))
        golden_close(g->where, number, "trivial complexity", cost.trivial,
                     golden_number(step, "complexity_trivial", NAN), bound);
    if (json_object_get(step, "bram"))
        golden_close(g->where, number, "bram", cost.bram, golden_number(step, "bram", NAN), bound);
    double total =
        minimised + g->search.prices.complexity * cost.complexity + g->search.prices.trivial * cost.trivial;
    golden_close(g->where, number, "total", total, golden_number(step, detector ? "total" : "loss", NAN),
                 first ? b->total_first : b->total_later);
}

static void run_steps(golden_case *g) {
    mq_error error = {0};
    const json_t *steps = json_object_get(g->expected, "steps");
    const mq_objective *objective;
    size_t count = json_array_size(steps);
    step_data d = {0};
    CHECK(mq_objective_for(g->net, &objective, &error));
    open_step_data(g, &d);
    double momentum = golden_number(g->expected, "momentum", 0);
    bool nesterov = json_is_true(json_object_get(g->expected, "nesterov"));
    const mq_rule weights = {golden_number(g->expected, "lr", 0), momentum,
                             golden_number(g->expected, "weight_decay", 0), nesterov};
    mq_rule rules[MQ_GROUPS] = {weights,
                                weights,
                                weights,
                                {golden_number(g->expected, "lr_alpha", 0),
                                 golden_number(g->expected, "alpha_momentum", momentum),
                                 golden_number(g->expected, "alpha_weight_decay", 0), false}};
    rules[MQ_GROUP_BIASES].lr *= golden_number(g->expected, "lr_bias_factor", 1);
    for (size_t s = 0; s < count; s++) {
        const json_t *step = json_array_get(steps, s);
        const float *output;
        mq_scores scores = {0};
        take_step(g, s, count, &d);
        CHECK(mq_model_forward(g->model, d.pixels, (int)g->batch, true, &output, &error));
        double minimised = objective->loss(g->net, output, &d.batch, d.d_output, &scores, NULL);
        if (s == 0) golden_compare_output(g->where, g->bounds, output, d.golden, d.outputs);
        CHECK(mq_model_backward(g->model, d.d_output, &error));
        compare_losses(g, (int)s + 1, step, minimised, &scores);
        if (g->is_search) compare_costs(g, (int)s + 1, step, minimised);
        if (s == 0) golden_compare_gradients(g->where, g->bounds, g->model, g->step1);
        mq_optimizer_step(g->optimizer, rules);
    }
    close_step_data(&d);
}

/* The report at given bits: the fixed network's, or at the bits that the published search had chosen. */
static void compare_report(golden_case *g) {
    mq_error error = {0};
    const json_t *report = g->is_search ? json_object_get(g->expected, "architecture_after") : g->expected;
    const char *bitw = json_string_value(json_object_get(report, g->is_search ? "best_bitw" : "bitw"));
    const char *bita = json_string_value(json_object_get(report, g->is_search ? "best_bita" : "bita"));
    if (!report || !bitw || !bita) return;
    mq_bits bits;
    mq_cost_report ours;
    CHECK(mq_bits_parse(g->net, bitw, bita, &bits, &error));
    CHECK(mq_cost_at(&g->search.cost, g->net, &bits, &ours, &error));
    const struct {
        const char *key;
        double value;
    } rows[] = {{"bitops_M", ours.bit_ops_M},
                {"bita_K", ours.act_bits_K},
                {"bitw_M", ours.weight_bits_M},
                {"dsps_M", ours.dsp_ops_M},
                {"bram_K", ours.bram_K}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (json_object_get(report, rows[i].key))
            golden_close(g->where, 0, rows[i].key, rows[i].value, golden_number(report, rows[i].key, NAN),
                         1e-6);
    if (g->is_search && json_object_get(report, "mixdsps_M"))
        golden_close(g->where, 0, "mixdsps_M", mq_search_terms(&g->search, g->model).mix_dsp_ops_M,
                     golden_number(report, "mixdsps_M", NAN),
                     fmax(g->bounds->cost_later, 1e-5)); /* the published sum is float32 */
}

static int cases;

static void run_case(const char *folder, void *context) {
    (void)context;
    mq_error error = {0};
    golden_case c = {.where = folder}, *g = &c;
    char path[GOLDEN_PATH];
    assert_true(golden_path(path, folder, "expected.json"));
    CHECK(mq_json_load(path, &g->expected, &error));
    const char *mode = json_string_value(json_object_get(g->expected, "mode"));
    if (!mode) { /* a fixed checkpoint: test_golden_lower and test_golden_detect have it */
        json_decref(g->expected);
        return;
    }
    CHECK(mq_net_open(json_string_value(json_object_get(g->expected, "model")), &g->net, &error));
    g->is_search = strcmp(mode, "search") == 0;
    print_message("%s\n", folder);
    open_case(g, MQ_F32);
    run_steps(g);
    compare_report(g);
    close_case(g);
    cases++;
}

static void test_published_steps(void **state) {
    (void)state;
    mq_threads_set(0);
    golden_each("expected.json", run_case, NULL);
    if (cases == 0) {
        print_message("no golden training cases under %s: skipped\n", golden_root());
        skip();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
