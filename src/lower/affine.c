/* affine.c - the two-variable integer problem of one channel's inc and bias. */
#include "lower/affine.h"

typedef __int128 wide;

static const int64_t LIMIT = ((int64_t)1 << (MQ_RULE_BITS - 1)) - 1;

void mq_staircase_make(const mq_thresholds *t, int low_code, int levels, int64_t low, int64_t high,
                       mq_staircase *out) {
    *out = (mq_staircase){.falling = t->direction == MQ_FALLING, .low = low, .high = high};
    out->first = out->last = t->direction == MQ_CONSTANT ? t->code : low_code;
    if (out->falling) {
        out->low = -high;
        out->high = -low;
    }
    int64_t at[MQ_LEVELS_MAX] = {0}; /* code >= k <=> acc >= at[k-1] */
    for (int k = 1; k <= levels && t->direction != MQ_CONSTANT; k++) {
        int64_t v = t->at[k - 1];
        if (out->falling) v = v <= -INT64_MAX ? INT64_MAX : 1 - v; /* -acc > -v */
        at[k - 1] = v;
        out->first += v <= out->low;
        out->last += v <= out->high;
    }
    if (out->first > low_code) out->low_line[out->low_count++] = (mq_rule_line){out->low, out->first};
    for (int k = out->first + 1; k <= out->last; k++) {
        out->low_line[out->low_count++] = (mq_rule_line){at[k - low_code - 1], k};
        out->high_line[out->high_count++] = (mq_rule_line){at[k - low_code - 1] - 1, k};
    }
    if (out->last < low_code + levels)
        out->high_line[out->high_count++] = (mq_rule_line){out->high, out->last + 1};
}

static wide low_bias(const mq_staircase *s, int shift, int64_t inc) {
    wide most = -LIMIT, end = (wide)INT64_MIN - (wide)inc * s->low;
    if (end > most) most = end;
    for (int i = 0; i < s->low_count; i++) {
        wide v = s->low_line[i].k * ((wide)1 << shift) - (wide)inc * s->low_line[i].p;
        if (v > most) most = v;
    }
    return most;
}

static wide high_bias(const mq_staircase *s, int shift, int64_t inc) {
    wide least = LIMIT, end = (wide)INT64_MAX - (wide)inc * s->high;
    if (end < least) least = end;
    for (int i = 0; i < s->high_count; i++) {
        wide v = s->high_line[i].k * ((wide)1 << shift) - 1 - (wide)inc * s->high_line[i].p;
        if (v < least) least = v;
    }
    return least;
}

/* Concave in inc; 0 or more where there is a bias. */
static wide room(const mq_staircase *s, int shift, int64_t inc) {
    return high_bias(s, shift, inc) - low_bias(s, shift, inc);
}

/* The smallest magnitude of a bias; convex in inc over the feasible interval. */
static wide bias_size(const mq_staircase *s, int shift, int64_t inc) {
    wide low = low_bias(s, shift, inc), high = high_bias(s, shift, inc);
    return low > 0 ? low : high < 0 ? -high : 0;
}

/* Where the concave room is largest, or any place where it is not negative. */
static int64_t best_inc(const mq_staircase *s, int shift, int64_t most) {
    int64_t a = 0, b = most;
    while (a < b) {
        int64_t middle = a + (b - a) / 2;
        wide here = room(s, shift, middle);
        if (here >= 0) return middle;
        if (room(s, shift, middle + 1) > here)
            a = middle + 1;
        else
            b = middle;
    }
    return a;
}

/* The largest |inc|: acc*inc fits 64 bits; what never changes needs no slope. */
static int64_t largest_inc(const mq_staircase *s) {
    if (s->first == s->last) return 0;
    wide low = s->low < 0 ? -(wide)s->low : s->low, high = s->high < 0 ? -(wide)s->high : s->high;
    wide limit = INT64_MAX / (low > high ? low : high); /* not both are 0: the code changes */
    return limit < LIMIT ? (int64_t)limit : LIMIT;
}

bool mq_affine_feasible(const mq_staircase *s, int shift, int64_t *least, int64_t *most) {
    int64_t limit = largest_inc(s);
    int64_t inside = best_inc(s, shift, limit);
    if (room(s, shift, inside) < 0) return false;
    if (least) {
        int64_t a = 0, b = inside;
        while (a < b) {
            int64_t middle = a + (b - a) / 2;
            if (room(s, shift, middle) >= 0)
                b = middle;
            else
                a = middle + 1;
        }
        *least = a;
    }
    if (most) {
        int64_t a = inside, b = limit;
        while (a < b) {
            int64_t middle = b - (b - a) / 2;
            if (room(s, shift, middle) >= 0)
                a = middle;
            else
                b = middle - 1;
        }
        *most = a;
    }
    return true;
}

int mq_affine_shift(const mq_staircase *s, int from) {
    for (int shift = from; shift <= MQ_SHIFT_MAX; shift++)
        if (mq_affine_feasible(s, shift, NULL, NULL)) return shift;
    return -1;
}

void mq_affine_choose(const mq_staircase *s, int shift, int64_t least, int64_t most, int64_t *inc,
                      int64_t *bias) {
    int64_t a = least, b = most;
    while (a < b) {
        int64_t middle = a + (b - a) / 2;
        if (bias_size(s, shift, middle + 1) < bias_size(s, shift, middle))
            a = middle + 1;
        else
            b = middle;
    }
    wide low = low_bias(s, shift, a), high = high_bias(s, shift, a);
    *bias = (int64_t)(low > 0 ? low : high < 0 ? high : 0);
    *inc = s->falling ? -a : a;
}
