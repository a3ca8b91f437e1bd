/* float_line.c - the line with the widest margin, and the proof that float32 follows the staircase with it.
 *
 * Codes at both sides of every step bound the line from below (k - 1/2) and above (k + 1/2), the clips giving
 * the ends freedom. For one slope g the offset has an interval; its width is concave in g, so a section
 * search finds the widest. The result is not trusted but evaluated: it is monotone, so equal codes at the
 * steps mean equal codes. */
#include "qonnx/float_line.h"

#include <float.h>
#include <math.h>

#include "inet/certificate.h"

enum { POINTS = 2 * 256 + 2, SECTIONS = 240 };

typedef struct points {
    int count, low, high; /* of the type */
    int64_t acc[POINTS];
    int code[POINTS];
} points;

static void add(points *p, const mq_inet_requant *rule, int channel, int64_t acc) {
    p->acc[p->count] = acc;
    p->code[p->count++] = (int)mq_rule_code(rule, channel, acc);
}

static void collect(points *p, const mq_inet_requant *rule, int channel, int64_t first, int64_t last) {
    int64_t at = first;
    add(p, rule, channel, first);
    while (p->count < POINTS - 3 && mq_rule_next_step(rule, channel, at, last, &at)) {
        add(p, rule, channel, at - 1);
        add(p, rule, channel, at);
    }
    add(p, rule, channel, last);
}

/* The interval of offsets for slope g. */
static void interval(const points *p, double g, double *least, double *most) {
    *least = -DBL_MAX;
    *most = DBL_MAX;
    for (int i = 0; i < p->count; i++) {
        double x = g * (double)p->acc[i];
        if (p->code[i] > p->low) *least = fmax(*least, p->code[i] - 0.5 - x);
        if (p->code[i] < p->high) *most = fmin(*most, p->code[i] + 0.5 - x);
    }
}

static double width(const points *p, double g) {
    double least, most;
    interval(p, g, &least, &most);
    return most - least;
}

static int code_of(const points *p, float y) {
    if (y > (float)p->high) return p->high;
    if (y < (float)p->low) return p->low;
    return (int)rintf(y);
}

static bool follows(const points *p, float unit, float factor, float offset) {
    for (int i = 0; i < p->count; i++) {
        float x = (float)p->acc[i] * unit, product = x * factor;
        if ((int64_t)(float)p->acc[i] != p->acc[i]) return false;
        if (code_of(p, product + offset) != p->code[i] || code_of(p, fmaf(x, factor, offset)) != p->code[i])
            return false;
    }
    return true;
}

static bool try_slope(const points *p, double g, float unit, float *factor, float *offset) {
    double least, most;
    *factor = (float)(g / (double)unit);
    interval(p, (double)*factor * (double)unit, &least, &most);
    if (*factor == 0) return false;
    if (least == -DBL_MAX) least = most - 1;
    if (most == DBL_MAX) most = least + 1;
    *offset = (float)(least + (most - least) / 2);
    return follows(p, unit, *factor, *offset);
}

/* The slope of the widest interval, in code per accumulator; more than 1 gains nothing. */
static double best_slope(const points *p) {
    bool rising = p->code[p->count - 1] > p->code[0];
    double a = rising ? 0 : -1, b = rising ? 1 : 0;
    for (int i = 0; i < SECTIONS; i++) {
        double left = a + (b - a) / 3, right = b - (b - a) / 3;
        if (width(p, left) < width(p, right))
            a = left;
        else
            b = right;
    }
    return a + (b - a) / 2;
}

bool mq_float_line(const mq_inet_requant *rule, int channel, int64_t first, int64_t last, float unit,
                   float *factor, float *offset) {
    points p = {.low = rule->low, .high = rule->high};
    collect(&p, rule, channel, first, last);
    if (p.code[0] == p.code[p.count - 1]) {
        *factor = 0;
        *offset = (float)p.code[0];
        return follows(&p, unit, *factor, *offset);
    }
    double g = best_slope(&p);
    if (try_slope(&p, g, unit, factor, offset)) return true;
    /* Ties of powers of two have no margin at all, but a line of few bits meets them exactly, and rounds as
     * they do. */
    for (int bits = 0; bits <= 20; bits++)
        if (try_slope(&p, ldexp(rint(ldexp(g, bits)), -bits), unit, factor, offset)) return true;
    return false;
}

static bool follows_double(const points *p, float unit, double factor, double offset) {
    for (int i = 0; i < p->count; i++) {
        double x = (double)p->acc[i] * (double)unit, product = x * factor,
               y[2] = {product + offset, fma(x, factor, offset)};
        if ((int64_t)(double)p->acc[i] != p->acc[i]) return false;
        for (int k = 0; k < 2; k++)
            if ((int)rint(fmin(fmax(y[k], p->low), p->high)) != p->code[i]) return false;
    }
    return true;
}

bool mq_double_line(const mq_inet_requant *rule, int channel, int64_t first, int64_t last, float unit,
                    double *factor, double *offset) {
    points p = {.low = rule->low, .high = rule->high};
    double least, most;
    collect(&p, rule, channel, first, last);
    *factor = p.code[0] == p.code[p.count - 1] ? 0 : best_slope(&p) / (double)unit;
    interval(&p, *factor * (double)unit, &least, &most);
    if (least == -DBL_MAX) least = most - 1;
    if (most == DBL_MAX) most = least + 1;
    *offset = *factor == 0 ? p.code[0] : least + (most - least) / 2;
    return follows_double(&p, unit, *factor, *offset);
}

void mq_threshold_list(const mq_inet_requant *rule, int channel, int64_t first, int64_t last, bool *falling,
                       int64_t *t) {
    points p = {.low = rule->low, .high = rule->high};
    collect(&p, rule, channel, first, last);
    *falling = p.code[p.count - 1] < p.code[0];
    const int levels = p.high - p.low;
    for (int k = 1; k <= levels; k++) {
        /* The first point, in the direction of the rise, whose code is low + k or more; points hold both
         * sides of steps. */
        int64_t at = (*falling ? -first : last) + 1;
        for (int i = 0; i < p.count; i++) {
            int from = *falling ? p.count - 1 - i : i;
            if (p.code[from] < p.low + k) continue;
            at = *falling ? -p.acc[from] : p.acc[from];
            break;
        }
        t[k - 1] = at;
    }
}
