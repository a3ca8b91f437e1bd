/* helper_steps.c - bounds and comparisons of golden training steps. */
#include "helper_steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <math.h>

#include "net/import.h"

/* Twice the worst of five runs in another order; cost terms of step 1 to 1e-6 at least, of later steps to
 * 4e-6: after two updates the order of sums on a CPU with AVX2 alone moves UltraNet's by 1.6e-6, one unit in
 * the last place of a quarter of the weights by 6e-7. */
static const golden_bounds CLASSIFICATION = {
    .cost_first = 1e-6,
    .cost_later = 2.8e-4,
    .loss_first = 2.4e-3,
    .loss_later = 3.8e-2,
    .total_first = 2.4e-3,
    .total_later = 1.36e-2,
    .output_cosine = 1 - 2e-4,
    .output_error = 0.028,
    .conv = 1 - 2 * 0.012,
    .bn = 1 - 2 * 0.014,
    .head = 1 - 2 * 0.0001,
    .alpha = 1 - 2 * 0.006,
    .tensor_cosine = 1 - 2 * 0.014,
    .norm_low = 0.86,
    .norm_high = 1.06,
};
static const golden_bounds DETECTION = {
    .cost_first = 1e-6,
    .cost_later = 4e-6,
    .loss_first = 1.12e-2,
    .loss_later = 3e-2,
    .objectness_first = 3e-4,
    .objectness_later = 2.8e-3,
    .objectness_fixed = 1.26e-2,
    .iou_first = 1.68e-2,
    .iou_later = 5.8e-2,
    .total_first = 4.4e-4,
    .total_later = 3.8e-3,
    .output_cosine = 1 - 2 * 0.0008,
    .output_error = 0.078,
    .conv = 1 - 2 * 0.057,
    .bn = 1 - 2 * 0.048,
    .head = 1 - 2 * 0.08,
    .alpha = 1 - 2 * 0.0012,
    .tensor_cosine = 1 - 2 * 0.072,
    .norm_low = 0.82,
    .norm_high = 1.06,
};
static const golden_bounds DEPTHWISE = {
    .cost_first = 1e-6,
    .cost_later = 4e-6,
    .loss_first = 1.7e-2,
    .loss_later = 0.118,
    .objectness_first = 8.6e-4,
    .objectness_later = 3.4e-3,
    .objectness_fixed = 2.2e-2,
    .iou_first = 2.6e-2,
    .iou_later = 0.22,
    .total_first = 1.24e-3,
    .total_later = 5.6e-3,
    .output_cosine = 1 - 2 * 0.0053,
    .output_error = 0.206,
    .conv = 1 - 2 * 0.164,
    .bn = 1 - 2 * 0.113,
    .head = 1 - 2 * 0.063,
    .alpha = 1 - 2 * 0.04,
    .tensor_cosine = 1 - 2 * 0.257,
    .norm_low = 0.6,
    .norm_high = 6.2,
};

const golden_bounds *golden_bounds_for(const mq_net *net) {
    if (net->task == MQ_TASK_CLASSIFICATION) return &CLASSIFICATION;
    for (int i = 0; i < net->node_count; i++)
        if (net->nodes[i].op == MQ_OP_CONV && net->nodes[i].conv.groups > 1) return &DEPTHWISE;
    return &DETECTION;
}

void golden_close(const char *where, int step, const char *what, double ours, double golden, double bound) {
    double error = fabs(ours - golden) / fmax(fabs(golden), 1e-30);
    print_message("  step %d %s: %.8g, golden %.8g, relative difference %.1e (bound %.1e)\n", step, what,
                  ours, golden, error, bound);
    if (!(error <= bound)) fail_msg("%s: step %d: %s: %.9g, %.9g expected", where, step, what, ours, golden);
}

double golden_number(const json_t *object, const char *key, double absent) {
    const json_t *value = json_object_get(object, key);
    return value ? json_number_value(value) : absent;
}

const void *golden_tensor(const char *where, const mq_st_file *file, const char *name, mq_dtype dtype,
                          mq_shape shape) {
    mq_error error = {0};
    const mq_st_entry *entry;
    if (mq_st_require(file, name, dtype, &shape, &entry, &error) != MQ_OK)
        fail_msg("%s: %s", where, error.text);
    return entry->tensor.data;
}

void golden_images(const mq_net *net, const uint8_t *nchw, size_t n, uint8_t *nhwc) {
    size_t c = (size_t)net->in_c, plane = (size_t)net->in_h * (size_t)net->in_w;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c; k++)
            for (size_t p = 0; p < plane; p++) nhwc[(i * plane + p) * c + k] = nchw[(i * c + k) * plane + p];
}

void golden_targets(const float *rows, size_t n, mq_target *out) {
    for (size_t t = 0; t < n; t++) {
        const float *r = rows + 7 * t;
        out[t] = (mq_target){(int32_t)r[0], (int32_t)r[1], {r[2], r[3], r[4], r[5]}, r[6]};
    }
}

void golden_prediction(const mq_net *net, const float *p, size_t n, float *nhwc) {
    const mq_node *last = mq_net_output(net);
    size_t cells = (size_t)last->h * (size_t)last->w, anchors = (size_t)net->anchor_count,
           fields = (size_t)last->c / anchors, at = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t a = 0; a < anchors; a++)
            for (size_t cell = 0; cell < cells; cell++)
                for (size_t f = 0; f < fields; f++)
                    nhwc[((i * cells + cell) * anchors + a) * fields + f] = p[at++];
}

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

void golden_compare_output(const char *where, const golden_bounds *bounds, const float *ours,
                           const float *golden, size_t count) {
    sums out = {0};
    double off = 0;
    add(&out, ours, golden, count);
    for (size_t i = 0; i < count; i++) off += pow((double)ours[i] - (double)golden[i], 2);
    double error = sqrt(off / out.yy);
    print_message("  output: cosine %.7f (bound %.4f), relative error %.2e (bound %.3f)\n", cosine(&out),
                  bounds->output_cosine, error, bounds->output_error);
    if (!(cosine(&out) >= bounds->output_cosine && error <= bounds->output_error))
        fail_msg("%s: output: cosine %.7f, relative error %.2e", where, cosine(&out), error);
}

void golden_compare_gradients(const char *where, const golden_bounds *bounds, mq_model *model,
                              const mq_st_file *step) {
    mq_error error = {0};
    const mq_net *net = mq_model_net(model);
    const mq_model_options *options = mq_model_get_options(model);
    mq_import_map map;
    bool share = options->mode != MQ_MODE_SEARCH || options->share;
    if (mq_import_map_file(step, "grad.", net, options->mode, share, true, &map, &error) != MQ_OK)
        fail_msg("%s: %s", where, error.text);
    int count, compared = 0;
    mq_param *params = mq_model_params(model, &count);
    sums kind[4] = {0};
    for (int i = 0; i < count; i++) {
        if (!params[i].grad) continue;
        const mq_node *node = &net->nodes[params[i].spec->node];
        mq_param_kind k = params[i].spec->kind;
        const mq_st_entry *entry = map.entries[i];
        if (!entry) fail_msg("%s: no gradient of %s", where, params[i].spec->name);
        const float *golden = entry->tensor.data;
        compared++;
        bool last = node->index == net->output;
        int which = mq_param_is_alpha(k) ? 3 : node->op == MQ_OP_BATCH_NORM ? 1 : last ? 2 : 0;
        add(&kind[which], params[i].grad, golden, params[i].count);
        if (which != 0 || k != MQ_PARAM_WEIGHT) continue;
        sums one = {0};
        add(&one, params[i].grad, golden, params[i].count);
        double c = cosine(&one), ratio = sqrt(one.xx / one.yy);
        print_message("  gradient of %s: cosine %.6f, norm ratio %.4f\n", params[i].spec->name, c, ratio);
        if (!(c >= bounds->tensor_cosine && ratio >= bounds->norm_low && ratio <= bounds->norm_high))
            fail_msg("%s: gradient of %s: cosine %.6f, norm ratio %.4f", where, params[i].spec->name, c,
                     ratio);
    }
    assert_true(compared > 0);
    static const char *const names[] = {"conv", "batch norm", "head or linear", "alpha"};
    const double least[] = {bounds->conv, bounds->bn, bounds->head, bounds->alpha};
    for (int k = 0; k < 4; k++) {
        double c = cosine(&kind[k]);
        print_message("  gradients of all %s tensors: cosine %.6f (bound %.4f)\n", names[k], c, least[k]);
        if (!(c >= least[k])) fail_msg("%s: %s gradients: cosine %.6f", where, names[k], c);
    }
    mq_import_map_free(&map);
}
