/* exact_code.h - the definition of thresholds.h evaluated for one accumulator value at a time, as plainly as
 * it reads: what the certificate and the exact evaluation of a network stand on. It shares no arithmetic with
 * the solver.
 *
 * A long double evaluation whose error is bounded decides where the value is farther from a rounding edge
 * than that; rational numbers (GMP) decide the rest. Private to this folder. */
#ifndef MIXQ_LOWER_EXACT_CODE_H
#define MIXQ_LOWER_EXACT_CODE_H

#include "lower/thresholds.h"

/* The code, low..low + levels. The channel's variance is above -1e-5. */
int mq_exact_code(const mq_channel *channel, int64_t acc);

/* code >= k, by rational numbers alone. */
bool mq_exact_reaches(const mq_channel *channel, int64_t acc, int k);

/* bias in units of weight_step*input_step, to the nearest whole number, ties to even; false when that is not
 * within 2^61. By rational numbers. */
bool mq_exact_bias(double bias, double weight_step, double input_step, int64_t *out);

#endif
