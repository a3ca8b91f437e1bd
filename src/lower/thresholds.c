/* thresholds.c - dyadic numbers on GMP's integers, and the thresholds of one channel. */
#include "lower/thresholds.h"

#include <gmp.h>
#include <math.h>

/* ---- dyadic numbers: m * 2^e ---- */

typedef struct dyadic {
    mpz_t m;
    long e;
} dyadic;

static void set(dyadic *d, double v) {
    int e;
    mpz_set_d(d->m, ldexp(frexp(v, &e), 53)); /* a whole number */
    d->e = e - 53;
}

static void multiply(dyadic *to, const dyadic *by) {
    mpz_mul(to->m, to->m, by->m);
    to->e += by->e;
}

/* The same value with a smaller exponent. */
static void lower_exponent(dyadic *d, long e) {
    mpz_mul_2exp(d->m, d->m, (mp_bitcnt_t)(d->e - e));
    d->e = e;
}

static void align(dyadic *a, dyadic *b) {
    if (a->e > b->e) lower_exponent(a, b->e);
    if (b->e > a->e) lower_exponent(b, a->e);
}

/* to -= by; by's exponent may be lowered. */
static void subtract(dyadic *to, dyadic *by) {
    align(to, by);
    mpz_sub(to->m, to->m, by->m);
}

/* ---- one channel: code >= k <=> slope*acc + offset >= least[k], all integers ---- */

typedef struct work {
    dyadic slope, offset, variance, beta, unit, factor;
    mpz_t odd, square, root, rest, least;
} work;

static void work_init(work *w) {
    dyadic *const dyadics[] = {&w->slope, &w->offset, &w->variance, &w->beta, &w->unit, &w->factor};
    for (size_t i = 0; i < sizeof dyadics / sizeof *dyadics; i++) mpz_init(dyadics[i]->m);
    mpz_inits(w->odd, w->square, w->root, w->rest, w->least, NULL);
}

static void work_clear(work *w) {
    mpz_clears(w->slope.m, w->offset.m, w->variance.m, w->beta.m, w->unit.m, w->factor.m, NULL);
    mpz_clears(w->odd, w->square, w->root, w->rest, w->least, NULL);
}

/* slope = gamma*weight_step*input_step, offset = gamma*(bias - mean), variance = var + epsilon,
 * unit = H/2; then slope and offset in a unit fine enough that the squares below are whole. */
static void prepare(work *w, const mq_channel *c) {
    set(&w->slope, c->weight_step);
    set(&w->factor, c->input_step);
    multiply(&w->slope, &w->factor);
    set(&w->offset, c->bias);
    set(&w->variance, 1);
    set(&w->beta, 0);
    if (c->norm) {
        set(&w->factor, c->mean);
        subtract(&w->offset, &w->factor);
        set(&w->factor, c->gamma);
        multiply(&w->slope, &w->factor);
        multiply(&w->offset, &w->factor);
        set(&w->variance, c->var);
        set(&w->factor, -MQ_NORM_EPSILON);
        subtract(&w->variance, &w->factor);
        set(&w->beta, c->beta);
    }
    set(&w->unit, c->out_step);
    w->unit.e -= 1;
    align(&w->unit, &w->beta);
    long square = 2 * w->unit.e + w->variance.e;
    long half = square >= 0 ? square / 2 : (square - 1) / 2;
    align(&w->slope, &w->offset);
    if (w->slope.e > half) {
        lower_exponent(&w->slope, half);
        lower_exponent(&w->offset, half);
    }
    mpz_mul_2exp(w->variance.m, w->variance.m, (mp_bitcnt_t)(square - 2 * w->slope.e));
}

/* least = the smallest integer that reaches (k - 1/2)*H: right-hand side r = n*sqrt(variance) with
 * n = (2k-1)*H/2 - beta; a tie counts only for even k, so ceil(r) then and floor(r) + 1 for odd k. */
static void find_least(work *w, int k) {
    mpz_mul_si(w->odd, w->unit.m, 2 * k - 1);
    mpz_sub(w->odd, w->odd, w->beta.m);
    mpz_mul(w->square, w->odd, w->odd);
    mpz_mul(w->square, w->square, w->variance.m);
    mpz_sqrtrem(w->root, w->rest, w->square);
    bool whole = mpz_sgn(w->rest) == 0;
    if (mpz_sgn(w->odd) >= 0) {
        mpz_set(w->least, w->root);
        if (!whole || k % 2) mpz_add_ui(w->least, w->least, 1);
    } else {
        mpz_neg(w->least, w->root);
        if (whole && k % 2) mpz_add_ui(w->least, w->least, 1);
    }
}

static int64_t to_int64(const mpz_t v) {
    if (mpz_fits_slong_p(v)) return mpz_get_si(v);
    return mpz_sgn(v) < 0 ? INT64_MIN : INT64_MAX;
}

/* The threshold of acc from slope*acc >= least - offset. */
static int64_t solve(work *w, mq_direction direction) {
    if (direction == MQ_RISING) {
        mpz_sub(w->rest, w->least, w->offset.m);
        mpz_cdiv_q(w->rest, w->rest, w->slope.m);
        return to_int64(w->rest);
    }
    mpz_sub(w->rest, w->least, w->offset.m);
    mpz_fdiv_q(w->rest, w->rest, w->slope.m); /* slope below 0: acc <= floor */
    mpz_add_ui(w->rest, w->rest, 1);
    return to_int64(w->rest);
}

_Static_assert(sizeof(long) == sizeof(int64_t), "GMP's long holds a threshold");

mq_status mq_thresholds_find(const mq_channel *c, mq_thresholds *out, mq_error *error) {
    work w;
    *out = (mq_thresholds){.direction = MQ_CONSTANT, .code = c->low};
    if (!isfinite(c->weight_step) || !isfinite(c->input_step) || !isfinite(c->bias) ||
        (c->norm && !(isfinite(c->gamma) && isfinite(c->beta) && isfinite(c->mean) && isfinite(c->var))))
        return mq_fail(error, MQ_BAD_INPUT, "weight step %g, bias or batch norm: finite numbers expected",
                       c->weight_step);
    if (c->norm && !((double)c->var + MQ_NORM_EPSILON > 0))
        return mq_fail(error, MQ_BAD_INPUT, "variance %g: above -1e-5 expected", (double)c->var);
    work_init(&w);
    prepare(&w, c);
    int sign = mpz_sgn(w.slope.m);
    out->direction = sign > 0 ? MQ_RISING : sign < 0 ? MQ_FALLING : MQ_CONSTANT;
    for (int k = 1; k <= c->levels; k++) {
        find_least(&w, c->low + k);
        if (sign)
            out->at[k - 1] = solve(&w, out->direction);
        else if (mpz_cmp(w.offset.m, w.least) >= 0)
            out->code = c->low + k;
    }
    work_clear(&w);
    return MQ_OK;
}
