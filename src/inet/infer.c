/* infer.c - what each kind of node makes of its inputs: shape, type and the reachable range of every channel.
 *
 * Ranges are interval arithmetic per channel, from the image's codes to the head: an accumulator channel is
 * bounded by the sum over its weights of the worst product with the reachable codes of that weight's input
 * channel (zero too where there is padding), requantisation is monotone in the accumulator, so its ends give
 * the codes' ends. Nothing wider than int64 can then occur in any network that passes: requantisation is
 * checked at both ends of the range. */
#include "inet/inet_internal.h"

#include <math.h>
#include <string.h>

enum { MAX_CODE_INTO_WEIGHTS = 32767 }; /* layers multiply codes of at most 16 signed bits */

static mq_status copy_array(mq_inet *net, const void *from, size_t count, size_t size, const char *what,
                            void *to, mq_error *error) {
    void *memory = NULL;
    MQ_TRY(mq_arena_alloc(net->arena, count, size, what, &memory, error));
    if (count) memcpy(memory, from, count * size);
    memcpy(to, &memory, sizeof memory);
    return MQ_OK;
}

int mq_inet_magnitude_bits(const int64_t *v, size_t n) {
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all |= v[i] < 0 ? 0 - (uint64_t)v[i] : (uint64_t)v[i];
    int bits = 1;
    for (; all; all >>= 1) bits++;
    return bits;
}

/* Two's complement width of low..high. */
static int signed_bits(int64_t low, int64_t high) {
    int bits = 1;
    for (; low < -1 || high > 0; bits++) {
        low >>= 1;
        high >>= 1;
    }
    return bits;
}

static mq_status check_int(const char *what, int64_t got, int64_t low, int64_t high, mq_error *error) {
    if (got >= low && got <= high) return MQ_OK;
    return mq_fail(error, MQ_BAD_INPUT, "%s: got %lld, expected %lld to %lld", what, (long long)got,
                   (long long)low, (long long)high);
}

static mq_status check_scale(const char *what, double scale, mq_error *error) {
    if (isfinite(scale) && scale >= 0) return MQ_OK;
    return mq_fail(error, MQ_BAD_INPUT, "%s: got %g, expected a finite number, 0 where unknown", what, scale);
}

static mq_status check_shape(const mq_inet_edge *edge, mq_error *error) {
    MQ_TRY(check_int("rows", edge->h, 1, MQ_INET_MAX_SIDE, error));
    MQ_TRY(check_int("columns", edge->w, 1, MQ_INET_MAX_SIDE, error));
    MQ_TRY(check_int("channels", edge->c, 1, MQ_INET_MAX_CHANNELS, error));
    return check_int("elements of the result", (int64_t)edge->h * edge->w * edge->c, 1, MQ_INET_MAX_EDGE,
                     error);
}

static mq_status make_ranges(mq_inet *net, mq_inet_edge *edge, int64_t **low, int64_t **high,
                             mq_error *error) {
    MQ_TRY(check_int("channels of all results so far", net->ranges + edge->c, 1, MQ_INET_MAX_RANGES, error));
    net->ranges += edge->c;
    MQ_TRY(mq_arena_alloc(net->arena, (size_t)edge->c, sizeof **low, "channel ranges", low, error));
    MQ_TRY(mq_arena_alloc(net->arena, (size_t)edge->c, sizeof **high, "channel ranges", high, error));
    edge->channel_low = *low;
    edge->channel_high = *high;
    return MQ_OK;
}

/* low, high of all channels from the channels' own. */
static void join_ranges(mq_inet_edge *edge) {
    edge->low = edge->channel_low[0];
    edge->high = edge->channel_high[0];
    for (int c = 1; c < edge->c; c++) {
        if (edge->channel_low[c] < edge->low) edge->low = edge->channel_low[c];
        if (edge->channel_high[c] > edge->high) edge->high = edge->channel_high[c];
    }
}

static const mq_inet_edge *input_edge(const mq_inet *net, const mq_inet_node *node, int i) {
    return &net->nodes[node->input[i]].edge;
}

/* A real input's chain and type, checked; the network gets a copy of its own. */
static mq_status keep_real(mq_inet *net, mq_inet_node *node, mq_error *error) {
    mq_inet_image *image = &node->image;
    MQ_TRY(mq_real_input_check(image->real, image->c, error));
    if (image->narrow && !image->is_signed)
        return mq_fail(error, MQ_BAD_INPUT, "narrow: only signed codes can be");
    if (image->bits - image->is_signed < 1)
        return mq_fail(error, MQ_BAD_INPUT, "bits: got %d for signed codes, expected 2 or more", image->bits);
    if (!(isfinite((float)image->scale) && (float)image->scale > 0))
        return mq_fail(error, MQ_BAD_INPUT, "scale: got %g, expected a float32 number above 0", image->scale);
    MQ_TRY(copy_array(net, image->real, 1, sizeof *image->real, "real input", &image->real, error));
    node->edge.is_signed = image->is_signed;
    node->edge.narrow = image->narrow;
    node->edge.scale = image->scale;
    return MQ_OK;
}

static mq_status infer_IMAGE(mq_inet *net, mq_inet_node *node, mq_error *error) {
    const mq_inet_image *image = &node->image;
    mq_inet_edge *out = &node->edge;
    int64_t *low, *high;
    MQ_TRY(check_int("bits", image->bits, 1, 8, error));
    *out = (mq_inet_edge){.h = image->h, .w = image->w, .c = image->c, .bits = image->bits};
    out->scale = ldexp(1.0, -image->bits);
    MQ_TRY(check_shape(out, error));
    if (image->real) MQ_TRY(keep_real(net, node, error));
    MQ_TRY(make_ranges(net, out, &low, &high, error));
    for (int c = 0; c < out->c; c++) {
        high[c] = (1 << (image->bits - out->is_signed)) - 1;
        low[c] = !out->is_signed ? 0 : out->narrow ? -high[c] : -high[c] - 1;
    }
    join_ranges(out);
    return MQ_OK;
}

/* ---- layers with weights ---- */

typedef struct layer {
    int outputs;
    int taps;     /* weights per output and input channel: kernel_h*kernel_w, or h*w */
    int channels; /* input channels per output */
    int groups;
    bool padded;
    int weight_bits;
    bool narrow;
    double weight_scale;
    const int8_t *weight; /* [outputs][channels][taps] */
    const int64_t *bias;
} layer;

static mq_status check_weights(const layer *l, mq_error *error) {
    MQ_TRY(check_int("weight bits", l->weight_bits, 1, 8, error));
    MQ_TRY(check_scale("weight scale", l->weight_scale, error));
    if (!l->weight) return mq_fail(error, MQ_BAD_INPUT, "weight: missing");
    int high = (1 << (l->weight_bits - 1)) - 1, low = l->narrow ? -high : -high - 1;
    size_t per_output = (size_t)l->channels * (size_t)l->taps;
    for (size_t i = 0; i < (size_t)l->outputs * per_output; i++)
        if (l->weight[i] < low || l->weight[i] > high)
            return mq_fail(error, MQ_BAD_INPUT,
                           "weight %zu of output channel %zu: got %d, expected %d to %d (%d bits%s)",
                           i % per_output, i / per_output, l->weight[i], low, high, l->weight_bits,
                           l->narrow ? ", symmetric" : "");
    return MQ_OK;
}

/* The reachable range of one output; sizes are limited so that sums of products stay far inside int64. */
static mq_status output_range(const layer *l, const mq_inet_edge *in, int output, int64_t *low, int64_t *high,
                              mq_error *error) {
    const int8_t *weight = l->weight + (size_t)output * (size_t)l->channels * (size_t)l->taps;
    int first = output / (l->outputs / l->groups) * l->channels;
    int64_t least = 0, most = 0;
    for (int i = 0; i < l->channels; i++) {
        int64_t a = in->channel_low[first + i], b = in->channel_high[first + i];
        for (int t = 0; t < l->taps; t++) {
            int64_t w = *weight++;
            int64_t small = w < 0 ? w * b : w * a, large = w < 0 ? w * a : w * b;
            if (l->padded && small > 0) small = 0;
            if (l->padded && large < 0) large = 0;
            least += small;
            most += large;
        }
    }
    int64_t bias = l->bias ? l->bias[output] : 0;
    if (__builtin_add_overflow(least, bias, low) || __builtin_add_overflow(most, bias, high))
        return mq_fail(error, MQ_BAD_INPUT,
                       "output channel %d: bias %lld takes the accumulator out of 64 bits", output,
                       (long long)bias);
    return MQ_OK;
}

static mq_status infer_layer(mq_inet *net, const layer *l, const mq_inet_edge *in, mq_inet_node *node,
                             mq_error *error) {
    mq_inet_edge *out = &node->edge;
    int64_t *low, *high;
    if (in->low < -MAX_CODE_INTO_WEIGHTS - 1 || in->high > MAX_CODE_INTO_WEIGHTS)
        return mq_fail(error, MQ_BAD_INPUT, "input codes: got %lld to %lld, expected at most 16 signed bits",
                       (long long)in->low, (long long)in->high);
    MQ_TRY(make_ranges(net, out, &low, &high, error));
    for (int o = 0; o < l->outputs; o++) MQ_TRY(output_range(l, in, o, &low[o], &high[o], error));
    join_ranges(out);
    out->is_signed = true;
    out->bits = signed_bits(out->low, out->high);
    out->scale = in->scale * l->weight_scale;
    if (l->bias) node->bias_bits = mq_inet_magnitude_bits(l->bias, (size_t)l->outputs);
    return check_scale("scale of the result", out->scale, error);
}

/* Checks the weights, and gives the network copies of its own. */
static mq_status keep_layer(mq_inet *net, const layer *l, size_t count, const int8_t **weight,
                            const int64_t **bias, mq_error *error) {
    MQ_TRY(check_weights(l, error));
    MQ_TRY(copy_array(net, *weight, count, 1, "weights", weight, error));
    if (!*bias) return MQ_OK;
    return copy_array(net, *bias, (size_t)l->outputs, sizeof **bias, "biases", bias, error);
}

static mq_status infer_CONV(mq_inet *net, mq_inet_node *node, mq_error *error) {
    mq_inet_conv *v = &node->conv;
    const mq_inet_edge *in = input_edge(net, node, 0);
    mq_inet_edge *out = &node->edge;
    MQ_TRY(check_int("output channels", v->out_channels, 1, MQ_INET_MAX_CHANNELS, error));
    MQ_TRY(check_int("kernel rows", v->kernel_h, 1, MQ_INET_MAX_KERNEL, error));
    MQ_TRY(check_int("kernel columns", v->kernel_w, 1, MQ_INET_MAX_KERNEL, error));
    MQ_TRY(check_int("row stride", v->stride_h, 1, MQ_INET_MAX_KERNEL, error));
    MQ_TRY(check_int("column stride", v->stride_w, 1, MQ_INET_MAX_KERNEL, error));
    MQ_TRY(check_int("top padding", v->pad_top, 0, v->kernel_h - 1, error));
    MQ_TRY(check_int("bottom padding", v->pad_bottom, 0, v->kernel_h - 1, error));
    MQ_TRY(check_int("left padding", v->pad_left, 0, v->kernel_w - 1, error));
    MQ_TRY(check_int("right padding", v->pad_right, 0, v->kernel_w - 1, error));
    MQ_TRY(check_int("groups", v->groups, 1, in->c, error));
    if (in->c % v->groups || v->out_channels % v->groups)
        return mq_fail(error, MQ_BAD_INPUT,
                       "groups: got %d, expected a divisor of %d input and %d output channels", v->groups,
                       in->c, v->out_channels);
    int rows = in->h + v->pad_top + v->pad_bottom - v->kernel_h;
    int columns = in->w + v->pad_left + v->pad_right - v->kernel_w;
    if (rows < 0 || columns < 0)
        return mq_fail(error, MQ_BAD_INPUT, "kernel %d x %d is larger than the padded input of %d x %d",
                       v->kernel_h, v->kernel_w, rows + v->kernel_h, columns + v->kernel_w);
    *out = (mq_inet_edge){.h = rows / v->stride_h + 1, .w = columns / v->stride_w + 1, .c = v->out_channels};
    MQ_TRY(check_shape(out, error));
    int64_t count = (int64_t)v->out_channels * (in->c / v->groups) * v->kernel_h * v->kernel_w;
    MQ_TRY(check_int("number of weights", count, 1, MQ_INET_MAX_EDGE, error));
    layer l = {.outputs = v->out_channels,
               .taps = v->kernel_h * v->kernel_w,
               .channels = in->c / v->groups,
               .groups = v->groups,
               .padded = v->pad_top || v->pad_bottom || v->pad_left || v->pad_right,
               .weight_bits = v->weight_bits,
               .narrow = v->weight_narrow,
               .weight_scale = v->weight_scale,
               .weight = v->weight,
               .bias = v->bias};
    MQ_TRY(keep_layer(net, &l, (size_t)count, &v->weight, &v->bias, error));
    return infer_layer(net, &l, in, node, error);
}

static mq_status infer_LINEAR(mq_inet *net, mq_inet_node *node, mq_error *error) {
    mq_inet_linear *v = &node->linear;
    const mq_inet_edge *in = input_edge(net, node, 0);
    node->edge = (mq_inet_edge){.h = 1, .w = 1, .c = v->out_features};
    MQ_TRY(check_shape(&node->edge, error));
    int64_t count = (int64_t)v->out_features * in->c * in->h * in->w;
    MQ_TRY(check_int("number of weights", count, 1, MQ_INET_MAX_EDGE, error));
    layer l = {.outputs = v->out_features,
               .taps = in->h * in->w,
               .channels = in->c,
               .groups = 1,
               .weight_bits = v->weight_bits,
               .narrow = v->weight_narrow,
               .weight_scale = v->weight_scale,
               .weight = v->weight,
               .bias = v->bias};
    MQ_TRY(keep_layer(net, &l, (size_t)count, &v->weight, &v->bias, error));
    return infer_layer(net, &l, in, node, error);
}

/* ---- requantisation ---- */

static int64_t clip(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

/* The code of one accumulator; MQ_BAD_INPUT when a step leaves int64. */
static mq_status requant_code(const mq_inet_requant *r, int c, int64_t acc, int64_t *code, mq_error *error) {
    mq_inet_rule rule = r->rule ? (mq_inet_rule)r->rule[c] : MQ_INET_AFFINE;
    if (rule == MQ_INET_AFFINE) {
        int64_t v;
        if (__builtin_mul_overflow(acc, r->inc[c], &v) || __builtin_add_overflow(v, r->bias[c], &v))
            return mq_fail(error, MQ_BAD_INPUT, "channel %d: %lld*%lld + %lld does not fit 64 bits", c,
                           (long long)acc, (long long)r->inc[c], (long long)r->bias[c]);
        *code = clip(v >> r->shift, r->low, r->high);
        return MQ_OK;
    }
    int levels = r->high - r->low;
    const int64_t *t = r->threshold + (size_t)c * (size_t)levels;
    *code = r->low;
    for (int i = 0; i < levels; i++) *code += rule == MQ_INET_RISING ? acc >= t[i] : acc < t[i];
    return MQ_OK;
}

static mq_status check_rule(const mq_inet_requant *r, int c, mq_error *error) {
    int levels = r->high - r->low;
    const int64_t *t = r->threshold + (size_t)c * (size_t)levels;
    if (r->rule[c] >= MQ_INET_RULES)
        return mq_fail(error, MQ_BAD_INPUT, "channel %d: rule: got %d, expected 0 to %d", c, r->rule[c],
                       MQ_INET_RULES - 1);
    if (r->rule[c] == MQ_INET_AFFINE) {
        for (int i = 0; i < levels; i++)
            if (t[i] != 0)
                return mq_fail(error, MQ_BAD_INPUT, "channel %d: thresholds in an affine channel", c);
        return MQ_OK;
    }
    if (r->inc[c] != 0 || r->bias[c] != 0)
        return mq_fail(error, MQ_BAD_INPUT,
                       "channel %d: inc %lld, bias %lld in a channel of thresholds, expected 0", c,
                       (long long)r->inc[c], (long long)r->bias[c]);
    for (int i = 1; i < levels; i++)
        if (t[i] < t[i - 1])
            return mq_fail(error, MQ_BAD_INPUT, "channel %d: threshold %d is below the one before", c, i);
    return MQ_OK;
}

static mq_status infer_REQUANT(mq_inet *net, mq_inet_node *node, mq_error *error) {
    mq_inet_requant *r = &node->requant;
    const mq_inet_edge *in = input_edge(net, node, 0);
    mq_inet_edge *out = &node->edge;
    MQ_TRY(check_int("bits", r->bits, 1, 8, error));
    if (r->narrow && !r->is_signed) return mq_fail(error, MQ_BAD_INPUT, "narrow: only signed codes can be");
    MQ_TRY(check_scale("scale", r->scale, error));
    MQ_TRY(check_int("shift", r->shift, 0, MQ_INET_MAX_SHIFT, error));
    int type_high = (1 << (r->bits - r->is_signed)) - 1;
    int type_low = !r->is_signed ? 0 : r->narrow ? -type_high : -type_high - 1;
    MQ_TRY(check_int("low", r->low, type_low, type_high, error));
    MQ_TRY(check_int("high", r->high, r->low, type_high, error));
    if (!r->inc || !r->bias) return mq_fail(error, MQ_BAD_INPUT, "%s: missing", r->inc ? "bias" : "inc");
    if (!r->rule != !r->threshold)
        return mq_fail(error, MQ_BAD_INPUT, "%s: missing", r->rule ? "threshold" : "rule");
    if (r->rule && r->high == r->low)
        return mq_fail(error, MQ_BAD_INPUT, "thresholds between codes that are equal");
    size_t channels = (size_t)in->c, levels = (size_t)(r->high - r->low);
    MQ_TRY(copy_array(net, r->inc, channels, sizeof *r->inc, "inc", &r->inc, error));
    MQ_TRY(copy_array(net, r->bias, channels, sizeof *r->bias, "bias", &r->bias, error));
    if (r->rule) {
        MQ_TRY(copy_array(net, r->rule, channels, 1, "rules", &r->rule, error));
        MQ_TRY(copy_array(net, r->threshold, channels * levels, sizeof *r->threshold, "thresholds",
                          &r->threshold, error));
        for (int c = 0; c < in->c; c++) MQ_TRY(check_rule(r, c, error));
    }
    node->inc_bits = mq_inet_magnitude_bits(r->inc, channels);
    node->bias_bits = mq_inet_magnitude_bits(r->bias, channels);

    *out = (mq_inet_edge){.h = in->h, .w = in->w, .c = in->c, .bits = r->bits, .is_signed = r->is_signed};
    out->narrow = r->narrow;
    out->scale = r->scale;
    int64_t *low, *high;
    MQ_TRY(make_ranges(net, out, &low, &high, error));
    for (int c = 0; c < in->c; c++) {
        int64_t a, b;
        MQ_TRY(requant_code(r, c, in->channel_low[c], &a, error));
        MQ_TRY(requant_code(r, c, in->channel_high[c], &b, error));
        low[c] = a < b ? a : b;
        high[c] = a < b ? b : a;
    }
    join_ranges(out);
    return MQ_OK;
}

/* ---- shapes ---- */

static mq_status infer_MAX_POOL(mq_inet *net, mq_inet_node *node, mq_error *error) {
    const mq_inet_edge *in = input_edge(net, node, 0);
    const mq_inet_pool *pool = &node->pool;
    int smaller = in->h < in->w ? in->h : in->w;
    MQ_TRY(check_int("kernel", pool->kernel, 1, smaller < MQ_INET_MAX_KERNEL ? smaller : MQ_INET_MAX_KERNEL,
                     error));
    MQ_TRY(check_int("stride", pool->stride, 1, MQ_INET_MAX_KERNEL, error));
    node->edge = *in;
    node->edge.h = (in->h - pool->kernel) / pool->stride + 1;
    node->edge.w = (in->w - pool->kernel) / pool->stride + 1;
    return check_shape(&node->edge, error);
}

static mq_status infer_REORG(mq_inet *net, mq_inet_node *node, mq_error *error) {
    const mq_inet_edge *in = input_edge(net, node, 0);
    mq_inet_edge *out = &node->edge;
    if (in->h % 2 || in->w % 2)
        return mq_fail(error, MQ_BAD_INPUT, "input: got %d x %d, expected even rows and columns", in->h,
                       in->w);
    *out = *in;
    out->h = in->h / 2;
    out->w = in->w / 2;
    out->c = 4 * in->c;
    MQ_TRY(check_shape(out, error));
    int64_t *low, *high;
    MQ_TRY(make_ranges(net, out, &low, &high, error));
    for (int c = 0; c < out->c; c++) {
        low[c] = in->channel_low[c % in->c];
        high[c] = in->channel_high[c % in->c];
    }
    return MQ_OK;
}

static mq_status infer_CONCAT(mq_inet *net, mq_inet_node *node, mq_error *error) {
    const mq_inet_edge *first = input_edge(net, node, 0);
    mq_inet_edge *out = &node->edge;
    *out = *first;
    out->c = 0;
    for (int i = 0; i < node->input_count; i++) {
        const mq_inet_edge *in = input_edge(net, node, i);
        const char *name = net->nodes[node->input[i]].name;
        if (in->h != first->h || in->w != first->w)
            return mq_fail(error, MQ_BAD_INPUT, "input %s: got %d x %d, expected %d x %d as the first", name,
                           in->h, in->w, first->h, first->w);
        if (in->scale != first->scale || in->is_signed != first->is_signed)
            return mq_fail(error, MQ_BAD_INPUT,
                           "input %s: got %s codes of scale %.17g, expected %s, %.17g as the first", name,
                           in->is_signed ? "signed" : "unsigned", in->scale,
                           first->is_signed ? "signed" : "unsigned", first->scale);
        out->c += in->c; /* at most 8 * 2^17 */
        out->narrow = out->narrow && in->narrow;
        if (in->bits > out->bits) out->bits = in->bits;
    }
    MQ_TRY(check_shape(out, error));
    int64_t *low, *high;
    MQ_TRY(make_ranges(net, out, &low, &high, error));
    for (int i = 0, at = 0; i < node->input_count; i++) {
        const mq_inet_edge *in = input_edge(net, node, i);
        for (int c = 0; c < in->c; c++, at++) {
            low[at] = in->channel_low[c];
            high[at] = in->channel_high[c];
        }
    }
    join_ranges(out);
    return MQ_OK;
}

/* The published simulation's bypass (numerics of AnyPackingNet): float32, half to even, no clipping. */
static mq_status infer_RESCALE(mq_inet *net, mq_inet_node *node, mq_error *error) {
    const mq_inet_edge *in = input_edge(net, node, 0);
    const mq_inet_rescale *r = &node->rescale;
    mq_inet_edge *out = &node->edge;
    if (!net->compat)
        return mq_fail(error, MQ_BAD_INPUT, "rescale is only for networks made by the published rules");
    MQ_TRY(check_int("bits", r->bits, 1, 8, error));
    MQ_TRY(check_scale("scale", r->scale, error));
    if (!(isfinite(r->multiply) && r->multiply > 0 && isfinite(r->divide) && r->divide > 0))
        return mq_fail(error, MQ_BAD_INPUT, "factors: got %g / %g, expected positive numbers", r->multiply,
                       r->divide);
    if (in->is_signed) return mq_fail(error, MQ_BAD_INPUT, "input: got signed codes, expected unsigned");
    float most = rintf(((float)in->high * r->multiply) / r->divide);
    if (!(most <= MAX_CODE_INTO_WEIGHTS))
        return mq_fail(error, MQ_BAD_INPUT, "largest code: got %g, expected at most %d", most,
                       MAX_CODE_INTO_WEIGHTS);
    *out = *in;
    out->bits = r->bits;
    out->scale = r->scale;
    int64_t *low, *high;
    MQ_TRY(make_ranges(net, out, &low, &high, error));
    for (int c = 0; c < in->c; c++) {
        low[c] = (int64_t)rintf(((float)in->channel_low[c] * r->multiply) / r->divide);
        high[c] = (int64_t)rintf(((float)in->channel_high[c] * r->multiply) / r->divide);
    }
    join_ranges(out);
    return MQ_OK;
}

static mq_status infer_OUTPUT(mq_inet *net, mq_inet_node *node, mq_error *error) {
    float divisor = (float)node->output.divisor;
    if (!(isfinite(divisor) && divisor > 0))
        return mq_fail(error, MQ_BAD_INPUT, "divisor: got %g, expected a positive float32",
                       node->output.divisor);
    if (!isfinite((float)node->output.offset))
        return mq_fail(error, MQ_BAD_INPUT, "offset: got %g, expected a float32 number", node->output.offset);
    node->edge = *input_edge(net, node, 0);
    return MQ_OK;
}

mq_status mq_inet_infer(mq_inet *net, mq_inet_node *node, mq_error *error) {
    static mq_status (*const table[])(mq_inet *, mq_inet_node *, mq_error *) = {
#define INFER(id, name, least, most) infer_##id,
        MQ_INET_KINDS(INFER)
#undef INFER
    };
    return table[node->kind](net, node, error);
}
