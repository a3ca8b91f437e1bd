/* fold.c - scale, bias and batch norm into inc, bias and shift: exactly, and by the published rule. */
#include "lower/fold.h"

#include <math.h>

#include "lower/affine.h"

static const double ROUNDABLE = 0x1p62;

mq_channel mq_fold_channel(const mq_fold *f, const mq_qtype *type, int c) {
    mq_channel channel = {.weight_step = f->weight_step,
                          .input_step = f->input_step,
                          .bias = f->bias ? f->bias[c] : 0,
                          .out_step = type->scale,
                          .low = mq_code_low(type->bits, type->is_signed, type->narrow)};
    channel.levels = mq_code_high(type->bits, type->is_signed) - channel.low;
    if (f->scale) {
        channel.weight_step = f->scale[c];
        channel.input_step = 1;
        channel.bias = f->offset[c];
    }
    if (f->gamma) {
        channel.norm = true;
        channel.gamma = f->gamma[c];
        channel.beta = f->beta[c];
        channel.mean = f->mean[c];
        channel.var = f->var[c];
    }
    return channel;
}

/* ---- the exact rules of a layer ---- */

typedef struct layer {
    int channels, low, levels;
    const mq_inet_edge *acc;
    mq_thresholds *thresholds;     /* [channels] */
    mq_staircase *stairs;          /* [channels] */
    bool *affine;                  /* [channels] */
    int64_t *least_inc, *most_inc; /* [channels] of the affine ones */
    mq_rules *rules;
} layer;

static mq_status find_stairs(layer *l, const mq_fold *fold, const mq_qtype *type, mq_error *error) {
    for (int c = 0; c < l->channels; c++) {
        mq_channel channel = mq_fold_channel(fold, type, c);
        mq_status status = mq_thresholds_find(&channel, &l->thresholds[c], error);
        if (status != MQ_OK) return mq_fail_context(error, status, "channel %d", c);
        mq_staircase_make(&l->thresholds[c], l->low, l->levels, l->acc->channel_low[c],
                          l->acc->channel_high[c], &l->stairs[c]);
    }
    return MQ_OK;
}

/* Channels that are affine at this shift. */
static int count_affine(const layer *l, int shift) {
    int count = 0;
    for (int c = 0; c < l->channels; c++)
        count += l->affine[c] && mq_affine_feasible(&l->stairs[c], shift, NULL, NULL);
    return count;
}

/* A staircase that fits at one shift fits at the next, with everything doubled, until the limits are met. So
 * the smallest shift of all channels is the largest of their smallest ones; should a limit then be in some
 * channel's way, the smallest shift that most channels can share. */
static void choose_shift(layer *l) {
    int shift = 0, most = 0;
    for (int c = 0; c < l->channels; c++) {
        int own = mq_affine_shift(&l->stairs[c], shift);
        if (own < 0) own = mq_affine_shift(&l->stairs[c], 0); /* limits above, perhaps not below */
        l->affine[c] = own >= 0;
        most += l->affine[c];
        if (own > shift) shift = own;
    }
    int count = count_affine(l, shift);
    if (count < most) {
        for (int s = 0; s <= MQ_SHIFT_MAX; s++) {
            int here = count_affine(l, s);
            if (here > count || (here == count && s < shift)) {
                count = here;
                shift = s;
            }
        }
    }
    l->rules->shift = shift;
}

static int magnitude_bits(int64_t v) {
    int bits = 1;
    for (uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v; m; m >>= 1) bits++;
    return bits;
}

/* The narrowest inc that all channels can share as a width, then for each the narrowest bias with it. */
static void choose_rules(layer *l) {
    int bits = 1;
    for (int c = 0; c < l->channels; c++) {
        l->affine[c] = l->affine[c] &&
                       mq_affine_feasible(&l->stairs[c], l->rules->shift, &l->least_inc[c], &l->most_inc[c]);
        if (l->affine[c] && magnitude_bits(l->least_inc[c]) > bits) bits = magnitude_bits(l->least_inc[c]);
    }
    int64_t limit = ((int64_t)1 << (bits - 1)) - 1;
    for (int c = 0; c < l->channels; c++)
        if (l->affine[c])
            mq_affine_choose(&l->stairs[c], l->rules->shift, l->least_inc[c],
                             l->most_inc[c] < limit ? l->most_inc[c] : limit, &l->rules->inc[c],
                             &l->rules->bias[c]);
}

/* Thresholds of a channel as inet.h has them; a code that never changes is one that rises at the ends. */
static void store_thresholds(const layer *l, int c) {
    const mq_thresholds *t = &l->thresholds[c];
    int64_t *to = l->rules->threshold + (size_t)c * (size_t)l->levels;
    bool falling = t->direction == MQ_FALLING;
    l->rules->rule[c] = (uint8_t)(falling ? MQ_INET_FALLING : MQ_INET_RISING);
    for (int k = 1; k <= l->levels; k++) {
        if (t->direction == MQ_CONSTANT)
            to[k - 1] = k <= t->code - l->low ? INT64_MIN : INT64_MAX;
        else
            to[falling ? l->levels - k : k - 1] = t->at[k - 1];
    }
}

static mq_status add_thresholds(layer *l, mq_arena *arena, mq_error *error) {
    int affine = 0;
    for (int c = 0; c < l->channels; c++) affine += l->affine[c];
    if (affine == l->channels) return MQ_OK;
    size_t n = (size_t)l->channels, levels = (size_t)l->levels;
    MQ_TRY(mq_arena_alloc(arena, n, 1, "rules", &l->rules->rule, error));
    MQ_TRY(mq_arena_alloc(arena, n * levels, sizeof(int64_t), "thresholds", &l->rules->threshold, error));
    for (int c = 0; c < l->channels; c++)
        if (!l->affine[c]) store_thresholds(l, c);
    return MQ_OK;
}

static mq_status fold_exact(layer *l, const mq_fold *fold, const mq_qtype *type, mq_arena *work,
                            mq_arena *arena, mq_error *error) {
    size_t n = (size_t)l->channels;
    MQ_TRY(mq_arena_alloc(work, n, sizeof *l->thresholds, "thresholds", &l->thresholds, error));
    MQ_TRY(mq_arena_alloc(work, n, sizeof *l->stairs, "thresholds", &l->stairs, error));
    MQ_TRY(mq_arena_alloc(work, n, sizeof *l->affine, "rules", &l->affine, error));
    MQ_TRY(mq_arena_alloc(work, n, sizeof *l->least_inc, "inc", &l->least_inc, error));
    MQ_TRY(mq_arena_alloc(work, n, sizeof *l->most_inc, "inc", &l->most_inc, error));
    MQ_TRY(mq_arena_alloc(arena, n, sizeof *l->rules->inc, "inc", &l->rules->inc, error));
    MQ_TRY(mq_arena_alloc(arena, n, sizeof *l->rules->bias, "bias", &l->rules->bias, error));
    MQ_TRY(find_stairs(l, fold, type, error));
    choose_shift(l);
    choose_rules(l);
    return add_thresholds(l, arena, error);
}

mq_status mq_fold_exact(const mq_fold *fold, const mq_inet_edge *acc, const mq_qtype *type, mq_arena *arena,
                        mq_rules *out, mq_error *error) {
    layer l = {.channels = fold->channels,
               .low = mq_code_low(type->bits, type->is_signed, type->narrow),
               .acc = acc};
    l.levels = mq_code_high(type->bits, type->is_signed) - l.low;
    mq_arena *work;
    *out = (mq_rules){0};
    l.rules = out;
    MQ_TRY(mq_arena_create(&work, error));
    mq_status status = fold_exact(&l, fold, type, work, arena, error);
    mq_arena_destroy(work);
    return status;
}

/* ---- the published rule ---- */

mq_status mq_fold_published(const mq_fold *f, int shift, const mq_qtype *type, int64_t *inc, int64_t *bias,
                            mq_error *error) {
    const float step = (float)(f->weight_step * f->input_step), out_step = (float)type->scale,
                power = ldexpf(1, shift);
    for (int c = 0; c < f->channels; c++) {
        float slope = 1, offset = f->bias ? f->bias[c] : 0;
        if (f->gamma) {
            float deviation = sqrtf(f->var[c] + (float)MQ_NORM_EPSILON), mean = f->mean[c];
            if (f->bias) mean = mean - f->bias[c];
            slope = f->gamma[c] / deviation;
            offset = f->beta[c] - (mean / deviation) * f->gamma[c];
        }
        float i = rintf(((slope * step) / out_step) * power), b = rintf((offset / out_step) * power);
        if (!(fabsf(i) < (float)ROUNDABLE && fabsf(b) < (float)ROUNDABLE))
            return mq_fail(error, MQ_BAD_INPUT,
                           "channel %d: inc %g and bias %g do not fit 62 bits at shift %d", c, i, b, shift);
        inc[c] = (int64_t)i;
        bias[c] = (int64_t)b + ((int64_t)1 << (shift - 1));
    }
    return MQ_OK;
}
