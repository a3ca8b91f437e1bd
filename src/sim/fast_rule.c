/* fast_rule.c - requantisations as a multiplication and an addition in floating point, proven equal.
 *
 * Over the reachable accumulators a channel's code is a staircase that only rises or only falls. The fast
 * form truncate(clip(round(round(acc)*scale) + shift)) is made of monotone steps, so it is monotone too,
 * whatever its roundings. Two monotone staircases that agree at both ends of every tread agree everywhere: at
 * most 2*2^bits accumulators are evaluated, by the same operations as in the kernels, and that is the proof.
 * A channel whose staircase no line passes in float32 is tried in float64; then its thresholds are counted,
 * and where they are too many the network's own rule is evaluated. */
#include <math.h>
#include <stdlib.h>

#include "sim/sim_fast.h"

enum { MAX_CODES = 256 };

/* One channel: the first and last accumulator of every tread, ascending. */
typedef struct stairs {
    int count;
    int64_t first[MAX_CODES], last[MAX_CODES];
    int code[MAX_CODES];
} stairs;

/* The last accumulator in from..high with the code of `from`. */
static int64_t tread_end(const mq_inet_requant *r, int c, int64_t from, int64_t high) {
    int64_t code = mq_fast_exact(r, c, from), low = from;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (mq_fast_exact(r, c, middle) == code)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void climb(const mq_inet_requant *r, int c, int64_t low, int64_t high, stairs *s) {
    s->count = 0;
    for (int64_t at = low;; at = s->last[s->count - 1] + 1) {
        s->first[s->count] = at;
        s->last[s->count] = tread_end(r, c, at, high);
        s->code[s->count] = (int)mq_fast_exact(r, c, at);
        if (s->last[s->count++] == high) return;
    }
}

/* The shift that leaves most room on either side of a line of this slope; false where there is none. */
static bool centre(const mq_inet_requant *r, const stairs *s, double scale, double *shift) {
    double low = -HUGE_VAL, high = HUGE_VAL;
    for (int i = 0; i < s->count; i++) {
        const double ends[2] = {(double)s->first[i], (double)s->last[i]};
        for (int k = 0; k < 2; k++) {
            double at = s->code[i] - scale * ends[k];
            if (s->code[i] > r->low) low = fmax(low, at);
            if (s->code[i] < r->high) high = fmin(high, at + 1);
        }
    }
    if (low == -HUGE_VAL && high == HUGE_VAL) return false;
    *shift = low == -HUGE_VAL ? high - 0.5 : high == HUGE_VAL ? low + 0.5 : (low + high) / 2;
    return low < high;
}

/* A line through the staircase: the rule's own where it has one, else through the middle of its treads. */
static bool find_line(const mq_inet_requant *r, int c, const stairs *s, double *scale, double *shift) {
    *scale = 0;
    if (s->count > 1 && (!r->rule || r->rule[c] == MQ_INET_AFFINE)) {
        *scale = ldexp((double)r->inc[c], -r->shift);
    } else if (s->count > 2) {
        *scale = (double)(s->code[s->count - 2] - s->code[0]) / (double)(s->last[s->count - 2] - s->last[0]);
    } else if (s->count == 2) {
        *scale = s->code[1] - s->code[0];
    }
    return centre(r, s, *scale, shift);
}

static mq_fast_way prove(const stairs *s, const mq_fast_rule *rule, int lane) {
    mq_fast_way way = MQ_FAST_FLOAT;
    for (int i = 0; i < s->count; i++) {
        const int64_t ends[2] = {s->first[i], s->last[i]};
        const int want = s->code[i] + rule->offset;
        for (int k = 0; k < 2; k++) {
            const int32_t acc = (int32_t)ends[k];
            if (way == MQ_FAST_FLOAT &&
                mq_fast_float(acc, rule->scale[lane], rule->shift[lane], rule->low, rule->high) != want)
                way = MQ_FAST_DOUBLE;
            if (mq_fast_double(acc, rule->scale64[lane], rule->shift64[lane], (double)rule->low,
                               (double)rule->high) != want)
                return MQ_FAST_COUNT;
        }
    }
    return way;
}

/* Thresholds of one lane: the first accumulators of the treads, and numbers that none reaches. A tread that
 * skips codes has its threshold several times. */
static void put_thresholds(const stairs *s, mq_fast_rule *rule, int32_t *threshold, int lane) {
    int at = 0;
    rule->start[lane] = s->code[0] + rule->offset;
    rule->sign[lane] = s->count > 1 && s->code[1] < s->code[0] ? -1 : 1;
    for (int i = 1; i < s->count; i++)
        for (int n = abs(s->code[i] - s->code[i - 1]); n > 0; n--)
            threshold[at++ * MQ_FAST_LANES + lane] = (int32_t)s->first[i];
    while (at < rule->levels) threshold[at++ * MQ_FAST_LANES + lane] = INT32_MAX;
}

static mq_status make_block(mq_fast *f, int n, mq_fast_rule *rule, mq_error *error) {
    const mq_inet_requant *r = rule->requant;
    const mq_inet_edge *in = &f->net->nodes[f->net->nodes[n].input[0]].edge;
    stairs s;
    for (int i = 0; i < rule->lanes; i++) {
        const int c = rule->channel + i;
        double scale = 0, shift = 0;
        mq_fast_way way = MQ_FAST_COUNT;
        climb(r, c, in->channel_low[c], in->channel_high[c], &s);
        if (find_line(r, c, &s, &scale, &shift)) {
            shift += rule->offset;
            rule->scale64[i] = scale;
            rule->shift64[i] = shift;
            rule->scale[i] = (float)scale;
            rule->shift[i] = (float)shift;
            way = prove(&s, rule, i);
        }
        if (way > rule->way) rule->way = way;
    }
    if (rule->way != MQ_FAST_COUNT) return MQ_OK;
    rule->levels = r->high - r->low;
    if (rule->levels > MQ_FAST_LEVELS) {
        rule->way = MQ_FAST_EXACT;
        return MQ_OK;
    }
    int32_t *threshold;
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)rule->levels * MQ_FAST_LANES, sizeof *threshold, "thresholds",
                          &threshold, error));
    for (int i = 0; i < rule->lanes; i++) {
        const int c = rule->channel + i;
        climb(r, c, in->channel_low[c], in->channel_high[c], &s);
        put_thresholds(&s, rule, threshold, i);
    }
    rule->threshold = threshold;
    return MQ_OK;
}

mq_status mq_fast_make_rules(mq_fast *f, int n, mq_fast_super *super, mq_error *error) {
    const mq_inet_requant *r = &f->net->nodes[n].requant;
    int blocks = (super->channels + MQ_FAST_LANES - 1) / MQ_FAST_LANES;
    MQ_TRY(mq_arena_alloc(f->arena, (size_t)blocks, sizeof *super->rule, "rules", &super->rule, error));
    for (int z = 0; z < blocks; z++) {
        mq_fast_rule *rule = &super->rule[z];
        int left = super->channels - z * MQ_FAST_LANES;
        rule->lanes = left < MQ_FAST_LANES ? left : MQ_FAST_LANES;
        rule->requant = r;
        rule->channel = super->channel + z * MQ_FAST_LANES;
        rule->offset = f->node[n].edge.zero;
        rule->low = (float)(r->low + rule->offset);
        rule->high = (float)(r->high + rule->offset);
        MQ_TRY(make_block(f, n, rule, error));
    }
    return MQ_OK;
}
