/* helper_trained.c - random trained networks, and their evaluation in float64, node by node. */
#include "lower/helper_trained.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/rng.h"
#include "quant/quant.h"

static float draw_value(const mq_rng *rng, uint64_t n, mq_param_kind kind, float spread) {
    float z = mq_rng_normal(rng, n);
    switch (kind) {
    case MQ_PARAM_WEIGHT:
        return 0.1f * z;
    case MQ_PARAM_GAMMA:
        return n % 7 == 3 ? 0 : n % 11 == 5 ? 1e-6f * z : spread * z;
    case MQ_PARAM_VAR:
        return 0.01f + z * z;
    default:
        return 0.5f * z;
    }
}

void trained_make(const draw *d, mq_checkpoint *out) {
    char path[] = "/tmp/mixq-trained-XXXXXX";
    mq_error error = {0};
    mq_net *net;
    if (mq_net_parse("test.yaml", d->network, strlen(d->network), &net, &error) != MQ_OK)
        fail_msg("%s", error.text);
    mq_rng rng = mq_rng_stream(d->seed, "trained", 0);
    mq_bits bits;
    mq_bits_uniform(net, 4, 4, &bits);
    for (int i = 0; i < net->layer_count; i++) {
        if (net->layers[i].pinned) continue;
        bits.weight[i] = (int8_t)(1 + mq_rng_below(&rng, (uint64_t)(1000000 + i), 8));
        bits.activation[i] = (int8_t)(1 + mq_rng_below(&rng, (uint64_t)(2000000 + i), 8));
    }
    if (d->bitw && mq_bits_parse(net, d->bitw, d->bita, &bits, &error) != MQ_OK) fail_msg("%s", error.text);
    mq_checkpoint_info info = {.net = net,
                               .mode = d->mode,
                               .share = true,
                               .symmetric = d->symmetric,
                               .bits = &bits,
                               .precision = "f32"};
    mq_st_writer *writer;
    mq_param_spec *specs;
    int count;
    assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
    assert_int_equal(mq_checkpoint_describe(writer, &info, &error), MQ_OK);
    assert_int_equal(mq_params_list(net, d->mode, true, &specs, &count, &error), MQ_OK);
    mq_tensor *tensors = calloc((size_t)count, sizeof *tensors);
    uint64_t drawn = 0;
    for (int i = 0; i < count; i++) {
        assert_int_equal(mq_tensor_create(MQ_F32, specs[i].shape, &tensors[i], &error), MQ_OK);
        for (size_t k = 0; k < mq_tensor_count(&tensors[i]); k++)
            ((float *)tensors[i].data)[k] = draw_value(&rng, drawn++, specs[i].kind, d->spread);
        assert_int_equal(mq_st_add(writer, specs[i].name, &tensors[i], &error), MQ_OK);
    }
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    if (mq_st_write(writer, path, &error) != MQ_OK) fail_msg("%s", error.text);
    if (mq_checkpoint_load(path, out, &error) != MQ_OK) fail_msg("%s", error.text);
    unlink(path);
    for (int i = 0; i < count; i++) mq_tensor_free(&tensors[i]);
    free(tensors);
    mq_free(specs);
    mq_st_writer_free(writer);
    mq_net_free(net);
}

int trained_node(const mq_net *net, const char *name) {
    for (int i = 0; i < net->node_count; i++)
        if (strcmp(net->nodes[i].name, name) == 0) return i;
    fail_msg("no node %s", name);
    return -1;
}

float *trained_values(mq_checkpoint *c, const char *node, mq_param_kind kind) {
    const float *values = mq_checkpoint_values(c, trained_node(c->net, node), kind);
    assert_non_null(values);
    return (float *)values;
}

typedef struct run {
    const mq_checkpoint *c;
    double *value[MQ_MAX_NODES]; /* real values [h][w][c]; of activations codes; of the head accumulators */
    double edge;
} run;

static double input_step(const run *r, int layer) {
    int bits = r->c->bits.activation[layer];
    const mq_node *act = &r->c->net->nodes[r->c->net->layers[layer].act];
    if (act->act.kind == MQ_ACT_IMAGE || r->c->net->quantizer == MQ_QUANTIZER_DOREFA) return ldexp(1, -bits);
    return mq_activation_unit(bits);
}

static void run_activation(run *r, const mq_node *n, size_t count) {
    int bits = r->c->bits.activation[n->act.layer];
    const double *x = r->value[n->input[0]];
    for (size_t i = 0; i < count; i++) {
        if (n->act.kind == MQ_ACT_IMAGE) {
            r->value[n->index][i] = (int)x[i] >> (8 - bits);
            continue;
        }
        double q = x[i] / input_step(r, n->act.layer), top = ldexp(1, bits) - 1;
        double distance = fabs(q - floor(q) - 0.5);
        if (q > -1 && q < top + 1 && distance < r->edge) r->edge = distance;
        r->value[n->index][i] = q < 0 ? 0 : q > top ? top : rint(q);
    }
}

/* tanh(w)/max|tanh(w)| in steps of 2^(1-bits); returns the step. */
static double dorefa_codes(const float *w, size_t n, int bits, bool narrow, int32_t *q) {
    double step = ldexp(1, 1 - bits), high = 1 / step - 1, low = narrow ? -high : -high - 1;
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf((float)tanh((double)w[i])));
    for (size_t i = 0; i < n; i++) {
        float t = most > 0 ? (float)tanh((double)w[i]) / most : 0;
        q[i] = (int32_t)fmin(fmax(rint((double)t / step), low), high);
    }
    return step;
}

static double hwgq_codes(const float *w, size_t n, int bits, bool narrow, int32_t *q) {
    double step = mq_weight_step(bits, mq_weight_deviation(w, n));
    mq_weight_codes(w, n, bits, narrow, step, q);
    return step == 0 ? mq_weight_unit(bits) : step;
}

/* Weight codes, their sum of products with the input codes, and the result in real values (accumulators for
 * the head). */
static void run_layer(run *r, const mq_node *n) {
    const mq_net *net = r->c->net;
    const mq_node *in = &net->nodes[n->input[0]];
    const float *weight = mq_checkpoint_values(r->c, n->index, MQ_PARAM_WEIGHT);
    const float *bias = mq_checkpoint_values(r->c, n->index, MQ_PARAM_BIAS);
    int bits = r->c->bits.weight[n->layer];
    mq_conv_attr a = n->conv;
    if (n->op == MQ_OP_LINEAR)
        a = (mq_conv_attr){.out_channels = n->c,
                           .in_channels = in->c,
                           .kernel_h = in->h,
                           .kernel_w = in->w,
                           .stride = 1,
                           .groups = 1};
    size_t per = (size_t)(a.in_channels / a.groups * a.kernel_h * a.kernel_w), total = per * (size_t)n->c;
    int32_t *q = calloc(total, sizeof *q);
    double step = net->quantizer == MQ_QUANTIZER_DOREFA
                      ? dorefa_codes(weight, total, bits, r->c->symmetric, q)
                      : hwgq_codes(weight, total, bits, r->c->symmetric, q);
    double unit = step * input_step(r, n->layer);
    int per_group = a.in_channels / a.groups;
    for (int y = 0; y < n->h; y++)
        for (int x = 0; x < n->w; x++)
            for (int o = 0; o < n->c; o++) {
                int64_t acc = 0;
                const int32_t *w = q + (size_t)o * per;
                for (int i = 0; i < per_group; i++)
                    for (int ky = 0; ky < a.kernel_h; ky++)
                        for (int kx = 0; kx < a.kernel_w; kx++, w++) {
                            int iy = y * a.stride + ky - a.pad_h, ix = x * a.stride + kx - a.pad_w;
                            if (iy < 0 || ix < 0 || iy >= in->h || ix >= in->w) continue;
                            int channel = o / (n->c / a.groups) * per_group + i;
                            acc += *w * (int64_t)r->value[in->index][(iy * in->w + ix) * in->c + channel];
                        }
                double result = (double)acc * unit + (bias ? bias[o] : 0);
                if (n->index == net->output) result = (double)acc + (bias ? rint(bias[o] * (1 / unit)) : 0);
                r->value[n->index][(y * n->w + x) * n->c + o] = result;
            }
    free(q);
}

static void run_batch_norm(run *r, const mq_node *n, size_t count) {
    const float *gamma = mq_checkpoint_values(r->c, n->index, MQ_PARAM_GAMMA);
    const float *beta = mq_checkpoint_values(r->c, n->index, MQ_PARAM_BETA);
    const float *mean = mq_checkpoint_values(r->c, n->index, MQ_PARAM_MEAN);
    const float *var = mq_checkpoint_values(r->c, n->index, MQ_PARAM_VAR);
    for (size_t i = 0; i < count; i++) {
        size_t c = i % (size_t)n->c;
        r->value[n->index][i] =
            gamma[c] * ((r->value[n->input[0]][i] - mean[c]) / sqrt(var[c] + 1e-5)) + beta[c];
    }
}

static void run_movement(run *r, const mq_node *n) {
    const mq_node *in = &r->c->net->nodes[n->input[0]];
    double *out = r->value[n->index];
    const double *from = r->value[in->index];
    int k = n->pool.kernel, s = n->pool.stride;
    for (int y = 0; y < n->h; y++)
        for (int x = 0; x < n->w; x++) {
            double *pixel = out + (y * n->w + x) * n->c;
            if (n->op == MQ_OP_CONCAT) {
                for (int i = 0; i < n->input_count; i++) {
                    const mq_node *part = &r->c->net->nodes[n->input[i]];
                    memcpy(pixel, r->value[part->index] + (y * n->w + x) * part->c,
                           (size_t)part->c * sizeof *pixel);
                    pixel += part->c;
                }
                continue;
            }
            for (int c = 0; c < in->c; c++) {
                double most = -HUGE_VAL;
                for (int dy = 0; dy < k; dy++)
                    for (int dx = 0; dx < k; dx++) {
                        double v = from[((y * s + dy) * in->w + x * s + dx) * in->c + c];
                        if (v > most) most = v;
                        if (n->op == MQ_OP_REORG) pixel[(s * dy + dx) * in->c + c] = v;
                    }
                if (n->op == MQ_OP_MAX_POOL) pixel[c] = most;
            }
        }
}

double trained_run(const mq_checkpoint *c, const uint8_t *image, int64_t *out) {
    const mq_net *net = c->net;
    run *r = calloc(1, sizeof *r);
    r->c = c;
    r->edge = 1;
    for (int i = 0; i < net->node_count; i++) {
        const mq_node *n = &net->nodes[i];
        size_t count = (size_t)n->h * (size_t)n->w * (size_t)n->c;
        r->value[i] = calloc(count, sizeof(double));
        if (n->op == MQ_OP_INPUT)
            for (size_t k = 0; k < count; k++) r->value[i][k] = image[k];
        else if (n->op == MQ_OP_ACTIVATION)
            run_activation(r, n, count);
        else if (n->layer >= 0)
            run_layer(r, n);
        else if (n->op == MQ_OP_BATCH_NORM)
            run_batch_norm(r, n, count);
        else
            run_movement(r, n);
    }
    const mq_node *head = mq_net_output(net);
    for (int y = 0; y < head->h * head->w; y++)
        for (int o = 0; o < head->c; o++)
            out[o * head->h * head->w + y] = (int64_t)r->value[head->index][y * head->c + o];
    double edge = r->edge;
    for (int i = 0; i < net->node_count; i++) free(r->value[i]);
    free(r);
    return edge;
}
