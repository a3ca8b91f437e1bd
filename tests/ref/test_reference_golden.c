/* test_reference_golden.c - the float64 reference against numbers of the published framework: quantisers
 * exactly, cost terms of the first search step to 1e-6, and the whole first step of a classifier within twice
 * the spread of numerics.md 11. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/text.h"
#include "golden_files.h"
#include "io/csv.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "net/import.h"
#include "ref/step.h"
#include "ok.h"

/* The published detectors, as far as cost terms see them: convolutions and their sizes. */
#define DETECTOR                                                                                             \
    "task: detection\nclasses: 1\nanchors: [[20,20],[20,20],[20,20],[20,20],[20,20],[20,20]]\n"              \
    "input: {channels: 3, height: 160, width: 320}\nlayers:\n"
#define CONV(out)  "  - conv: {out: " #out ", kernel: 3}\n  - batch_norm\n"
#define POOL       "  - max_pool\n"
#define HEAD(bias) "  - conv: {out: 36, kernel: 1, bias: " #bias "}\n"
#define PAIR(k, out)                                                                                         \
    "  - conv: {groups: depthwise, kernel: " #k "}\n  - batch_norm\n  - conv: {out: " #out                   \
    ", kernel: 1}\n  - batch_norm\n"
#define SKYNET(k)                                                                                            \
    DETECTOR PAIR(k, 48) POOL PAIR(k, 96) POOL PAIR(k, 192) POOL PAIR(k, 384) PAIR(k, 512) PAIR(k, 96)       \
        HEAD(false)

static const struct {
    const char *model, *text;
} DETECTORS[] = {
    {"ultranet", "name: ultranet\n" DETECTOR CONV(16) POOL CONV(32) POOL CONV(64) POOL CONV(64) POOL CONV(64)
                     CONV(64) CONV(64) CONV(64) HEAD(true)},
    {"ultranet_bypass", "name: ultranet_bypass\n" DETECTOR CONV(16) POOL CONV(32) POOL CONV(64) POOL
     "  - conv: {out: 64, kernel: 3}\n  - batch_norm: {name: b}\n" POOL CONV(64)
         CONV(64) "  - conv: {out: 64, kernel: 3}\n  - batch_norm: {name: deep}\n"
                  "  - reorg: {from: b, name: shallow}\n  - concat: {from: [shallow, deep]}\n" CONV(64)
                      HEAD(true)},
    {"skynet", "name: skynet\n" SKYNET(3)},
    {"skynetk5", "name: skynetk5\n" SKYNET(5)},
};

static void open_model(const char *model, mq_net **net) {
    for (size_t i = 0; i < sizeof DETECTORS / sizeof *DETECTORS; i++)
        if (strcmp(DETECTORS[i].model, model) == 0) {
            OK(mq_net_parse(model, DETECTORS[i].text, strlen(DETECTORS[i].text), net, ERROR));
            return;
        }
    OK(mq_net_open(model, net, ERROR));
}

static void skip_without(int cases) {
    if (cases) return;
    print_message("no golden cases under %s: skipped\n", golden_root());
    skip();
}

static void load(const char *folder, const char *name, mq_st_file **file) {
    char path[GOLDEN_PATH];
    assert_true(golden_path(path, folder, name));
    OK(mq_st_load(path, file, ERROR));
}

static const mq_tensor *need(const mq_st_file *file, const char *name, mq_dtype dtype) {
    const mq_st_entry *entry;
    OK(mq_st_require(file, name, dtype, NULL, &entry, ERROR));
    return &entry->tensor;
}

/* Gives the reference the published values. */
static void set_all(mq_ref *ref, const mq_import_map *map) {
    for (int i = 0; i < map->count; i++) {
        const mq_param_spec *spec = &map->specs[i];
        mq_ref_set(mq_ref_find(ref, spec->node, spec->kind, spec->branch), map->entries[i]->tensor.data);
    }
}

/* ---- cost terms ---- */

static void read_factors(mq_ref_factors *out) {
    mq_csv *csv;
    OK(mq_csv_load(MIXQ_SOURCE_DIR "/factors/published.csv", &csv, ERROR));
    memset(out, 0, sizeof *out);
    for (size_t row = 0; row < csv->rows; row++) {
        const double *v = csv->value + row * csv->columns; /* kernel, wbit, a2..a8 */
        assert_int_equal(csv->columns, 9);
        for (int a = 0; a < 7; a++) out->f[(int)v[0]][(int)v[1] - 2][a] = v[2 + a];
    }
    mq_csv_free(csv);
}

static void expect_term(const char *folder, mq_ref *ref, mq_ref_cost cost, const char *key,
                        const mq_ref_factors *factors, const json_t *step) {
    const json_t *wanted = json_object_get(step, key);
    if (!wanted) return;
    double value;
    OK(mq_ref_cost_term(ref, cost, factors, 0, &value, ERROR));
    if (!(fabs(value / json_number_value(wanted) - 1) <= 1e-6))
        fail_msg("%s: %s: got %.9g, expected %.9g", folder, key, value, json_number_value(wanted));
}

typedef struct golden_case {
    const char *folder;
    json_t *expected;
    const json_t *step; /* the first */
    const char *model, *mode;
} golden_case;

/* Opens expected.json; false when the case is not of steps. */
static bool open_case(const char *folder, golden_case *out) {
    char path[GOLDEN_PATH];
    assert_true(golden_path(path, folder, "expected.json"));
    *out = (golden_case){.folder = folder, .model = "", .mode = ""};
    OK(mq_json_load(path, &out->expected, ERROR));
    OK(mq_json_string(out->expected, path, "model", &out->model, ERROR));
    const char *mode = json_string_value(json_object_get(out->expected, "mode"));
    if (mode) out->mode = mode;
    out->step = json_array_get(json_object_get(out->expected, "steps"), 0);
    return out->step != NULL;
}

static bool shared(const golden_case *c) {
    return !json_is_false(json_object_get(c->expected, "share_weight"));
}

static void check_costs(const char *folder, void *context) {
    int *checked = context;
    static mq_ref_factors factors;
    golden_case c;
    if (open_case(folder, &c) && strcmp(c.mode, "search") == 0) {
        mq_net *net;
        mq_ref *ref;
        mq_st_file *initial;
        read_factors(&factors);
        open_model(c.model, &net);
        OK(mq_ref_create(net, &(mq_ref_options){.mode = MQ_MODE_SEARCH, .share = shared(&c), .batch = 1},
                         &ref, ERROR));
        load(folder, "initial.safetensors", &initial);
        mq_import_map map;
        OK(mq_import_map_file(initial, "", net, MQ_MODE_SEARCH, shared(&c), false, &map, ERROR));
        set_all(ref, &map);
        mq_import_map_free(&map);
        expect_term(folder, ref, MQ_REF_COMPLEXITY, "complexity", &factors, c.step);
        expect_term(folder, ref, MQ_REF_TRIVIAL, "complexity_trivial", &factors, c.step);
        expect_term(folder, ref, MQ_REF_BRAM, "bram", &factors, c.step);
        (*checked)++;
        mq_st_free(initial);
        mq_ref_destroy(ref);
        mq_net_free(net);
    }
    json_decref(c.expected);
}

static void cost_terms(void **state) {
    (void)state;
    int checked = 0;
    golden_each("expected.json", check_costs, &checked);
    skip_without(checked);
    print_message("cost terms of %d cases\n", checked);
}

/* ---- the first step of a classifier ---- */

typedef enum group { CONVS, NORMS, LINEARS, ALPHAS, GROUPS } group;

static group group_of(const mq_net *net, const mq_param_spec *spec) {
    if (mq_param_is_alpha(spec->kind)) return ALPHAS;
    if (net->nodes[spec->node].op == MQ_OP_LINEAR) return LINEARS;
    return net->nodes[spec->node].op == MQ_OP_CONV ? CONVS : NORMS;
}

typedef struct product {
    double xx, xy, yy, difference;
} product;

static void add_product(product *p, const double *x, const float *y, size_t n) {
    for (size_t e = 0; e < n; e++) {
        p->xx += x[e] * x[e];
        p->xy += x[e] * (double)y[e];
        p->yy += (double)y[e] * (double)y[e];
        p->difference += (x[e] - (double)y[e]) * (x[e] - (double)y[e]);
    }
}

static double cosine(const product *p) {
    return p->xy / sqrt(p->xx * p->yy);
}

/* Images [n][c][h][w] to [n][h][w][c]. */
static void to_nhwc(const uint8_t *from, int n, const mq_net *net, uint8_t *to) {
    const int plane = net->in_h * net->in_w;
    for (int b = 0; b < n; b++)
        for (int p = 0; p < plane; p++)
            for (int c = 0; c < net->in_c; c++)
                to[(b * plane + p) * net->in_c + c] = from[(b * net->in_c + c) * plane + p];
}

static void check_gradients(const golden_case *c, const mq_net *net, mq_ref *ref, const mq_import_map *map) {
    static const char *const names[GROUPS] = {"conv", "batch norm", "linear", "alpha"};
    static const double worst[GROUPS] = {.988, .986, .9999, .994}; /* numerics.md 11, vgg_tiny */
    product sums[GROUPS] = {0};
    for (int i = 0; i < map->count; i++) {
        const mq_param_spec *spec = &map->specs[i];
        if (!mq_param_trained(spec->kind)) continue;
        if (!map->entries[i]) fail_msg("%s: no gradient of %s", c->folder, spec->name);
        const mq_ref_param *p = mq_ref_find(ref, spec->node, spec->kind, spec->branch);
        add_product(&sums[group_of(net, spec)], p->grad, map->entries[i]->tensor.data, p->count);
    }
    for (int g = 0; g < GROUPS; g++) {
        if (sums[g].yy == 0) continue;
        print_message("  gradient cosine, %s: %.6f\n", names[g], cosine(&sums[g]));
        if (!(cosine(&sums[g]) >= 1 - 2 * (1 - worst[g])))
            fail_msg("%s: gradients of %s", c->folder, names[g]);
    }
}

static void first_step(const golden_case *c, mq_net *net, const mq_ref_options *options) {
    static mq_ref_factors factors;
    const bool search = options->mode == MQ_MODE_SEARCH;
    const int n = options->batch;
    mq_ref *ref;
    mq_st_file *initial, *batches, *step;
    uint8_t *images;
    double *d_logits;
    int32_t *labels;
    read_factors(&factors);
    load(c->folder, "initial.safetensors", &initial);
    load(c->folder, "batches.safetensors", &batches);
    load(c->folder, "step1.safetensors", &step);
    OK(mq_ref_create(net, options, &ref, ERROR));
    mq_import_map values, gradients;
    OK(mq_import_map_file(initial, "", net, options->mode, options->share, false, &values, ERROR));
    OK(mq_import_map_file(step, "grad.", net, options->mode, options->share, true, &gradients, ERROR));
    set_all(ref, &values);

    const mq_tensor *pixels = need(batches, "images", MQ_U8), *classes = need(batches, "labels", MQ_I64);
    assert_true(pixels->shape.rank == 5 && pixels->shape.dim[1] == n && pixels->shape.dim[2] == net->in_c);
    assert_true(pixels->shape.dim[3] == net->in_h && pixels->shape.dim[4] == net->in_w);
    OK(mq_alloc((size_t)n, (size_t)(net->in_h * net->in_w * net->in_c), "test", &images, ERROR));
    OK(mq_alloc((size_t)n, sizeof *labels, "test", &labels, ERROR));
    OK(mq_alloc((size_t)(n * net->classes), sizeof *d_logits, "test", &d_logits, ERROR));
    to_nhwc(pixels->data, n, net, images);
    for (int b = 0; b < n; b++) labels[b] = (int32_t)((const int64_t *)classes->data)[b];

    OK(mq_ref_forward(ref, images, n, true, ERROR));
    const double *logits = mq_ref_output(ref, net->output);
    const double loss = mq_ref_cross_entropy(logits, labels, n, net->classes, d_logits);
    OK(mq_ref_backward(ref, d_logits, ERROR));
    const json_t *cd = json_object_get(c->expected, "complexity_decay");
    const json_t *cdt = json_object_get(c->expected, "complexity_decay_trivial");
    if (search) {
        OK(mq_ref_cost_term(ref, MQ_REF_COMPLEXITY, &factors, json_number_value(cd), NULL, ERROR));
        OK(mq_ref_cost_term(ref, MQ_REF_TRIVIAL, NULL, json_number_value(cdt), NULL, ERROR));
    }

    const double wanted = json_number_value(json_object_get(c->step, search ? "cross_entropy" : "loss"));
    product out = {0};
    add_product(&out, logits, need(step, "logits", MQ_F32)->data, (size_t)(n * net->classes));
    print_message("%s: cross entropy %.7g, published %.7g; logits: cosine %.7f, relative error %.3g\n",
                  c->folder, loss, wanted, cosine(&out), sqrt(out.difference / out.yy));
    assert_true(fabs(loss / wanted - 1) <= 2 * 1.2e-3);
    assert_true(cosine(&out) >= 1 - 2e-4 && sqrt(out.difference / out.yy) <= 2 * .014);
    check_gradients(c, net, ref, &gradients);

    mq_import_map_free(&values);
    mq_import_map_free(&gradients);
    mq_free(images);
    mq_free(labels);
    mq_free(d_logits);
    mq_ref_destroy(ref);
    mq_st_free(initial);
    mq_st_free(batches);
    mq_st_free(step);
}

static void check_first_step(const char *folder, void *context) {
    int *checked = context;
    golden_case c;
    mq_net *net = NULL;
    const bool steps = open_case(folder, &c);
    const bool search = strcmp(c.mode, "search") == 0, train = strcmp(c.mode, "train") == 0;
    if (steps && (search || train)) open_model(c.model, &net);
    if (net && net->task == MQ_TASK_CLASSIFICATION) {
        int64_t batch;
        mq_bits bits;
        OK(mq_json_int(c.expected, folder, "batch", 1, 1024, &batch, ERROR));
        mq_ref_options options = {.mode = search ? MQ_MODE_SEARCH : MQ_MODE_FIXED,
                                  .share = !search || shared(&c),
                                  .bits = &bits,
                                  .batch = (int)batch};
        if (!search) {
            const char *weight, *activation;
            OK(mq_json_string(c.expected, folder, "bitw", &weight, ERROR));
            OK(mq_json_string(c.expected, folder, "bita", &activation, ERROR));
            OK(mq_bits_parse(net, weight, activation, &bits, ERROR));
        }
        first_step(&c, net, &options);
        (*checked)++;
    }
    mq_net_free(net);
    json_decref(c.expected);
}

static void first_steps(void **state) {
    (void)state;
    int checked = 0;
    golden_each("expected.json", check_first_step, &checked);
    skip_without(checked);
}

/* ---- quantisers ---- */

/* A network with n activations in front of one linear layer, n weights in another, and 256 grey values in its
 * image. */
static void open_carrier(size_t n, mq_net **net) {
    char text[512];
    snprintf(text, sizeof text,
             "name: carrier\ntask: classification\nclasses: %zu\n"
             "input: {channels: 1, height: 16, width: 16}\n"
             "layers:\n"
             "  - conv: {out: %zu, kernel: 16, padding: 0, name: first}\n"
             "  - linear: {out: 1, bias: false, name: middle}\n"
             "  - linear: {out: %zu, bias: false, name: last}\n",
             n, n, n);
    OK(mq_net_parse("carrier", text, strlen(text), net, ERROR));
}

static void expect_values(const mq_st_file *file, const char *kind, int bits, const double *got) {
    char name[32];
    snprintf(name, sizeof name, "%s.y%d", kind, bits);
    const mq_tensor *t = need(file, name, MQ_F32);
    const float *wanted = t->data;
    for (size_t e = 0; e < mq_tensor_count(t); e++)
        if ((float)got[e] != wanted[e])
            fail_msg("%s[%zu]: got %.9g, expected %.9g", name, e, got[e], (double)wanted[e]);
}

static void check_quantisers(const char *folder, void *context) {
    int *checked = context;
    mq_st_file *file;
    mq_net *net;
    uint8_t images[256];
    load(folder, "quantizers.safetensors", &file);
    const mq_tensor *weights = need(file, "weight.input", MQ_F32),
                    *x = need(file, "activation.input", MQ_F32);
    const float *grey = need(file, "image.input", MQ_F32)->data;
    assert_int_equal(mq_tensor_count(weights), mq_tensor_count(x));
    open_carrier(mq_tensor_count(x), &net);
    for (int e = 0; e < 256; e++) images[e] = (uint8_t)(grey[e] * 256);
    for (int b = 2; b <= 8; b++) {
        mq_bits bits;
        mq_ref *ref;
        mq_bits_uniform(net, b, b, &bits);
        OK(mq_ref_create(net, &(mq_ref_options){.mode = MQ_MODE_FIXED, .bits = &bits, .batch = 1}, &ref,
                         ERROR));
        mq_ref_set(mq_ref_find(ref, net->layers[2].node, MQ_PARAM_WEIGHT, -1), weights->data);
        OK(mq_ref_override(ref, net->layers[1].act, x->data, ERROR));
        OK(mq_ref_forward(ref, images, 1, false, ERROR));
        expect_values(file, "weight", b, mq_ref_operand(ref, 2));
        expect_values(file, "activation", b, mq_ref_output(ref, net->layers[1].act));
        expect_values(file, "image", b, mq_ref_output(ref, net->layers[0].act));
        mq_ref_destroy(ref);
    }
    (*checked)++;
    mq_net_free(net);
    mq_st_free(file);
}

static void quantisers(void **state) {
    (void)state;
    int checked = 0;
    golden_each("quantizers.safetensors", check_quantisers, &checked);
    skip_without(checked);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantisers),
        cmocka_unit_test(cost_terms),
        cmocka_unit_test(first_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
