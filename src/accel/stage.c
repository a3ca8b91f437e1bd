/* stage.c - geometry of a layer's stage. */
#include "accel/stage.h"

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

static int groups_of(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].group > most) most = operand[i].group;
    return most + 1;
}

static bool divides(int a, int b) {
    return a % b == 0 || b % a == 0;
}

static mq_status shape(const mq_inet *net, const mq_inet_node *node, const mq_stream *in, mq_stage *s,
                       mq_error *error) {
    const mq_inet_edge *from = &net->nodes[node->input[0]].edge;
    s->out_h = node->edge.h, s->out_w = node->edge.w, s->out_c = node->edge.c;
    if (node->kind == MQ_INET_LINEAR) {
        s->linear = true;
        s->kernel_h = s->kernel_w = s->in_h = s->in_w = 1;
        int64_t channels = mq_stream_beats(in) * in->channels * in->pixels;
        if (channels > MQ_INET_MAX_EDGE)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %lld inputs, at most %d", node->name,
                           (long long)channels, MQ_INET_MAX_EDGE);
        s->in_c = (int)channels;
        s->products = (int64_t)from->h * from->w * from->c * s->out_c;
        return MQ_OK;
    }
    const mq_inet_conv *v = &node->conv;
    if (v->stride_h != 1 || v->stride_w != 1)
        return mq_fail(error, MQ_BAD_INPUT, "%s: stride %d x %d; stages are built for stride 1", node->name,
                       v->stride_h, v->stride_w);
    s->depthwise = v->groups > 1;
    if (s->depthwise && (v->groups != from->c || v->out_channels != from->c))
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: %d groups of %d input and %d output channels; stages are built for one group or "
                       "depthwise",
                       node->name, v->groups, from->c, v->out_channels);
    s->kernel_h = v->kernel_h, s->kernel_w = v->kernel_w;
    s->pad_top = v->pad_top, s->pad_left = v->pad_left;
    s->pad_bottom = v->pad_bottom, s->pad_right = v->pad_right;
    s->in_h = from->h, s->in_w = from->w, s->in_c = from->c;
    s->products =
        (int64_t)s->out_h * s->out_w * s->out_c * s->kernel_h * s->kernel_w * (s->depthwise ? 1 : s->in_c);
    return MQ_OK;
}

static mq_status packing_shape(const mq_plan_layer *l, const char *name, mq_stage *s, mq_error *error) {
    s->weight_groups = s->activations = 1;
    s->pieces = s->kernel_w;
    if (l->multiplier == MQ_PLAN_LUT) return MQ_OK;
    s->pieces = 0;
    for (int i = 0; i < l->kinds; i++) {
        const mq_packing *p = &l->piece[i].packing;
        int zero = p->activation[0].zero, groups = groups_of(p->weight, p->weights);
        for (int j = 1; j < p->activations; j++)
            if (p->activation[j].zero != zero || zero != l->piece[0].packing.activation[0].zero)
                return mq_fail(error, MQ_BAD_INPUT,
                               "%s: activations recentred by %d and %d; stages are built for one zero point",
                               name, zero, p->activation[j].zero);
        if (i && (groups != s->weight_groups || p->activations != s->activations))
            return mq_fail(error, MQ_BAD_INPUT, "%s: two packings of other outputs in one row", name);
        s->weight_groups = groups;
        s->activations = p->activations;
        s->pieces += l->piece[i].count;
    }
    return MQ_OK;
}

mq_status mq_stage_make(const mq_inet *net, const mq_plan_layer *l, const mq_stream *in, mq_stage *s,
                        mq_error *error) {
    const mq_inet_node *node = &net->nodes[l->node];
    const char *name = node->name;
    *s = (mq_stage){0};
    MQ_TRY(shape(net, node, in, s, error));
    MQ_TRY(packing_shape(l, name, s, error));
    s->npx = s->activations * l->blocks;
    s->lead = s->kernel_w - 1 - s->pad_left;
    s->in_blocks = ceil_div(s->in_w, s->npx);
    s->groups = ceil_div(s->out_c, l->pe);
    if (l->pe % s->weight_groups)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: pe: got %d, expected a multiple of the %d output channels of its packing", name,
                       l->pe, s->weight_groups);
    if (s->depthwise && l->simd != 1)
        return mq_fail(error, MQ_BAD_INPUT, "%s: simd: got %d, a depthwise layer has 1", name, l->simd);
    if (s->kernel_h % l->rows)
        return mq_fail(error, MQ_BAD_INPUT, "%s: rows: got %d, expected a divisor of %d", name, l->rows,
                       s->kernel_h);
    int word = s->depthwise ? l->pe : l->simd;
    if (s->linear ? in->channels * in->pixels % word != 0 : !divides(word, in->channels))
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: %s: got %d, the stream before it has beats of %d channels x %d pixels", name,
                       s->depthwise ? "pe" : "simd", word, in->channels, in->pixels);
    if (!s->linear && s->npx % in->pixels)
        return mq_fail(error, MQ_BAD_INPUT, "%s: blocks of %d pixels, the stream before it has beats of %d",
                       name, s->npx, in->pixels);
    if (s->npx < s->lead)
        return mq_fail(error, MQ_BAD_INPUT, "%s: blocks of %d pixels, a kernel of %d columns needs %d", name,
                       s->npx, s->kernel_w, s->lead);
    s->steps = (s->depthwise ? 1 : ceil_div(s->in_c, l->simd)) * (s->kernel_h / l->rows);
    s->cycles = (int64_t)s->out_h * s->groups * s->in_blocks * s->steps;
    s->flush = s->lead > 0 && s->pad_right > 0 ? s->steps : 0;
    s->multipliers =
        (int64_t)(s->depthwise ? 1 : l->simd) * l->rows * s->pieces * l->blocks * (l->pe / s->weight_groups);
    return MQ_OK;
}

int mq_stage_parts(const mq_plan_layer *l, const mq_stage *s, const mq_stream *in) {
    int beat = s->linear ? in->channels * in->pixels : in->channels, word = s->depthwise ? l->pe : l->simd;
    return beat > word ? beat / word : 1;
}

int64_t mq_stage_writes(const mq_plan_layer *l, const mq_stage *s, const mq_stream *in) {
    int parts = mq_stage_parts(l, s, in), gather = s->linear ? 1 : s->npx / in->pixels;
    int64_t beats = mq_stream_beats(in);
    if (parts <= gather) return beats; /* words are written while the next are gathered */
    int64_t groups = (in->c + in->channels - 1) / in->channels;
    return s->linear ? beats * parts : in->h * groups * s->in_blocks * parts;
}
