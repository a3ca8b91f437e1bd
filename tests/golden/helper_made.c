/* helper_made.c - see helper_made.h. */
#include "helper_made.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "gen/hls_headers.h"
#include "helper_published.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "lower/lower.h"
#include "net/import.h"
#include "ops/model.h"
#include "search/search.h"
#include "train/detection_loss.h"
#include "train/evaluate.h"
#include "train/objective.h"

enum { BATCH = 2, PATH = 512, NAME = 128 };

/* Convolutions of the published modules; a batch norm stands at the next index. */
static const struct {
    const char *model, *published, *paths[14];
} MODULES[] = {
    {"ultranet_bypass",
     "UltraNetBypass_FixQ",
     {"layers_p1.0", "layers_p1.3", "layers_p1.6", "layers_p2.0", "layers_p3.1", "layers_p3.3", "layers_p3.5",
      "layers_p4.0", "layers_p4.2"}},
    {"skynetk5",
     "SkyNetk5_FixQ",
     {"layers.0", "layers.2", "layers.5", "layers.7", "layers.10", "layers.12", "layers.15", "layers.17",
      "layers.19", "layers.21", "layers.23", "layers.25", "layers.27"}},
};
enum { MODULE_COUNT = sizeof MODULES / sizeof *MODULES };

typedef struct maker {
    const char *folder, *model;
    int module;
    mq_net *net;
    mq_model *trained;
    mq_bits bits;
    mq_head head;
    uint8_t *images; /* [BATCH][h][w][c] */
    mq_target targets[BATCH];
    uint64_t drawn;
    mq_rng rng;
} maker;

#define NEED(call)                                                                                           \
    do {                                                                                                     \
        if ((call) != MQ_OK) fail_msg("%s: %s", m->model, error.text);                                       \
    } while (0)

/* ---- files ---- */

/* A .safetensors in the making; tensors are copied. */
typedef struct draft {
    const maker *maker;
    mq_st_writer *writer;
    void *kept[512];
    int count;
} draft;

static void open_draft(draft *d, const maker *m) {
    mq_error error = {0};
    *d = (draft){.maker = m};
    NEED(mq_st_writer_create(&d->writer, &error));
}

static void put(draft *d, const char *name, mq_dtype dtype, mq_shape shape, const void *data) {
    const maker *m = d->maker;
    mq_error error = {0};
    mq_tensor t = {.dtype = dtype, .shape = shape};
    size_t bytes = mq_tensor_bytes(&t);
    assert_true(d->count < 512);
    t.data = d->kept[d->count++] = malloc(bytes + 1);
    memcpy(t.data, data, bytes);
    NEED(mq_st_add(d->writer, name, &t, &error));
}

static void save_draft(draft *d, const char *name) {
    const maker *m = d->maker;
    mq_error error = {0};
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s.safetensors", m->folder, name);
    NEED(mq_st_write(d->writer, path, &error));
    mq_st_writer_free(d->writer);
    for (int i = 0; i < d->count; i++) free(d->kept[i]);
}

static void save_json(const maker *m, const char *name, json_t *root) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    assert_int_equal(json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(17)), 0);
    json_decref(root);
}

static mq_shape shape5(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e) {
    return (mq_shape){.rank = 5, .dim = {a, b, c, d, e}};
}

/* [n][h][w][c] to [n][c][h][w]. */
static uint8_t *nchw(const maker *m) {
    size_t c = (size_t)m->net->in_c, plane = (size_t)(m->net->in_h * m->net->in_w);
    uint8_t *out = malloc(BATCH * c * plane);
    for (size_t i = 0; i < BATCH; i++)
        for (size_t k = 0; k < c; k++)
            for (size_t p = 0; p < plane; p++)
                out[(i * c + k) * plane + p] = m->images[(i * plane + p) * c + k];
    return out;
}

static void put_images(draft *d, int rank) {
    const maker *m = d->maker;
    uint8_t *images = nchw(m);
    const mq_net *n = m->net;
    put(d, "images", MQ_U8,
        rank == 5 ? shape5(1, BATCH, n->in_c, n->in_h, n->in_w) : mq_shape4(BATCH, n->in_c, n->in_h, n->in_w),
        images);
    free(images);
}

static void put_targets(draft *d, int rank) {
    float rows[BATCH][7];
    for (int i = 0; i < BATCH; i++) {
        const mq_target *t = &d->maker->targets[i];
        const float row[7] = {(float)i, 0, t->box.x, t->box.y, t->box.w, t->box.h, t->weight};
        memcpy(rows[i], row, sizeof row);
    }
    const mq_shape three = {.rank = 3, .dim = {1, BATCH, 7}};
    put(d, "targets", MQ_F32, rank == 3 ? three : mq_shape2(BATCH, 7), rows);
}

/* [n][gy][gx][channels] to [n][anchor][gy][gx][field]. */
static void put_prediction(draft *d, const float *output) {
    const mq_head *h = &d->maker->head;
    size_t cells = (size_t)(h->grid_h * h->grid_w), anchors = (size_t)h->anchors,
           fields = (size_t)mq_head_fields(h), at = 0;
    float *p = malloc(BATCH * mq_head_values(h) * sizeof *p);
    for (size_t i = 0; i < BATCH; i++)
        for (size_t a = 0; a < anchors; a++)
            for (size_t c = 0; c < cells; c++)
                for (size_t f = 0; f < fields; f++)
                    p[at++] = output[((i * cells + c) * anchors + a) * fields + f];
    put(d, "prediction", MQ_F32, shape5(BATCH, h->anchors, h->grid_h, h->grid_w, mq_head_fields(h)), p);
    free(p);
}

/* ---- published names ---- */

/* Number of a weighted layer, or of the convolution before a batch norm. */
static int layer_of(const mq_net *net, int node) {
    const mq_node *n = &net->nodes[node];
    return n->op == MQ_OP_BATCH_NORM ? net->nodes[n->input[0]].layer : n->layer;
}

static void published_name(const maker *m, const mq_param_spec *spec, bool search, char out[NAME]) {
    static const char *const fixed[] = {[MQ_PARAM_WEIGHT] = "conv.weight", [MQ_PARAM_BIAS] = "conv.bias"};
    static const char *const mixed[] = {[MQ_PARAM_WEIGHT] = "mix_weight.conv.weight",
                                        [MQ_PARAM_BIAS] = "mix_weight.conv.bias",
                                        [MQ_PARAM_ALPHA_WEIGHT] = "mix_weight.alpha_weight",
                                        [MQ_PARAM_ALPHA_ACTIVATION] = "mix_activ.alpha_activ"};
    static const char *const norm[] = {[MQ_PARAM_GAMMA] = "weight",
                                       [MQ_PARAM_BETA] = "bias",
                                       [MQ_PARAM_MEAN] = "running_mean",
                                       [MQ_PARAM_VAR] = "running_var"};
    const char *path = MODULES[m->module].paths[layer_of(m->net, spec->node)];
    if (m->net->nodes[spec->node].op != MQ_OP_BATCH_NORM) {
        snprintf(out, NAME, "%s.%s", path, (search ? mixed : fixed)[spec->kind]);
        return;
    }
    const char *dot = strrchr(path, '.');
    snprintf(out, NAME, "%.*s.%d.%s", (int)(dot - path), path, atoi(dot + 1) + 1, norm[spec->kind]);
}

static void put_parameters(draft *d, bool search) {
    const maker *m = d->maker;
    const float zero[1] = {0};
    const int64_t steps[1] = {3};
    const mq_shape scalar = {.rank = 0};
    int count;
    const mq_param *params = mq_model_params(m->trained, &count);
    for (int i = 0; i < count; i++) {
        char name[NAME], more[NAME + 32];
        published_name(m, params[i].spec, search, name);
        put(d, name, MQ_F32, params[i].spec->shape, params[i].value);
        const char *path = MODULES[m->module].paths[layer_of(m->net, params[i].spec->node)];
        if (params[i].spec->kind == MQ_PARAM_WEIGHT) {
            snprintf(more, sizeof more, "%s.size_product", path);
            put(d, more, MQ_F32, scalar, zero);
        } else if (params[i].spec->kind == MQ_PARAM_VAR) {
            snprintf(more, sizeof more, "%.*s.num_batches_tracked", (int)(strrchr(name, '.') - name), name);
            put(d, more, MQ_I64, scalar, steps);
        }
    }
}

static void put_gradients(draft *d, bool search) {
    int count;
    const mq_param *params = mq_model_params(d->maker->trained, &count);
    for (int i = 0; i < count; i++) {
        char name[NAME], full[NAME + 8];
        if (!params[i].grad) continue;
        published_name(d->maker, params[i].spec, search, name);
        snprintf(full, sizeof full, "grad.%s", name);
        put(d, full, MQ_F32, params[i].spec->shape, params[i].grad);
    }
}

/* ---- the network and its data ---- */

static void open_maker(maker *m, const char *folder, const char *model) {
    mq_error error = {0};
    *m = (maker){.folder = folder, .model = model, .rng = mq_rng_stream(7, model, 0)};
    while (m->module < MODULE_COUNT && strcmp(MODULES[m->module].model, model) != 0) m->module++;
    assert_true(m->module < MODULE_COUNT);
    NEED(mq_net_open(model, &m->net, &error));
    mq_net_head(m->net, &m->head);
    size_t bytes = (size_t)(m->net->in_h * m->net->in_w * m->net->in_c);
    m->images = malloc(BATCH * bytes);
    for (size_t i = 0; i < BATCH * bytes; i++) /* slopes and noise */
        m->images[i] = (uint8_t)(i / 7 + i / 1000 + mq_rng_below(&m->rng, m->drawn++, 40));
    for (int i = 0; i < BATCH; i++)
        m->targets[i] = (mq_target){.image = i,
                                    .box = {0.31f + 0.2f * (float)i, 0.62f - 0.1f * (float)i, 0.12f, 0.2f},
                                    .weight = 0.75f + 0.5f * (float)i};
}

static void close_maker(maker *m) {
    mq_model_destroy(m->trained);
    mq_net_free(m->net);
    free(m->images);
}

/* Statistics and scales as after some training. */
static void scatter(maker *m) {
    int count;
    mq_param *params = mq_model_params(m->trained, &count);
    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < params[i].count; k++) {
            float z = mq_rng_normal(&m->rng, m->drawn++), *v = &params[i].value[k];
            switch (params[i].spec->kind) {
            case MQ_PARAM_GAMMA:
                *v = 0.7f + 0.3f * z;
                break;
            case MQ_PARAM_BETA:
                *v = 0.3f + 0.2f * z;
                break;
            case MQ_PARAM_MEAN:
                *v = 0.1f * z;
                break;
            case MQ_PARAM_VAR:
                *v = 0.05f + 0.1f * z * z;
                break;
            case MQ_PARAM_ALPHA_WEIGHT:
            case MQ_PARAM_ALPHA_ACTIVATION:
                *v += 0.3f * z;
                break;
            default:
                break;
            }
        }
    mq_model_touch(m->trained);
}

static void make_model(maker *m, mq_mode mode) {
    mq_error error = {0};
    const mq_model_options options = {.mode = mode,
                                      .bits = mode == MQ_MODE_FIXED ? &m->bits : NULL,
                                      .share = true,
                                      .training = true,
                                      .compute = MQ_F32,
                                      .batch = BATCH};
    NEED(mq_model_create(m->net, &options, &m->trained, &error));
    mq_model_initialise(m->trained, 3);
    scatter(m);
}

/* One step's box, objectness, mean_iou, detection; gradients scaled. */
static json_t *losses(maker *m, const float *output, double scale, float *d_output) {
    const mq_detection_sums s =
        mq_detection_loss(&m->head, output, BATCH, m->targets, BATCH, scale, d_output);
    const double box = s.box / (double)s.assigned, objectness = s.objectness / BATCH;
    return json_pack("{s:f, s:f, s:f, s:f}", "box", box, "objectness", objectness, "mean_iou",
                     s.iou / (double)s.assigned, "detection", box + objectness);
}

/* ---- the integer network ---- */

static int width(const int64_t *v, int n) {
    int most = 0;
    for (int i = 0; i < n; i++) {
        int bits = 1;
        for (int64_t magnitude = llabs(v[i]); magnitude; magnitude >>= 1) bits++;
        most = bits > most ? bits : most;
    }
    return most;
}

static void put_integer_layer(draft *d, json_t *list, int n, const published_layer *l, double divisor) {
    char name[NAME];
    const mq_inet_conv *a = l->conv;
    int per = l->in->c / a->groups, och = a->out_channels;
    size_t count = (size_t)(och * per * a->kernel_h * a->kernel_w);
    int32_t *wide = malloc(count * sizeof *wide);
    for (size_t i = 0; i < count; i++) wide[i] = a->weight[i];
    snprintf(name, sizeof name, "layer%d.weight", n);
    put(d, name, MQ_I32, mq_shape4(och, per, a->kernel_h, a->kernel_w), wide);
    free(wide);
    json_t *one =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f}", "n", n, "k",
                  a->kernel_h, "s", 1, "p", a->pad_top, "groups", a->groups, "ich", l->in->c, "och", och,
                  "irow", l->in->h, "icol", l->in->w, "orow", l->out->h, "ocol", l->out->w, "abit",
                  l->in->bits, "wbit", a->weight_bits, "astep", l->in->scale, "wstep", a->weight_scale);
    json_array_append_new(list, one);
    snprintf(name, sizeof name, "layer%d.bias", n);
    if (!l->requant) {
        json_object_set_new(one, "div", json_real(divisor));
        if (a->bias) put(d, name, MQ_I64, mq_shape1(och), a->bias);
        return;
    }
    const mq_inet_requant *r = l->requant;
    int64_t *bias = malloc((size_t)och * sizeof *bias);
    for (int c = 0; c < och; c++) bias[c] = r->bias[c] - ((int64_t)1 << (r->shift - 1));
    put(d, name, MQ_I64, mq_shape1(och), bias);
    json_object_set_new(one, "biasbit", json_integer(width(bias, och)));
    free(bias);
    snprintf(name, sizeof name, "layer%d.inc", n);
    put(d, name, MQ_I64, mq_shape1(och), r->inc);
    json_object_set_new(one, "incbit", json_integer(width(r->inc, och)));
    json_object_set_new(one, "lshift_T", json_integer(r->shift));
    json_object_set_new(one, "lshift", json_integer(r->shift - a->weight_bits - l->in->bits + 1));
    json_object_set_new(one, "obit", json_integer(r->bits));
    json_object_set_new(one, "ostep", json_real(r->scale));
}

static void put_headers(const maker *m, const mq_inet *net) {
    static mq_parallelism p;
    mq_error error = {0};
    char path[PATH], text[1024] = "simd pe\n";
    mq_parallelism_default(net, &p);
    for (int i = 0; i < p.count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d %d\n", p.rows[i].simd, p.rows[i].pe);
    snprintf(path, sizeof path, "%s/config_simd_pe.txt", m->folder);
    NEED(mq_file_write(path, text, strlen(text), &error));
    NEED(mq_hls_headers_write(net, &p, m->folder, &error));
}

/* integer_model, headers and the integer part of simulate. Returns the mean IoUs as sim_iou. */
static json_t *make_integer(maker *m, const char *checkpoint, draft *simulated) {
    mq_error error = {0};
    mq_imported imported;
    mq_checkpoint trained;
    char path[PATH];
    mq_inet *net;
    published_layer layers[PUBLISHED_LAYERS];
    draft d;
    snprintf(path, sizeof path, "%s/own.safetensors", m->folder);
    NEED(mq_import_open(checkpoint, NULL, &imported, &error));
    assert_string_equal(imported.net->name, m->model);
    NEED(mq_import_save(&imported, path, &error));
    mq_imported_free(&imported);
    NEED(mq_checkpoint_load(path, &trained, &error));
    const mq_lower_options options = {.compat = true, .lshift = MQ_LSHIFT_BY_NAME};
    NEED(mq_lower(&trained, &options, &net, &error));
    remove(path);
    int count = published_layers(net, layers);
    double divisor = mq_inet_last(net)->output.divisor;
    const bool bypass = strcmp(m->model, "ultranet_bypass") == 0;
    json_t *list = json_array(), *ious = json_array();
    open_draft(&d, m);
    for (int n = 0; n < count; n++) put_integer_layer(&d, list, n, &layers[n], divisor);
    save_draft(&d, "integer_model");
    save_json(m, "integer_model.json", list);
    put_headers(m, net);

    size_t values = mq_head_values(&m->head), bytes = (size_t)(m->net->in_h * m->net->in_w * m->net->in_c);
    int64_t *out = malloc(BATCH * values * sizeof *out);
    float *real = malloc(values * sizeof *real), boxes[BATCH][4], iou[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        published_codes head = published_run(bypass, layers, count, m->images + i * bytes);
        memcpy(out + i * values, head.v, values * sizeof *out);
        for (size_t k = 0; k < values; k++) real[k] = (float)head.v[k] / (float)divisor;
        const mq_found found = mq_head_find(&m->head, real, MQ_HEAD_NCHW);
        memcpy(boxes[i], &found.box, sizeof boxes[i]);
        iou[i] = (float)mq_head_iou(&m->head, &found, &m->targets[i], 1);
        json_array_append_new(ious, json_real((double)iou[i]));
        free(head.v);
    }
    put(simulated, "integer_output", MQ_I64,
        mq_shape4(BATCH, layers[count - 1].out->c, m->head.grid_h, m->head.grid_w), out);
    put(simulated, "sim_box", MQ_F32, mq_shape2(BATCH, 4), boxes);
    put(simulated, "sim_iou", MQ_F32, mq_shape1(BATCH), iou);
    free(real);
    free(out);
    mq_inet_free(net);
    mq_checkpoint_free(&trained);
    return ious;
}

/* Decoded outputs of the trained network in evaluation. Returns float_iou. */
static json_t *put_evaluation(maker *m, draft *d) {
    mq_error error = {0};
    const mq_head *h = &m->head;
    const float *output;
    size_t values = mq_head_values(h), channels = (size_t)mq_head_channels(h),
           fields = (size_t)mq_head_fields(h);
    float *io = malloc(BATCH * values * sizeof *io), *to = io, boxes[BATCH][4], iou[BATCH];
    json_t *ious = json_array();
    NEED(mq_model_forward(m->trained, m->images, BATCH, false, &output, &error));
    for (size_t i = 0; i < BATCH; i++) {
        const float *z = output + i * values;
        for (int a = 0; a < h->anchors; a++)
            for (int cell = 0; cell < h->grid_h * h->grid_w; cell++, to += fields) {
                const mq_found f = mq_head_decode(h, z, MQ_HEAD_NHWC, a, cell / h->grid_w, cell % h->grid_w);
                const double score = (double)z[(size_t)cell * channels + (size_t)a * fields + 5];
                memcpy(to, &f.box, sizeof f.box);
                to[4] = f.confidence;
                to[5] = (float)(1 / (1 + exp(-score)));
            }
        const mq_found found = mq_head_find(h, z, MQ_HEAD_NHWC);
        memcpy(boxes[i], &found.box, sizeof boxes[i]);
        iou[i] = (float)mq_head_iou(h, &found, &m->targets[i], 1);
        json_array_append_new(ious, json_real((double)iou[i]));
    }
    const mq_shape shape = {.rank = 3,
                            .dim = {BATCH, (int64_t)h->anchors * h->grid_h * h->grid_w, (int64_t)fields}};
    put(d, "float_io", MQ_F32, shape, io);
    put(d, "float_box", MQ_F32, mq_shape2(BATCH, 4), boxes);
    put(d, "float_iou", MQ_F32, mq_shape1(BATCH), iou);
    free(io);
    return ious;
}

static void add_costs(const maker *m, json_t *expected) {
    mq_error error = {0};
    mq_factors factors;
    mq_cost_model cost;
    mq_cost_report r;
    NEED(mq_factors_load("published", &factors, &error));
    NEED(mq_cost_create(m->net, &factors, &cost, &error));
    NEED(mq_cost_at(&cost, m->net, &m->bits, &r, &error));
    json_t *more = json_pack("{s:f, s:f, s:f, s:f, s:f}", "bitops_M", r.bit_ops_M, "bita_K", r.act_bits_K,
                             "bitw_M", r.weight_bits_M, "dsps_M", r.dsp_ops_M, "bram_K", r.bram_K);
    json_object_update(expected, more);
    json_decref(more);
}

void made_fixed(const char *folder, const char *model, const char *bitw, const char *bita) {
    mq_error error = {0};
    maker one, *m = &one;
    draft d;
    char path[PATH];
    const float *output;
    open_maker(m, folder, model);
    NEED(mq_bits_parse(m->net, bitw, bita, &m->bits, &error));
    make_model(m, MQ_MODE_FIXED);
    open_draft(&d, m);
    put_parameters(&d, false);
    NEED(mq_st_add_meta(d.writer, "model", MODULES[m->module].published, &error));
    NEED(mq_st_add_meta(d.writer, "bitw", bitw, &error));
    NEED(mq_st_add_meta(d.writer, "bita", bita, &error));
    save_draft(&d, "checkpoint");

    open_draft(&d, m);
    put_images(&d, 4);
    put_targets(&d, 2);
    json_t *float_iou = put_evaluation(m, &d);
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", folder);
    json_t *sim_iou = make_integer(m, path, &d);
    save_draft(&d, "simulate");

    float *d_output = malloc(BATCH * mq_head_values(&m->head) * sizeof *d_output);
    open_draft(&d, m);
    put_images(&d, 4);
    put_targets(&d, 2);
    NEED(mq_model_forward(m->trained, m->images, BATCH, true, &output, &error));
    put_prediction(&d, output);
    json_t *expected = losses(m, output, 1, d_output);
    NEED(mq_model_backward(m->trained, d_output, &error));
    put_gradients(&d, false);
    save_draft(&d, "train_step");
    free(d_output);

    json_object_set_new(expected, "model", json_string(model));
    json_object_set_new(expected, "bitw", json_string(bitw));
    json_object_set_new(expected, "bita", json_string(bita));
    json_object_set_new(expected, "float_iou", float_iou);
    json_object_set_new(expected, "sim_iou", sim_iou);
    add_costs(m, expected);
    save_json(m, "expected.json", expected);
    close_maker(m);
}

void made_search(const char *folder, const char *model) {
    mq_error error = {0};
    maker one, *m = &one;
    draft d;
    const float *output;
    mq_factors factors;
    mq_search search = {.prices = {.complexity = 4e-5}};
    open_maker(m, folder, model);
    make_model(m, MQ_MODE_SEARCH);
    NEED(mq_factors_load("published", &factors, &error));
    NEED(mq_cost_create(m->net, &factors, &search.cost, &error));
    open_draft(&d, m);
    put_parameters(&d, true);
    save_draft(&d, "initial");
    open_draft(&d, m);
    put_images(&d, 5);
    put_targets(&d, 3);
    save_draft(&d, "batches");

    float *d_output = malloc(BATCH * mq_head_values(&m->head) * sizeof *d_output);
    open_draft(&d, m);
    NEED(mq_model_forward(m->trained, m->images, BATCH, true, &output, &error));
    put_prediction(&d, output);
    json_t *step = losses(m, output, BATCH / 64.0, d_output);
    NEED(mq_model_backward(m->trained, d_output, &error));
    const mq_cost_losses cost = mq_search_add_gradients(&search, m->trained);
    put_gradients(&d, true);
    save_draft(&d, "step1");
    free(d_output);
    double detection = json_number_value(json_object_get(step, "detection"));
    json_object_set_new(step, "step", json_integer(1));
    json_object_set_new(step, "complexity", json_real(cost.complexity));
    json_object_set_new(step, "bram", json_real(cost.bram));
    json_object_set_new(step, "total", json_real(detection * BATCH / 64 + 4e-5 * cost.complexity));
    save_json(m, "expected.json",
              json_pack("{s:s, s:s, s:b, s:i, s:f, s:f, s:f, s:b, s:f, s:f, s:f, s:f, s:f, s:[o]}", "model",
                        model, "mode", "search", "share_weight", 1, "batch", BATCH, "complexity_decay", 1e-5,
                        "lr", 0.01, "momentum", 0.937, "nesterov", 1, "lr_bias_factor", 2.0, "weight_decay",
                        0.0, "lr_alpha", 0.01, "alpha_momentum", 0.937, "alpha_weight_decay", 4.84e-4,
                        "steps", step));
    close_maker(m);
}
