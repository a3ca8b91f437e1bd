/* exact_code.c - one value of a channel, by long double where that is safe and by rational numbers elsewhere.
 */
#include "lower/exact_code.h"

#include <float.h>
#include <gmp.h>
#include <math.h>

/* x = gamma*(acc*step + bias - mean)/sqrt(var + eps) + beta against edge = (k - 1/2)*H: the sign of
 * left - right*sqrt(var + eps) with left = gamma*(acc*step + bias - mean) and right = edge - beta. */
static int compare_with_edge(const mq_channel *c, int64_t acc, int k) {
    mpq_t left, right, variance, v;
    mpq_inits(left, right, variance, v, NULL);
    mpq_set_d(left, c->weight_step);
    mpq_set_d(v, c->input_step);
    mpq_mul(left, left, v);
    mpq_set_si(v, acc, 1);
    mpq_mul(left, left, v);
    mpq_set_d(v, c->bias);
    mpq_add(left, left, v);
    mpq_set_si(right, 2 * k - 1, 2); /* any sign */
    mpq_canonicalize(right);
    mpq_set_d(v, c->out_step);
    mpq_mul(right, right, v);
    mpq_set_si(variance, 1, 1);
    if (c->norm) {
        mpq_set_d(v, c->mean);
        mpq_sub(left, left, v);
        mpq_set_d(v, c->gamma);
        mpq_mul(left, left, v);
        mpq_set_d(v, c->beta);
        mpq_sub(right, right, v);
        mpq_set_d(variance, c->var);
        mpq_set_d(v, MQ_NORM_EPSILON);
        mpq_add(variance, variance, v);
    }
    int sign = mpq_sgn(left), order = sign - mpq_sgn(right);
    if (order == 0 && sign != 0) { /* the same side of 0: compare the squares */
        mpq_mul(left, left, left);
        mpq_mul(right, right, right);
        mpq_mul(right, right, variance);
        order = sign * mpq_cmp(left, right);
    }
    mpq_clears(left, right, variance, v, NULL);
    return order;
}

bool mq_exact_reaches(const mq_channel *c, int64_t acc, int k) {
    int order = compare_with_edge(c, acc, k);
    return order > 0 || (order == 0 && k % 2 == 0);
}

/* x/H; *error bounds how far it may be off: a dozen operations, each within half of LDBL_EPSILON of a value
 * that the sum of magnitudes bounds. */
static long double estimate(const mq_channel *c, int64_t acc, long double *error) {
    long double product = (long double)acc * ((long double)c->weight_step * c->input_step);
    long double x = product + c->bias, size = fabsl(product) + fabsl((long double)c->bias);
    if (c->norm) {
        long double factor = c->gamma / sqrtl((long double)c->var + MQ_NORM_EPSILON);
        x = (x - c->mean) * factor + c->beta;
        size = (size + fabsl((long double)c->mean)) * fabsl(factor) + fabsl((long double)c->beta);
    }
    *error = size / c->out_step * (32 * LDBL_EPSILON);
    return x / c->out_step;
}

int mq_exact_code(const mq_channel *c, int64_t acc) {
    if (!c->norm || c->var >= 0) { /* below 0 the sum with 1e-5 could cancel */
        long double error, q = estimate(c, acc, &error);
        if (q + error < c->low + 0.5L) return c->low;
        if (q - error > c->low + c->levels - 0.5L) return c->low + c->levels;
        long double nearest = floorl(q + 0.5L);
        if (fabsl(q - nearest) + error < 0.5L) return (int)nearest;
    }
    int low = c->low, high = c->low + c->levels; /* the code is in low..high */
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (mq_exact_reaches(c, acc, middle))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

bool mq_exact_bias(double bias, double weight_step, double input_step, int64_t *out) {
    mpq_t v, unit;
    mpz_t whole;
    mpq_inits(v, unit, NULL);
    mpz_init(whole);
    mpq_set_d(v, weight_step);
    mpq_set_d(unit, input_step);
    mpq_mul(unit, unit, v);
    mpq_set_d(v, bias);
    mpq_div(v, v, unit);
    /* floor(v + 1/2), and one less at a tie whose upper neighbour is odd */
    mpq_set_si(unit, 1, 2);
    mpq_add(v, v, unit);
    mpz_fdiv_q(whole, mpq_numref(v), mpq_denref(v));
    if (mpz_cmp_ui(mpq_denref(v), 1) == 0 && mpz_odd_p(whole)) mpz_sub_ui(whole, whole, 1);
    bool fits = mpz_sizeinbase(whole, 2) <= 61;
    *out = fits ? mpz_get_si(whole) : 0;
    mpz_clear(whole);
    mpq_clears(v, unit, NULL);
    return fits;
}
