/* test_exact_rules.c - thresholds against their definition, inc, bias and shift against brute force, and
 * whole layers over whole accumulator ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"
#include "lower/affine.h"
#include "lower/exact_code.h"
#include "lower/fold.h"

typedef struct draws {
    mq_rng rng;
    uint64_t n;
} draws;

static float normal(draws *d) {
    return mq_rng_normal(&d->rng, d->n++);
}

static int below(draws *d, int bound) {
    return (int)mq_rng_below(&d->rng, d->n++, (uint32_t)bound);
}

/* A channel of any kind: gamma of either sign, 0, tiny, huge; var 0, denormal, just above -1e-5, large. */
static mq_channel draw_channel(draws *d) {
    static const float vars[] = {0, 1e-40f, 1e-9f, -9.9999e-6f, 0.01f, 1, 1e6f};
    int bits = 1 + below(d, 8), weight_bits = 1 + below(d, 8);
    mq_channel c = {.norm = below(d, 8) != 0, .bias = below(d, 3) ? 0 : normal(d)};
    c.weight_step = mq_weight_step(weight_bits, fabsf(0.1f * normal(d)));
    if (c.weight_step == 0) c.weight_step = mq_weight_unit(weight_bits);
    c.input_step = below(d, 3) ? mq_activation_unit(1 + below(d, 8)) : ldexp(1, -1 - below(d, 8));
    c.out_step = mq_activation_unit(bits);
    c.levels = (1 << bits) - 1;
    c.gamma = normal(d);
    switch (below(d, 8)) {
    case 0:
        c.gamma = 0;
        break;
    case 1:
        c.gamma *= 1e-7f;
        break;
    case 2:
        c.gamma *= 1e5f;
        break;
    case 3:
        c.gamma = 1e-42f;
        break;
    case 4:
        c.gamma = 3e38f;
        break;
    }
    c.beta = 2 * normal(d);
    c.mean = normal(d);
    c.var = below(d, 2) ? vars[below(d, 7)] : normal(d) * normal(d);
    if (c.var < -9.9999e-6f) c.var = -c.var;
    if (bits > 1 && below(d, 2)) { /* signed codes, perhaps without the lowest */
        c.low = -(1 << (bits - 1)) + below(d, 2);
        c.levels = (1 << (bits - 1)) - 1 - c.low;
    }
    if (!c.norm && below(d, 2)) c.weight_step = -c.weight_step;
    return c;
}

static int code_by_thresholds(const mq_thresholds *t, int low, int levels, int64_t acc) {
    if (t->direction == MQ_CONSTANT) return t->code;
    int code = low;
    for (int k = 0; k < levels; k++) code += t->direction == MQ_RISING ? acc >= t->at[k] : acc < t->at[k];
    return code;
}

/* Both sides of every threshold by rational numbers. */
static void thresholds_by_definition(void **state) {
    (void)state;
    draws d = {.rng = mq_rng_stream(1, "channels", 0)};
    mq_error error = {0};
    int steps = 0;
    for (int round = 0; round < 3000; round++) {
        mq_channel c = draw_channel(&d);
        mq_thresholds t;
        if (mq_thresholds_find(&c, &t, &error) != MQ_OK) fail_msg("%s", error.text);
        for (int k = 1; k <= c.levels; k += 1 + below(&d, 1 + c.levels / 8)) {
            if (t.direction == MQ_CONSTANT) {
                assert_int_equal(mq_exact_reaches(&c, below(&d, 1000), c.low + k), t.code >= c.low + k);
                continue;
            }
            int64_t at = t.at[k - 1];
            if (at <= INT64_MIN / 2 || at >= INT64_MAX / 2) continue;
            assert_int_equal(mq_exact_reaches(&c, at, c.low + k), t.direction == MQ_RISING);
            assert_int_equal(mq_exact_reaches(&c, at - 1, c.low + k), t.direction == MQ_FALLING);
            steps++;
        }
        for (int i = 0; i < 5; i++) {
            int64_t acc = below(&d, 20000) - 10000;
            assert_int_equal(mq_exact_code(&c, acc), code_by_thresholds(&t, c.low, c.levels, acc));
        }
    }
    assert_true(steps > 10000);
}

/* Exact ties: half to even. x = acc*2^-3 against steps of 1/4: edges at acc = 1, 3, 5, ... */
static void ties(void **state) {
    (void)state;
    mq_error error = {0};
    mq_channel c = {.weight_step = 0.5, .input_step = 0.25, .out_step = 0.25, .levels = 7};
    static const int codes[] = {0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 7};
    for (int norm = 0; norm < 3; norm++) {
        mq_thresholds t;
        if (norm) { /* the same through a batch norm whose root is exact in no binary number, then mirrored */
            c.norm = true;
            c.gamma = norm == 1 ? 1.0f : -1.0f;
            c.var = 1;
        }
        assert_int_equal(mq_thresholds_find(&c, &t, &error), MQ_OK);
        for (int acc = 0; acc < 16; acc++) {
            int sign = norm == 2 ? -1 : 1;
            assert_int_equal(code_by_thresholds(&t, 0, 7, sign * acc), mq_exact_code(&c, sign * acc));
            if (!norm) assert_int_equal(mq_exact_code(&c, acc), codes[acc]);
        }
    }
    /* gamma = 0: beta alone, on an edge: 3/8 is between 1 and 2, 2 is even; 5/8 between 2 and 3. */
    c.gamma = 0;
    for (int i = 0; i < 2; i++) {
        mq_thresholds t;
        c.beta = i ? 0.625f : 0.375f;
        assert_int_equal(mq_thresholds_find(&c, &t, &error), MQ_OK);
        assert_int_equal(t.direction, MQ_CONSTANT);
        assert_int_equal(t.code, 2);
        assert_int_equal(mq_exact_code(&c, 5), 2);
    }
    c.var = -1.1e-5f;
    mq_thresholds t;
    assert_int_equal(mq_thresholds_find(&c, &t, &error), MQ_BAD_INPUT);
}

/* Signed codes: ties go to the even code on both sides of 0, and codes end at the lowest, narrow or not. */
static void signed_ties(void **state) {
    (void)state;
    mq_error error = {0};
    static const int codes[] = {-4, -4, -4, -4, -4, -3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3, 3};
    for (int narrow = 0; narrow < 2; narrow++) {
        mq_channel c = {.weight_step = 0.5, .input_step = 0.25, .out_step = 0.25, .low = -4 + narrow};
        c.levels = 3 - c.low;
        mq_thresholds t;
        assert_int_equal(mq_thresholds_find(&c, &t, &error), MQ_OK);
        for (int acc = -11; acc < 8; acc++) {
            int code = codes[acc + 11] < c.low ? c.low : codes[acc + 11];
            assert_int_equal(mq_exact_code(&c, acc), code);
            assert_int_equal(code_by_thresholds(&t, c.low, c.levels, acc), code);
        }
    }
}

/* Numbers that long double alone loses: bias and mean cancel. */
static void cancellation(void **state) {
    (void)state;
    mq_channel c = {.norm = true, .weight_step = 0.5, .input_step = 0.5, .out_step = 0.25, .levels = 15};
    c.gamma = 1;
    c.var = 1;
    for (int power = 40; power <= 120; power += 10) {
        c.bias = c.mean = ldexpf(1, power);
        for (int acc = -3; acc < 15; acc++) /* the root of 1 + 1e-5 takes nothing that matters away */
            assert_int_equal(mq_exact_code(&c, acc), acc < 0 ? 0 : acc);
    }
}

/* ---- inc, bias and shift ---- */

static int magnitude_bits(int64_t v) {
    int bits = 1;
    for (v = llabs(v); v; v >>= 1) bits++;
    return bits;
}

static bool gives(const mq_thresholds *t, int low_code, int levels, int64_t low, int64_t high, int64_t inc,
                  int64_t bias, int shift) {
    for (int64_t acc = low; acc <= high; acc++) {
        int64_t code = (acc * inc + bias) >> shift;
        code = code < low_code ? low_code : code > low_code + levels ? low_code + levels : code;
        if (code != code_by_thresholds(t, low_code, levels, acc)) return false;
    }
    return true;
}

enum { MOST_SHIFT = 3 };

/* All inc and bias at one shift: the narrowest inc, and the narrowest bias of such an inc; false: none. */
static bool brute_force(const mq_thresholds *t, int low_code, int levels, int64_t low, int64_t high,
                        int shift, int *inc_bits, int *bias_bits) {
    int64_t steepest = (int64_t)(levels + 1) << shift;
    int64_t furthest = steepest * (-low > high ? -low : high) + ((int64_t)(levels + 1) << shift);
    *inc_bits = *bias_bits = 64;
    for (int64_t size = 0; size <= steepest; size++) {
        if (magnitude_bits(size) > *inc_bits) break;
        int64_t inc = t->direction == MQ_FALLING ? -size : size;
        for (int64_t bias = -furthest; bias <= furthest; bias++) {
            if (magnitude_bits(bias) >= *bias_bits ||
                !gives(t, low_code, levels, low, high, inc, bias, shift))
                continue;
            *inc_bits = magnitude_bits(size);
            *bias_bits = magnitude_bits(bias);
        }
    }
    return *inc_bits < 64;
}

/* Any staircase on a small range, affine or not. */
static void rules_by_brute_force(void **state) {
    (void)state;
    draws d = {.rng = mq_rng_stream(2, "staircases", 0)};
    int feasible = 0, never = 0;
    for (int round = 0; round < 2500; round++) {
        int levels = (1 << (1 + below(&d, 2))) - 1, low_code = below(&d, 2) ? -1 - levels / 2 : 0;
        int64_t low = -below(&d, 6), high = low + 1 + below(&d, 7);
        mq_thresholds t = {.direction = 1 + below(&d, 2)};
        int64_t at = low - 2 + below(&d, 6);
        for (int k = 0; k < levels; k++) {
            bool rising = t.direction == MQ_RISING;
            t.at[rising ? k : levels - 1 - k] = at;
            at += below(&d, 4);
        }
        mq_staircase s;
        mq_staircase_make(&t, low_code, levels, low, high, &s);
        int own = mq_affine_shift(&s, 0), first = -1;
        for (int shift = 0; shift <= MOST_SHIFT; shift++) {
            int inc_bits, bias_bits;
            int64_t least, most, inc, bias;
            bool exists = brute_force(&t, low_code, levels, low, high, shift, &inc_bits, &bias_bits);
            assert_int_equal(mq_affine_feasible(&s, shift, &least, &most), exists);
            if (!exists) continue;
            if (first < 0) first = shift;
            int64_t limit = ((int64_t)1 << (magnitude_bits(least) - 1)) - 1;
            mq_affine_choose(&s, shift, least, most < limit ? most : limit, &inc, &bias);
            assert_true(gives(&t, low_code, levels, low, high, inc, bias, shift));
            bool constant = s.first == s.last; /* has inc 0, whatever that costs in the bias */
            assert_int_equal(magnitude_bits(inc), inc_bits);
            if (!constant) assert_int_equal(magnitude_bits(bias), bias_bits);
            feasible++;
        }
        if (first >= 0)
            assert_int_equal(own, first);
        else
            assert_true(own < 0 || own > MOST_SHIFT);
        never += own < 0;
    }
    assert_true(feasible > 1000 && never > 100);
}

/* ---- whole layers ---- */

static int code_by_rules(const mq_rules *r, int low, int levels, int c, int64_t acc) {
    if (!r->rule || r->rule[c] == MQ_INET_AFFINE) {
        int64_t code = (acc * r->inc[c] + r->bias[c]) >> r->shift;
        return (int)(code < low ? low : code > low + levels ? low + levels : code);
    }
    const int64_t *t = r->threshold + (size_t)c * (size_t)levels;
    int code = low;
    for (int k = 0; k < levels; k++) code += r->rule[c] == MQ_INET_RISING ? acc >= t[k] : acc < t[k];
    return code;
}

enum { CHANNELS = 12 };

/* Layers of unlike channels: every reachable value, the limits, no smaller shift. */
static void layers(void **state) {
    (void)state;
    draws d = {.rng = mq_rng_stream(3, "layers", 0)};
    mq_error error = {0};
    int stored = 0, affine = 0;
    for (int round = 0; round < 350; round++) {
        mq_channel ch[CHANNELS];
        float gamma[CHANNELS], beta[CHANNELS], mean[CHANNELS], var[CHANNELS], bias[CHANNELS];
        int64_t low[CHANNELS], high[CHANNELS];
        mq_channel first = draw_channel(&d);
        int bits = 1;
        while ((1 << bits) - 1 < first.levels) bits++;
        bool is_signed = first.low < 0, narrow = is_signed && first.levels == (1 << bits) - 2;
        for (int c = 0; c < CHANNELS; c++) {
            ch[c] = draw_channel(&d);
            if (round % 4) ch[c].gamma = normal(&d); /* mostly layers that one shift suits */
            ch[c].weight_step = first.weight_step;
            ch[c].input_step = first.input_step;
            ch[c].out_step = first.out_step;
            ch[c].low = first.low;
            ch[c].levels = first.levels;
            ch[c].norm = first.norm;
            gamma[c] = ch[c].gamma, beta[c] = ch[c].beta, mean[c] = ch[c].mean, var[c] = ch[c].var;
            bias[c] = ch[c].bias;
            low[c] = -below(&d, 1500);
            high[c] = below(&d, 1500);
        }
        mq_fold fold = {.channels = CHANNELS,
                        .weight_step = first.weight_step,
                        .input_step = first.input_step,
                        .bias = bias};
        if (first.norm) fold.gamma = gamma, fold.beta = beta, fold.mean = mean, fold.var = var;
        mq_inet_edge acc = {.c = CHANNELS, .channel_low = low, .channel_high = high};
        mq_qtype type = {.bits = bits, .is_signed = is_signed, .narrow = narrow, .scale = first.out_step};
        mq_arena *arena;
        mq_rules rules;
        assert_int_equal(mq_arena_create(&arena, &error), MQ_OK);
        if (mq_fold_exact(&fold, &acc, &type, arena, &rules, &error) != MQ_OK) fail_msg("%s", error.text);
        bool smaller = rules.shift > 0;
        for (int c = 0; c < CHANNELS; c++) {
            bool is_affine = !rules.rule || rules.rule[c] == MQ_INET_AFFINE;
            stored += !is_affine;
            affine += is_affine;
            assert_true(llabs(rules.inc[c]) < INT64_C(1) << 47 && llabs(rules.bias[c]) < INT64_C(1) << 47);
            for (int64_t a = low[c]; a <= high[c]; a++)
                if (code_by_rules(&rules, first.low, first.levels, c, a) != mq_exact_code(&ch[c], a))
                    fail_msg("round %d, channel %d, accumulator %d: code %d, %d expected", round, c, (int)a,
                             code_by_rules(&rules, first.low, first.levels, c, a), mq_exact_code(&ch[c], a));
            mq_thresholds t;
            mq_staircase s;
            assert_int_equal(mq_thresholds_find(&ch[c], &t, &error), MQ_OK);
            mq_staircase_make(&t, first.low, first.levels, low[c], high[c], &s);
            if (s.first == s.last && is_affine) assert_int_equal(rules.inc[c], 0);
            /* One smaller: some channel loses its rule. */
            if (is_affine && smaller && !mq_affine_feasible(&s, rules.shift - 1, NULL, NULL)) smaller = false;
        }
        assert_false(smaller && affine);
        mq_arena_destroy(arena);
    }
    print_message("%d affine channels, %d of stored thresholds\n", affine, stored);
    assert_true(affine > 3000);
}

/* Ties on both neighbours of a half: no line has treads of 1, 3, 1, 3 in every phase and clips away from the
 * ends. */
static void ties_are_stored(void **state) {
    (void)state;
    mq_error error = {0};
    int64_t low = 0, high = 40;
    mq_inet_edge acc = {.c = 1, .channel_low = &low, .channel_high = &high};
    mq_qtype type = {.bits = 4, .scale = 0.25};
    mq_fold fold = {.channels = 1, .weight_step = 0.5, .input_step = 0.25};
    mq_arena *arena;
    mq_rules rules;
    assert_int_equal(mq_arena_create(&arena, &error), MQ_OK);
    assert_int_equal(mq_fold_exact(&fold, &acc, &type, arena, &rules, &error), MQ_OK);
    assert_non_null(rules.rule);
    assert_int_equal(rules.rule[0], MQ_INET_RISING);
    mq_channel c = {.weight_step = 0.5, .input_step = 0.25, .out_step = 0.25, .levels = 15};
    for (int a = 0; a <= 40; a++) assert_int_equal(code_by_rules(&rules, 0, 15, 0, a), mq_exact_code(&c, a));
    mq_arena_destroy(arena);
}

/* One channel needs a large shift, the other's step at a far place allows none: one of them is stored. */
static void limits_part_channels(void **state) {
    (void)state;
    mq_error error = {0};
    int64_t low[] = {0, 0}, high[] = {INT64_C(1) << 34, INT64_C(1) << 31};
    float gamma[] = {0x1p-32f, 1e30f}, beta[] = {0, 0}, var[] = {1, 1}, mean[] = {0, 0x1p30f};
    mq_inet_edge acc = {.c = 2, .channel_low = low, .channel_high = high};
    mq_qtype type = {.bits = 4, .scale = mq_activation_unit(4)};
    mq_fold fold = {.channels = 2, .weight_step = 1, .input_step = 1, .gamma = gamma, .beta = beta};
    fold.mean = mean;
    fold.var = var;
    mq_arena *arena;
    mq_rules rules;
    assert_int_equal(mq_arena_create(&arena, &error), MQ_OK);
    assert_int_equal(mq_fold_exact(&fold, &acc, &type, arena, &rules, &error), MQ_OK);
    assert_non_null(rules.rule);
    assert_int_equal((rules.rule[0] == MQ_INET_AFFINE) + (rules.rule[1] == MQ_INET_AFFINE), 1);
    for (int c = 0; c < 2; c++) {
        mq_channel channel = mq_fold_channel(&fold, &type, c);
        mq_thresholds t;
        assert_int_equal(mq_thresholds_find(&channel, &t, &error), MQ_OK);
        for (int k = 0; k < 15; k++)
            for (int64_t a = t.at[k] - 1; a <= t.at[k]; a++)
                if (a >= low[c] && a <= high[c])
                    assert_int_equal(code_by_rules(&rules, 0, 15, c, a), mq_exact_code(&channel, a));
    }
    mq_arena_destroy(arena);
}

static void head_bias(void **state) {
    (void)state;
    int64_t out;
    assert_true(mq_exact_bias(0.625f, 0.5, 0.5, &out)); /* 2.5 */
    assert_int_equal(out, 2);
    assert_true(mq_exact_bias(0.875f, 0.5, 0.5, &out)); /* 3.5 */
    assert_int_equal(out, 4);
    assert_true(mq_exact_bias(-0.625f, 0.5, 0.5, &out));
    assert_int_equal(out, -2);
    assert_true(mq_exact_bias(-0.875f, 0.5, 0.5, &out));
    assert_int_equal(out, -4);
    assert_true(mq_exact_bias(0.3f, 0.1, 0.019, &out));
    assert_int_equal(out, 158);
    assert_false(mq_exact_bias(1e30f, 1e-9, 0.019, &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_by_definition),
        cmocka_unit_test(ties),
        cmocka_unit_test(signed_ties),
        cmocka_unit_test(cancellation),
        cmocka_unit_test(rules_by_brute_force),
        cmocka_unit_test(layers),
        cmocka_unit_test(ties_are_stored),
        cmocka_unit_test(limits_part_channels),
        cmocka_unit_test(head_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
