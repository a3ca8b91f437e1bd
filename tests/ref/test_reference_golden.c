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
#include "ref/step.h"

#define OK(call)                                                                                             \
    do {                                                                                                     \
        mq_error ok_error_ = {0};                                                                            \
        if ((call) != MQ_OK) fail_msg("%s", ok_error_.text);                                                 \
    } while (0)
#define ERROR &ok_error_

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

/* ---- published names: the k-th tensor with an ending, in natural order ---- */

enum { NAME = 128 };

typedef struct stems {
    int count;
    char name[MQ_MAX_NODES][NAME]; /* without the ending */
} stems;

static int by_nature(const void *a, const void *b) {
    return mq_natural_compare(a, b);
}

static void find_stems(const mq_st_file *file, const char *ending, stems *out) {
    out->count = 0;
    for (size_t i = 0; i < mq_st_count(file); i++) {
        const char *name = mq_st_at(file, i)->name;
        if (!mq_ends_with(name, ending) || strlen(name) >= NAME) continue;
        snprintf(out->name[out->count++], NAME, "%.*s", (int)(strlen(name) - strlen(ending)), name);
    }
    qsort(out->name, (size_t)out->count, NAME, by_nature);
}

/* Gives `visit` every tensor of a published checkpoint with the reference's parameter that it is. */
typedef struct pair {
    mq_ref_param *param;
    char name[2 * NAME];
} pair;

enum { MOST_PAIRS = 512 };

static void add_pair(mq_ref *ref, int node, mq_param_kind kind, const char *stem, const char *ending,
                     pair *out, int *count) {
    mq_ref_param *param = mq_ref_find(ref, node, kind, -1);
    if (!param) return;
    assert_true(*count < MOST_PAIRS);
    out[*count].param = param;
    snprintf(out[(*count)++].name, sizeof out->name, "%s%s", stem, ending);
}

static int match(const mq_net *net, mq_ref *ref, const mq_st_file *file, bool search, pair *out) {
    static stems convs, linears, norms;
    const char *inner = search ? ".mix_weight.conv" : ".conv";
    char ending[64];
    int count = 0, conv = 0, linear = 0, norm = 0;
    snprintf(ending, sizeof ending, "%s.weight", inner);
    find_stems(file, ending, &convs);
    find_stems(file, ".linear.weight", &linears);
    find_stems(file, ".running_mean", &norms);
    for (int i = 0; i < net->node_count; i++) {
        const mq_node *node = &net->nodes[i];
        if (node->op == MQ_OP_CONV) {
            assert_true(conv < convs.count);
            const char *stem = convs.name[conv++];
            add_pair(ref, i, MQ_PARAM_WEIGHT, stem, ending, out, &count);
            snprintf(ending, sizeof ending, "%s.bias", inner);
            add_pair(ref, i, MQ_PARAM_BIAS, stem, ending, out, &count);
            snprintf(ending, sizeof ending, "%s.weight", inner);
            add_pair(ref, i, MQ_PARAM_ALPHA_WEIGHT, stem, ".mix_weight.alpha_weight", out, &count);
            add_pair(ref, i, MQ_PARAM_ALPHA_ACTIVATION, stem, ".mix_activ.alpha_activ", out, &count);
        } else if (node->op == MQ_OP_LINEAR) {
            assert_true(linear < linears.count);
            add_pair(ref, i, MQ_PARAM_WEIGHT, linears.name[linear], ".linear.weight", out, &count);
            add_pair(ref, i, MQ_PARAM_BIAS, linears.name[linear++], ".linear.bias", out, &count);
        } else if (node->op == MQ_OP_BATCH_NORM) {
            assert_true(norm < norms.count);
            const char *stem = norms.name[norm++];
            add_pair(ref, i, MQ_PARAM_GAMMA, stem, ".weight", out, &count);
            add_pair(ref, i, MQ_PARAM_BETA, stem, ".bias", out, &count);
            add_pair(ref, i, MQ_PARAM_MEAN, stem, ".running_mean", out, &count);
            add_pair(ref, i, MQ_PARAM_VAR, stem, ".running_var", out, &count);
        }
    }
    assert_int_equal(conv, convs.count);
    assert_int_equal(linear, linears.count);
    assert_int_equal(norm, norms.count);
    return count;
}

static void set_from(const pair *p, const mq_st_file *file) {
    const mq_tensor *t = need(file, p->name, MQ_F32);
    assert_int_equal(mq_tensor_count(t), p->param->count);
    mq_ref_set(p->param, t->data);
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

static void check_costs(const char *folder, void *context) {
    int *checked = context;
    static mq_ref_factors factors;
    static stems layers;
    golden_case c;
    if (open_case(folder, &c) && strcmp(c.mode, "search") == 0) {
        mq_net *net;
        mq_ref *ref;
        mq_st_file *initial;
        read_factors(&factors);
        open_model(c.model, &net);
        OK(mq_ref_create(net, &(mq_ref_options){.mode = MQ_MODE_SEARCH, .share = true, .batch = 1}, &ref,
                         ERROR));
        load(folder, "initial.safetensors", &initial);
        find_stems(initial, ".mix_weight.alpha_weight", &layers);
        int next = 0;
        for (int l = 0; l < net->layer_count; l++) {
            if (net->layers[l].pinned) continue;
            const int node = net->layers[l].node;
            assert_true(next < layers.count);
            pair p[2];
            int count = 0;
            add_pair(ref, node, MQ_PARAM_ALPHA_WEIGHT, layers.name[next], ".mix_weight.alpha_weight", p,
                     &count);
            add_pair(ref, node, MQ_PARAM_ALPHA_ACTIVATION, layers.name[next++], ".mix_activ.alpha_activ", p,
                     &count);
            set_from(&p[0], initial);
            set_from(&p[1], initial);
        }
        assert_int_equal(next, layers.count);
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

static void check_gradients(const golden_case *c, const mq_net *net, const pair *pairs, int count,
                            const mq_st_file *step) {
    static const char *const names[GROUPS] = {"conv", "batch norm", "linear", "alpha"};
    static const double worst[GROUPS] = {.988, .986, .9999, .994}; /* numerics.md 11, vgg_tiny */
    product sums[GROUPS] = {0};
    for (int i = 0; i < count; i++) {
        const mq_ref_param *p = pairs[i].param;
        if (!p->grad) continue;
        char name[2 * NAME + 8];
        snprintf(name, sizeof name, "grad.%s", pairs[i].name);
        const mq_tensor *t = need(step, name, MQ_F32);
        assert_int_equal(mq_tensor_count(t), p->count);
        add_product(&sums[group_of(net, p->spec)], p->grad, t->data, p->count);
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
    static pair pairs[MOST_PAIRS];
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
    const int count = match(net, ref, initial, search, pairs);
    for (int i = 0; i < count; i++) set_from(&pairs[i], initial);

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
    check_gradients(c, net, pairs, count, step);

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
                                  .share = true,
                                  .bits = &bits,
                                  .batch = (int)batch};
        if (search) {
            assert_true(json_is_true(json_object_get(c.expected, "share_weight")));
        } else {
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

/* 64 x 64 weights in a linear layer behind a 64-channel pixel; 4096 activations before another; 256 grey
 * values in the image. */
static const char CARRIER[] = "name: carrier\ntask: classification\nclasses: 64\n"
                              "input: {channels: 1, height: 16, width: 16}\n"
                              "layers:\n"
                              "  - conv: {out: 16, kernel: 1, name: first}\n"
                              "  - linear: {out: 64, bias: false, name: middle}\n"
                              "  - linear: {out: 64, bias: false, name: last}\n";

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
    OK(mq_net_parse("carrier", CARRIER, strlen(CARRIER), &net, ERROR));
    const mq_tensor *weights = need(file, "weight.input", MQ_F32),
                    *x = need(file, "activation.input", MQ_F32);
    const float *grey = need(file, "image.input", MQ_F32)->data;
    assert_true(mq_tensor_count(weights) == 4096 && mq_tensor_count(x) == 4096);
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
