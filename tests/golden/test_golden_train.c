/* test_golden_train.c - a few steps of search and main training from the published framework's starting
 * points, on its batches, against its losses, outputs and gradients. Float sums in another order flip codes
 * at quantiser edges and break exact ties, so the bounds are twice what five such runs of the published
 * program itself showed (numbers below). Cases are found by their files: expected.json with a mode,
 * initial.safetensors, batches.safetensors, step1.safetensors. */
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
#include "io/json.h"
#include "net/import.h"
#include "ops/model.h"
#include "search/search.h"
#include "train/objective.h"
#include "train/optimizer.h"

/* Twice the worst of five runs in another order (classification). */
static const struct {
    double cost_first, cost_later;   /* relative */
    double loss_first, loss_later;   /* cross entropy */
    double total_first, total_later; /* search total */
    double output_cosine, output_error;
    double conv, bn, linear, alpha; /* joined gradient cosines */
    double tensor_cosine, norm_low, norm_high;
} BOUND = {1e-6,  2.8e-4,        2.4e-3,         3.8e-2,        2.4e-3, 1.36e-2, 1 - 2e-4, 0.028,
           0.976, 1 - 2 * 0.014, 1 - 2 * 0.0001, 1 - 2 * 0.006, 0.972,  0.86,    1.06};

typedef struct sums {
    double xy, xx, yy;
} sums;

static void add(sums *s, const float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        s->xy += (double)x[i] * (double)y[i];
        s->xx += (double)x[i] * (double)x[i];
        s->yy += (double)y[i] * (double)y[i];
    }
}

static double cosine(const sums *s) {
    return s->xx == 0 && s->yy == 0 ? 1 : s->xy / sqrt(s->xx * s->yy);
}

static double number(const json_t *object, const char *key, double absent) {
    const json_t *value = json_object_get(object, key);
    return value ? json_number_value(value) : absent;
}

static void close_to(const char *where, int step, const char *what, double ours, double golden,
                     double bound) {
    double error = fabs(ours - golden) / fmax(fabs(golden), 1e-30);
    print_message("  step %d %s: %.8g, golden %.8g, relative difference %.1e (bound %.1e)\n", step, what,
                  ours, golden, error, bound);
    if (!(error <= bound)) fail_msg("%s: step %d: %s: %.9g, %.9g expected", where, step, what, ours, golden);
}

typedef struct golden_case {
    const char *where;
    json_t *expected;
    mq_net *net;
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
    const char *model_name = json_string_value(json_object_get(g->expected, "model"));
    g->initial = load(g, "initial.safetensors");
    g->batches = load(g, "batches.safetensors");
    g->step1 = load(g, "step1.safetensors");
    g->batch = (size_t)number(g->expected, "batch", 0);
    mq_model_options options = {.mode = g->is_search ? MQ_MODE_SEARCH : MQ_MODE_FIXED,
                                .share = !json_is_false(json_object_get(g->expected, "share_weight")),
                                .training = true,
                                .compute = compute,
                                .batch = (int)g->batch};
    (void)model_name;
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
    g->search.prices = (mq_search_prices){.complexity = number(g->expected, "complexity_decay", 0),
                                          .trivial = number(g->expected, "complexity_decay_trivial", 0)};
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

static void compare_gradients(golden_case *g) {
    mq_error error = {0};
    const mq_model_options *options = mq_model_get_options(g->model);
    mq_import_map map;
    CHECK(mq_import_map_file(g->step1, "grad.", g->net, options->mode, !g->is_search || options->share, true,
                             &map, &error));
    int count, compared = 0;
    mq_param *params = mq_model_params(g->model, &count);
    sums kind[4] = {0};
    for (int i = 0; i < count; i++) {
        if (!params[i].grad) continue;
        const mq_node *node = &g->net->nodes[params[i].spec->node];
        mq_param_kind k = params[i].spec->kind;
        const mq_st_entry *entry = map.entries[i];
        if (!entry) fail_msg("%s: step1.safetensors has no gradient of %s", g->where, params[i].spec->name);
        const float *golden = entry->tensor.data;
        compared++;
        bool last = node->index == g->net->output;
        int which = mq_param_is_alpha(k) ? 3 : node->op == MQ_OP_BATCH_NORM ? 1 : last ? 2 : 0;
        add(&kind[which], params[i].grad, golden, params[i].count);
        if (which != 0 || k != MQ_PARAM_WEIGHT) continue;
        sums one = {0};
        add(&one, params[i].grad, golden, params[i].count);
        double c = cosine(&one), ratio = sqrt(one.xx / one.yy);
        print_message("  gradient of %s: cosine %.6f, norm ratio %.4f\n", params[i].spec->name, c, ratio);
        if (!(c >= BOUND.tensor_cosine && ratio >= BOUND.norm_low && ratio <= BOUND.norm_high))
            fail_msg("%s: gradient of %s: cosine %.6f, norm ratio %.4f", g->where, params[i].spec->name, c,
                     ratio);
    }
    assert_true(compared > 0);
    static const char *const names[] = {"conv", "batch norm", "linear", "alpha"};
    const double bounds[] = {BOUND.conv, BOUND.bn, BOUND.linear, BOUND.alpha};
    for (int k = 0; k < 4; k++) {
        double c = cosine(&kind[k]);
        print_message("  gradients of all %s tensors: cosine %.6f (bound %.4f)\n", names[k], c, bounds[k]);
        if (!(c >= bounds[k])) fail_msg("%s: %s gradients: cosine %.6f", g->where, names[k], c);
    }
    mq_import_map_free(&map);
}

/* images uint8 [step][batch][c][h][w] to [batch][h][w][c] of one step. */
static void take_batch(const golden_case *g, const mq_st_entry *images, size_t step, uint8_t *out) {
    size_t c = (size_t)g->net->in_c, h = (size_t)g->net->in_h, w = (size_t)g->net->in_w;
    const uint8_t *from = (const uint8_t *)images->tensor.data + step * g->batch * c * h * w;
    for (size_t n = 0; n < g->batch; n++)
        for (size_t k = 0; k < c; k++)
            for (size_t p = 0; p < h * w; p++) out[(n * h * w + p) * c + k] = from[(n * c + k) * h * w + p];
}

static void run_steps(golden_case *g) {
    mq_error error = {0};
    const mq_st_entry *images, *all_labels, *logits;
    const json_t *steps = json_object_get(g->expected, "steps");
    size_t count = json_array_size(steps);
    mq_shape shape = {.rank = 5,
                      .dim = {(int64_t)count, (int64_t)g->batch, g->net->in_c, g->net->in_h, g->net->in_w}};
    mq_shape label_shape = mq_shape2((int64_t)count, (int64_t)g->batch);
    mq_shape logit_shape = mq_shape2((int64_t)g->batch, g->net->classes);
    CHECK(mq_st_require(g->batches, "images", MQ_U8, &shape, &images, &error));
    CHECK(mq_st_require(g->batches, "labels", MQ_I64, &label_shape, &all_labels, &error));
    CHECK(mq_st_require(g->step1, "logits", MQ_F32, &logit_shape, &logits, &error));
    size_t outputs = g->batch * (size_t)g->net->classes;
    uint8_t *pixels;
    int32_t *labels;
    float *d_output;
    CHECK(mq_alloc(g->batch * (size_t)(g->net->in_h * g->net->in_w * g->net->in_c), 1, "images", &pixels,
                   &error));
    CHECK(mq_alloc(g->batch, sizeof *labels, "labels", &labels, &error));
    CHECK(mq_alloc(outputs, sizeof *d_output, "gradient", &d_output, &error));
    double momentum = number(g->expected, "momentum", 0);
    bool nesterov = json_is_true(json_object_get(g->expected, "nesterov"));
    const mq_rule weights = {number(g->expected, "lr", 0), momentum, number(g->expected, "weight_decay", 0),
                             nesterov};
    mq_rule rules[MQ_GROUPS] = {weights,
                                weights,
                                weights,
                                {number(g->expected, "lr_alpha", 0),
                                 number(g->expected, "alpha_momentum", momentum),
                                 number(g->expected, "alpha_weight_decay", 0), false}};
    rules[MQ_GROUP_BIASES].lr *= number(g->expected, "lr_bias_factor", 1);
    for (size_t s = 0; s < count; s++) {
        const json_t *step = json_array_get(steps, s);
        bool first = s == 0;
        take_batch(g, images, s, pixels);
        for (size_t n = 0; n < g->batch; n++)
            labels[n] = (int32_t)((const int64_t *)all_labels->tensor.data)[s * g->batch + n];
        const float *output;
        uint64_t correct;
        CHECK(mq_model_forward(g->model, pixels, (int)g->batch, true, &output, &error));
        double loss = mq_cross_entropy(output, labels, g->batch, g->net->classes, d_output, &correct);
        if (first) {
            sums out = {0};
            double off = 0;
            const float *golden = logits->tensor.data;
            add(&out, output, golden, outputs);
            for (size_t i = 0; i < outputs; i++) off += pow((double)output[i] - (double)golden[i], 2);
            print_message("  logits: cosine %.7f, relative error %.2e\n", cosine(&out), sqrt(off / out.yy));
            assert_true(cosine(&out) >= BOUND.output_cosine && sqrt(off / out.yy) <= BOUND.output_error);
        }
        CHECK(mq_model_backward(g->model, d_output, &error));
        close_to(g->where, (int)s + 1, "cross entropy", loss,
                 number(step, "cross_entropy", number(step, "loss", NAN)),
                 first ? BOUND.loss_first : BOUND.loss_later);
        if (g->is_search) {
            mq_cost_losses cost = mq_search_add_gradients(&g->search, g->model);
            double bound = first ? BOUND.cost_first : BOUND.cost_later;
            close_to(g->where, (int)s + 1, "complexity", cost.complexity, number(step, "complexity", NAN),
                     bound);
            close_to(g->where, (int)s + 1, "trivial complexity", cost.trivial,
                     number(step, "complexity_trivial", NAN), bound);
            if (json_object_get(step, "bram"))
                close_to(g->where, (int)s + 1, "bram", cost.bram, number(step, "bram", NAN), bound);
            double total = loss + g->search.prices.complexity * cost.complexity +
                           g->search.prices.trivial * cost.trivial;
            close_to(g->where, (int)s + 1, "total", total, number(step, "loss", NAN),
                     first ? BOUND.total_first : BOUND.total_later);
        }
        if (first) compare_gradients(g);
        mq_optimizer_step(g->optimizer, rules);
    }
    mq_free(pixels);
    mq_free(labels);
    mq_free(d_output);
}

/* The report at given bits: the fixed network's, or at the bits that the published search had chosen. */
static void compare_report(const golden_case *g) {
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
            close_to(g->where, 0, rows[i].key, rows[i].value, number(report, rows[i].key, NAN), 1e-6);
}

static int cases, detectors;

static void run_case(const char *folder, void *context) {
    (void)context;
    mq_error error = {0};
    golden_case c = {.where = folder}, *g = &c;
    char path[GOLDEN_PATH];
    assert_true(golden_path(path, folder, "expected.json"));
    CHECK(mq_json_load(path, &g->expected, &error));
    const char *mode = json_string_value(json_object_get(g->expected, "mode"));
    if (!mode) { /* a fixed checkpoint: test_golden_lower has it */
        json_decref(g->expected);
        return;
    }
    CHECK(mq_net_open(json_string_value(json_object_get(g->expected, "model")), &g->net, &error));
    if (g->net->task != MQ_TASK_CLASSIFICATION) {
        detectors++;
        mq_net_free(g->net);
        json_decref(g->expected);
        return;
    }
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
    if (detectors) print_message("%d cases of detectors are not for this test\n", detectors);
    if (cases == 0) {
        print_message("no golden training cases under %s: skipped\n", golden_root());
        skip();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
