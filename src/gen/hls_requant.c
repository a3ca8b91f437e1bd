/* hls_requant.c - requantisers of the HLS stages: constants of (acc*inc + bias) >> shift, or thresholds in
 * the order of a binary search. Both take accumulators without their layer's constant; it is folded in here.
 */
#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"
#include "gen/hls_layer.h"
#include "gen/hls_text.h"

typedef __int128 wide;

static int64_t floor_div(wide a, int64_t b) { /* b > 0 */
    wide q = a / b;
    return (int64_t)(a % b < 0 ? q - 1 : q);
}

static const mq_inet_node *requant_of(const mq_hls_net *h, const mq_hls_stage *s) {
    return &h->net->nodes[s->result];
}

static bool all_affine(const mq_inet_requant *q, int channels) {
    for (int c = 0; q->rule && c < channels; c++)
        if (q->rule[c] != MQ_INET_AFFINE) return false;
    return true;
}

mq_status mq_hls_requant_make(const mq_hls_net *h, const mq_hls_stage *s, mq_hls_requant *r,
                              mq_error *error) {
    const mq_inet_node *n = requant_of(h, s);
    int pe = s->layer->pe, beat = pe * s->layer->out_pixels;
    *r = (mq_hls_requant){.kind = MQ_PLAN_NO_REQUANT, .lanes = beat, .turns = 1, .bits = MQ_HLS_HEAD_BITS};
    if (s->head) return MQ_OK;
    const mq_inet_requant *q = &n->requant;
    bool affine = all_affine(q, n->edge.c);
    r->kind = s->layer->requant;
    if (r->kind == MQ_PLAN_NO_REQUANT) r->kind = affine ? MQ_PLAN_AFFINE : MQ_PLAN_THRESHOLD;
    r->low = q->low, r->high = q->high, r->shift = q->shift, r->bits = q->bits;
    if (r->kind == MQ_PLAN_THRESHOLD) {
        r->stages = q->bits;
        return MQ_OK;
    }
    if (!affine)
        return mq_fail(error, MQ_BAD_INPUT, "%s: affine requantisation planned, but it has thresholds",
                       n->name);
    if (s->layer->requant == MQ_PLAN_AFFINE) r->lanes = s->layer->lanes;
    r->turns = beat / r->lanes;
    int64_t most_inc = 0, most_bias = 0;
    for (int c = 0; c < n->edge.c; c++) {
        int64_t inc = q->inc[c];
        wide bias = (wide)inc * s->constant[c] + q->bias[c];
        if (bias < 0) bias = -bias;
        if (bias >> 61)
            return mq_fail(error, MQ_BAD_INPUT, "%s: channel %d: its bias does not fit 62 bits", n->name, c);
        if ((inc < 0 ? -inc : inc) > most_inc) most_inc = inc < 0 ? -inc : inc;
        if ((int64_t)bias > most_bias) most_bias = (int64_t)bias;
    }
    r->inc_bits = mq_bit_length(most_inc) + 1;
    wide most = ((wide)1 << (s->acc_bits - 1)) * most_inc + most_bias;
    if (most >> 61) return mq_fail(error, MQ_BAD_INPUT, "%s: acc*inc + bias does not fit 62 bits", n->name);
    r->sum_bits = mq_bit_length((int64_t)most) + 2;
    return MQ_OK;
}

void mq_hls_table(mq_hls_text *t, const char *type, const char *name, const char *sizes,
                  const int64_t *values, size_t outer, size_t inner) {
    mq_hls_say(t, "static const %s %s%s = {\n", type, name, sizes);
    for (size_t o = 0; o < outer; o++) {
        mq_hls_say(t, "{");
        for (size_t i = 0; i < inner; i++)
            mq_hls_say(t, "%lld%s", (long long)values[o * inner + i],
                       i + 1 == inner ? ""
                       : i % 24 == 23 ? ",\n"
                                      : ",");
        mq_hls_say(t, "}%s\n", o + 1 == outer ? "" : ",");
    }
    mq_hls_say(t, "};\n");
}

/* ---- thresholds ---- */

/* All `count` thresholds of a channel, ascending, of accumulators without their constant, within
 * low..high + 1. */
static bool channel_thresholds(const mq_hls_net *h, const mq_hls_stage *s, int c, int count, int64_t *t) {
    const mq_inet_node *n = requant_of(h, s);
    const mq_inet_requant *q = &n->requant;
    const mq_inet_edge *acc = &h->net->nodes[n->input[0]].edge;
    int64_t low = acc->channel_low[c], top = acc->channel_high[c] + 1, inc = q->inc[c];
    int levels = q->high - q->low;
    bool falling = q->rule ? q->rule[c] == MQ_INET_FALLING : false;
    if (!q->rule || q->rule[c] == MQ_INET_AFFINE) falling = inc < 0;
    for (int k = 0; k < count; k++) t[k] = top; /* not reached */
    for (int k = 0; k < levels; k++) {
        int64_t at;
        if (q->rule && q->rule[c] != MQ_INET_AFFINE) {
            at = q->threshold[(size_t)c * (size_t)levels + (size_t)k];
        } else { /* code >= low + k + 1 */
            wide edge = (wide)(q->low + k + 1) * ((wide)1 << q->shift) - q->bias[c];
            if (inc > 0)
                at = floor_div(edge + inc - 1, inc);
            else if (inc < 0)
                at = floor_div(-edge, -inc) + 1; /* acc below it */
            else
                at = edge <= 0 ? INT64_MIN : INT64_MAX;
        }
        int to = falling && (!q->rule || q->rule[c] == MQ_INET_AFFINE) ? levels - 1 - k : k;
        t[to] = at < low ? low : at > top ? top : at;
    }
    for (int k = 0; k < count; k++) t[k] -= s->constant[c];
    return falling;
}

mq_status mq_hls_requant_tables(const mq_hls_net *h, const mq_hls_stage *s, const mq_hls_requant *r,
                                mq_hls_text *data, mq_error *error) {
    int channels = mq_hls_channels(s), pe = s->layer->pe, groups = s->shape.groups,
        real = h->net->nodes[s->node].edge.c;
    char type[128], name[MQ_HLS_ID + 32], sizes[64];
    int64_t *table = NULL;
    if (r->kind == MQ_PLAN_NO_REQUANT) {
        MQ_TRY(mq_alloc((size_t)channels, sizeof *table, "a table", &table, error));
        for (int p = 0; p < pe; p++)
            for (int g = 0; g < groups; g++) table[p * groups + g] = s->constant[g * pe + p];
        snprintf(name, sizeof name, "%s_constant", s->id);
        snprintf(sizes, sizeof sizes, "[%d][%d]", pe, groups);
        mq_hls_table(data, "mixq::rom_int<32>", name, sizes, table, (size_t)pe, (size_t)groups);
        mq_free(table);
        return MQ_OK;
    }
    const mq_inet_requant *q = &requant_of(h, s)->requant;
    if (r->kind == MQ_PLAN_AFFINE) {
        int depth = groups * r->turns;
        MQ_TRY(mq_alloc((size_t)r->lanes * (size_t)depth, sizeof *table, "a table", &table, error));
        for (int bias = 0; bias < 2; bias++) {
            for (int l = 0; l < r->lanes; l++)
                for (int a = 0; a < depth; a++) {
                    int c = a / r->turns * pe + (a % r->turns * r->lanes + l) % pe;
                    table[l * depth + a] = c >= real ? 0
                                           : bias    ? q->bias[c] + q->inc[c] * s->constant[c]
                                                     : q->inc[c];
                }
            snprintf(type, sizeof type, "mixq::rom_int<%d>", bias ? r->sum_bits : r->inc_bits);
            snprintf(name, sizeof name, "%s_%s", s->id, bias ? "bias" : "inc");
            snprintf(sizes, sizeof sizes, "[%d][%d]", r->lanes, depth);
            mq_hls_table(data, type, name, sizes, table, (size_t)r->lanes, (size_t)depth);
        }
        mq_free(table);
        return MQ_OK;
    }
    int count = (1 << r->stages) - 1;
    int64_t *all, *falling = NULL;
    mq_status status;
    MQ_TRY_GOTO(mq_alloc((size_t)channels * (size_t)count, sizeof *all, "thresholds", &all, error), done);
    MQ_TRY_GOTO(mq_alloc((size_t)channels, sizeof *falling, "thresholds", &falling, error), done);
    MQ_TRY_GOTO(mq_alloc((size_t)channels << r->stages, sizeof *table, "thresholds", &table, error), done);
    for (int c = 0; c < channels; c++) {
        int at = c % pe * groups + c / pe;
        if (c < real)
            falling[at] = channel_thresholds(h, s, c, count, all + (size_t)c * (size_t)count);
        else /* channels of padding: their sums are 0, and so is their code */
            for (int k = 0; k < count; k++) all[(size_t)c * (size_t)count + (size_t)k] = k < -r->low ? 0 : 1;
    }
    snprintf(name, sizeof name, "%s_falling", s->id);
    snprintf(sizes, sizeof sizes, "[%d][%d]", pe, groups);
    mq_hls_table(data, "mixq::rom_word<1>", name, sizes, falling, (size_t)pe, (size_t)groups);
    for (int stage = 0; stage < r->stages; stage++) {
        int half = 1 << (r->stages - 1 - stage); /* count so far = at * 2 * half */
        for (int c = 0; c < channels; c++)
            for (int at = 0; at < 1 << stage; at++)
                table[(c % pe * groups + c / pe) * (1 << stage) + at] =
                    all[(size_t)c * (size_t)count + (size_t)(at * 2 * half + half - 1)];
        snprintf(type, sizeof type, "mixq::rom_int<%d>", s->acc_bits + 1);
        snprintf(name, sizeof name, "%s_threshold%d", s->id, stage);
        snprintf(sizes, sizeof sizes, "[%d][%d]", pe, groups << stage);
        mq_hls_table(data, type, name, sizes, table, (size_t)pe, (size_t)groups << stage);
    }
done:
    mq_free(all);
    mq_free(falling);
    mq_free(table);
    return status;
}

void mq_hls_requant_page(const mq_hls_stage *s, const mq_hls_requant *r, mq_hls_text *t) {
    const char *id = s->id;
    char name[MQ_HLS_ID + 2] = ""; /* the layer's own: requant */
    if (s->beside >= 0) snprintf(name, sizeof name, "_%s", id);
    if (r->kind == MQ_PLAN_NO_REQUANT) {
        mq_hls_say(
            t,
            "// The last layer: accumulators leave; the constant is what recentring left out, and the bias.\n"
            "struct requant%s {\n"
            "    static long long constant(int channel, int group) { return %s_constant[channel][group]; "
            "}\n};\n\n",
            name, id);
        return;
    }
    if (r->kind == MQ_PLAN_AFFINE) {
        mq_hls_say(t,
                   "// clip((acc*inc + bias) >> %d, %d, %d) in %d multiplier%s, %d cycle%s a beat.\n"
                   "struct requant%s {\n"
                   "    static constexpr int BITS = %d, LANES = %d, SHIFT = %d, LOW = %d, HIGH = %d, INC = "
                   "%d, SUM = %d;\n"
                   "    static long long inc(int lane, int at) { return %s_inc[lane][at]; }\n"
                   "    static long long bias(int lane, int at) { return %s_bias[lane][at]; }\n};\n\n",
                   r->shift, r->low, r->high, r->lanes, r->lanes == 1 ? "" : "s", r->turns,
                   r->turns == 1 ? "" : "s", name, r->bits, r->lanes, r->shift, r->low, r->high, r->inc_bits,
                   r->sum_bits, id, id);
        return;
    }
    mq_hls_say(t,
               "// Codes %d..%d by binary search over thresholds, one stage per bit.\n"
               "struct requant%s {\n"
               "    static constexpr int BITS = %d, LOW = %d, HIGH = %d;\n"
               "    static bool falling(int channel, int group) { return %s_falling[channel][group] != 0; }\n"
               "    static long long threshold(int stage, int channel, int at) {\n"
               "#pragma HLS INLINE\n",
               r->low, r->high, name, r->bits, r->low, r->high, id);
    for (int i = 0; i < r->stages; i++)
        mq_hls_say(t, "#pragma HLS ARRAY_PARTITION variable=%s_threshold%d dim=1 complete\n", id, i);
    for (int i = 0; i < r->stages; i++)
        mq_hls_say(t, "        if (stage == %d) return %s_threshold%d[channel][at];\n", i, id, i);
    mq_hls_say(t, "        return 0;\n    }\n};\n\n");
}
