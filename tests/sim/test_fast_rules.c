/* test_fast_rules.c - fast requantisation against the network's rule, for every reachable accumulator of
 * random channels: each table of kernels, each way; and that rules no line can follow are found out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "inet/small_net.h"
#include "sim/sim_fast.h"

enum { CHANNELS = 37, PIXEL_CODES = 48 };

typedef struct channel_rules {
    int bits, shift;
    bool is_signed, flat; /* flat: low == high */
    uint8_t rule[CHANNELS];
    int64_t inc[CHANNELS], bias[CHANNELS], threshold[CHANNELS * 255];
} channel_rules;

/* One pixel of one 8-bit channel, CHANNELS accumulators weight*k + bias, requantised. */
static mq_inet *make_net(small_net *s, const int8_t *weight, const int64_t *bias, const channel_rules *r) {
    mq_error error = {0};
    assert_int_equal(mq_inet_create(&s->net, &error), MQ_OK);
    strcpy(s->net->model, "rules");
    strcpy(s->net->bitw, "8");
    strcpy(s->net->bita, "8");
    s->net->classes = CHANNELS;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .image = {1, 1, 1, 8}};
    small_add(s, &image);
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv"};
    conv.conv = (mq_inet_conv){CHANNELS, 1, 1, 1, 1, 0, 0, 0, 0, 1, 8, false, 1, weight, bias};
    small_add(s, &conv);
    mq_inet_node requant = {.kind = MQ_INET_REQUANT, .name = "requant"};
    const int levels = (1 << r->bits) - 1, high = r->is_signed ? levels / 2 : levels;
    bool thresholds = false;
    for (int c = 0; c < CHANNELS; c++) thresholds = thresholds || r->rule[c] != MQ_INET_AFFINE;
    requant.requant = (mq_inet_requant){r->bits,
                                        r->is_signed,
                                        false,
                                        1,
                                        r->shift,
                                        r->flat ? high : high - levels,
                                        high,
                                        r->inc,
                                        r->bias,
                                        thresholds ? r->rule : NULL,
                                        thresholds ? r->threshold : NULL};
    small_add(s, &requant);
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {1}};
    small_add(s, &output);
    if (mq_inet_finish(s->net, &error) != MQ_OK) fail_msg("%s", error.text);
    return s->net;
}

/* Every accumulator that a channel of the block reaches, through every table of kernels. */
static void check_block(const mq_inet *net, const mq_fast_rule *rule, const char *what) {
    const mq_inet_edge *in = &net->nodes[1].edge;
    const int64_t *low = in->channel_low + rule->channel, *high = in->channel_high + rule->channel;
    int64_t span = 0;
    for (int i = 0; i < rule->lanes; i++)
        if (high[i] - low[i] > span) span = high[i] - low[i];
    for (int64_t at = 0; at <= span; at++) {
        int32_t acc[MQ_FAST_TILE] = {0};
        uint8_t codes[PIXEL_CODES], expected[PIXEL_CODES], *to = codes;
        memset(expected, 99, sizeof expected);
        for (int i = 0; i < rule->lanes; i++) {
            acc[i] = (int32_t)(low[i] + at < high[i] ? low[i] + at : high[i]);
            expected[i] = (uint8_t)(mq_fast_exact(rule->requant, rule->channel + i, acc[i]) + rule->offset);
        }
        for (mq_sim_cpu cpu = 1; cpu < MQ_SIM_CPU_COUNT; cpu++) {
            if (!mq_sim_cpu_available(cpu)) continue;
            memset(codes, 99, sizeof codes);
            mq_fast_kernels_for(cpu)->requant(rule, 1, acc, 1, &to);
            for (int i = 0; i < PIXEL_CODES; i++) /* those behind the last lane untouched */
                if (codes[i] != expected[i])
                    fail_msg("%s, %s, way %d, channel %d: accumulator %d: %d, %d expected", what,
                             mq_sim_cpu_name(cpu), rule->way, rule->channel + i, acc[i], codes[i],
                             expected[i]);
        }
    }
}

static void check_net(const mq_inet *net, int ways[MQ_FAST_WAYS], const char *what) {
    mq_error error = {0};
    mq_fast f = {.net = net, .kernels = mq_fast_kernels_for(MQ_SIM_CPU_C)};
    assert_int_equal(mq_fast_prepare(&f, &error), MQ_OK);
    for (int s = 0; s < f.node[2].super_count; s++) {
        const mq_fast_super *super = &f.node[2].super[s];
        for (int z = 0; z * MQ_FAST_LANES < super->channels; z++) {
            ways[super->rule[z].way]++;
            check_block(net, &super->rule[z], what);
        }
    }
    mq_arena_destroy(f.arena);
}

typedef enum kind { LINES, STEEP, THRESHOLDS, MIXED, KINDS } kind;

/* LINES: slopes that use the range; STEEP: also those that jump over codes, with a shift that hides ties;
 * THRESHOLDS: anywhere, repeated, unreachable; MIXED: all of it in one block. */
static void draw_rules(small_net *s, kind what, const mq_inet_edge *acc, channel_rules *r) {
    const int levels = (1 << r->bits) - 1;
    for (int c = 0; c < CHANNELS; c++) {
        const int64_t low = acc->channel_low[c], span = acc->channel_high[c] - low + 1;
        const int64_t one = (int64_t)1 << r->shift;
        const bool line = what == LINES || what == STEEP || (what == MIXED && small_draw(s, 0, 3));
        if (line) {
            int64_t slope = levels * one / span + 1;
            r->inc[c] = small_draw(s, -1, 1) * slope + small_draw(s, -3, 3);
            if (what == STEEP) r->inc[c] *= small_draw(s, 1, 40);
            r->bias[c] = small_draw(s, -levels, levels) * one + one / 2 - low * r->inc[c];
            continue;
        }
        r->rule[c] = (uint8_t)small_draw(s, MQ_INET_RISING, MQ_INET_FALLING);
        int64_t at = low - small_draw(s, 0, 4);
        for (int i = 0; i < levels; i++) {
            r->threshold[c * levels + i] = at;
            if (small_draw(s, 0, 3)) at += small_draw(s, 0, (int)(2 * span / levels) + 1);
        }
        if (small_draw(s, 0, 4) == 0)
            r->threshold[c * levels + (r->rule[c] == MQ_INET_RISING ? levels - 1 : 0)] =
                r->rule[c] == MQ_INET_RISING ? INT64_MAX : INT64_MIN;
    }
}

static void random_rules(void **state) {
    (void)state;
    int ways[MQ_FAST_WAYS] = {0};
    for (uint64_t seed = 0; seed < 120; seed++) {
        small_net s = {.rng = mq_rng_stream(seed, "rules", 0)};
        channel_rules *r = calloc(1, sizeof *r);
        char text[32];
        int8_t weight[CHANNELS];
        int64_t bias[CHANNELS];
        const int spread = small_draw(&s, 0, 3) ? 20 : 127;
        for (int c = 0; c < CHANNELS; c++) {
            weight[c] = (int8_t)small_draw(&s, -spread, spread);
            bias[c] = small_draw(&s, -100000, 100000) * (int64_t)small_draw(&s, 0, 1);
        }
        r->bits = small_draw(&s, 1, 8);
        r->is_signed = small_draw(&s, 0, 1);
        r->shift = small_draw(&s, 0, 30);
        /* the reachable accumulators first, then rules for them */
        channel_rules plain = {.bits = 1};
        mq_inet *net = make_net(&s, weight, bias, &plain);
        draw_rules(&s, (kind)(seed % KINDS), &net->nodes[1].edge, r);
        mq_inet_free(net);
        snprintf(text, sizeof text, "rules %d", (int)seed);
        net = make_net(&s, weight, bias, r);
        check_net(net, ways, text);
        mq_inet_free(net);
        free(r);
    }
    for (int way = 0; way < MQ_FAST_WAYS; way++)
        if (ways[way] < 10) fail_msg("way %d: only %d blocks", way, ways[way]);
}

/* Exact ties that round to even are no line: code 1 from 2, 2 from 7 (not 6), 3 from 10, 4 from 15. */
static void ties_to_even(void **state) {
    (void)state;
    for (int bits = 3; bits <= 8; bits += 5) { /* counted, and too many to count */
        small_net s = {.rng = mq_rng_stream(0, "ties", 0)};
        channel_rules *r = calloc(1, sizeof *r);
        int8_t weight[CHANNELS];
        int64_t bias[CHANNELS] = {0};
        int ways[MQ_FAST_WAYS] = {0};
        const int levels = (1 << bits) - 1;
        r->bits = bits;
        for (int c = 0; c < CHANNELS; c++) {
            weight[c] = c % 2 ? 3 : 7;
            r->rule[c] = MQ_INET_RISING;
            for (int i = 0; i < levels; i++) r->threshold[c * levels + i] = 4 * i + 2 + i % 2;
        }
        mq_inet *net = make_net(&s, weight, bias, r);
        check_net(net, ways, "ties");
        assert_int_equal(ways[bits == 3 ? MQ_FAST_COUNT : MQ_FAST_EXACT], 3);
        mq_inet_free(net);
        free(r);
    }
}

/* One code only, whatever the accumulator; the largest shift; increments near the ends of int64. */
static void extremes(void **state) {
    (void)state;
    static const int shifts[] = {0, 31, 48, 62};
    for (int i = 0; i < 8; i++) {
        small_net s = {.rng = mq_rng_stream((uint64_t)i, "extremes", 0)};
        channel_rules *r = calloc(1, sizeof *r);
        int8_t weight[CHANNELS];
        int64_t bias[CHANNELS];
        int ways[MQ_FAST_WAYS] = {0};
        r->bits = 8;
        r->is_signed = i % 2;
        r->flat = i == 3;
        r->shift = shifts[i / 2];
        for (int c = 0; c < CHANNELS; c++) {
            weight[c] = (int8_t)(c % 3 ? -128 : 127);
            bias[c] = 1000 * (c % 2);
            r->inc[c] = ((int64_t)1 << (r->shift < 48 ? r->shift : 47)) / (c + 1) * (c % 2 ? 1 : -1);
            r->bias[c] = ((int64_t)1 << r->shift) / 2;
        }
        mq_inet *net = make_net(&s, weight, bias, r);
        check_net(net, ways, "extremes");
        mq_inet_free(net);
        free(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rules),
        cmocka_unit_test(ties_to_even),
        cmocka_unit_test(extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
