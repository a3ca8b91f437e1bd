/* fold.c - scale, bias and batch norm into inc, bias and shift. */
#include "lower/fold.h"

#include <math.h>

#define EPSILON 1e-5 /* of the batch norm, as PyTorch's default */

enum { MAX_SHIFT = 47 };
static const int64_t LARGEST = ((int64_t)1 << 47) - 1; /* of 48 bits, two's complement */
static const double ROUNDABLE = 0x1p62;

/* One channel in float64: code = clip(floor(a*acc + b + 1/2)). */
typedef struct line {
    double a, b;
} line;

static line channel_line(const mq_fold *f, const mq_qtype *type, int c) {
    double slope = 1, offset = f->bias ? f->bias[c] : 0;
    if (f->gamma) {
        slope = f->gamma[c] / sqrt((double)f->var[c] + EPSILON);
        offset = f->beta[c] + (offset - f->mean[c]) * slope;
    }
    return (line){.a = slope * f->step / type->scale, .b = offset / type->scale};
}

/* True when the channel fits at this shift: 48 bits each, and 64 at both ends of the reachable range. */
static bool round_line(line l, int shift, int64_t low, int64_t high, int64_t *inc, int64_t *bias) {
    double i = rint(ldexp(l.a, shift)), b = rint(ldexp(l.b, shift)) + ldexp(1, shift - 1);
    if (!(fabs(i) <= (double)LARGEST && fabs(b) <= (double)LARGEST)) return false;
    *inc = (int64_t)i;
    *bias = (int64_t)b;
    int64_t ends[] = {low, high}, v;
    for (int k = 0; k < 2; k++)
        if (__builtin_mul_overflow(ends[k], *inc, &v) || __builtin_add_overflow(v, *bias, &v)) return false;
    return true;
}

mq_status mq_fold_default(const mq_fold *fold, const mq_inet_edge *acc, const mq_qtype *type, int64_t *inc,
                          int64_t *bias, int *shift, mq_error *error) {
    *shift = MAX_SHIFT;
    for (int c = 0; c < fold->channels; c++) {
        line l = channel_line(fold, type, c);
        int least = *shift;
        while (least > 0 &&
               !round_line(l, least, acc->channel_low[c], acc->channel_high[c], &inc[c], &bias[c]))
            least--;
        if (least == 0)
            return mq_fail(error, MQ_BAD_INPUT,
                           "channel %d: the scale %g and offset %g (in steps of the next layer's input) need "
                           "more than 48 "
                           "bits, or 64 with the accumulator",
                           c, l.a, l.b);
        *shift = least;
    }
    for (int c = 0; c < fold->channels; c++)
        (void)round_line(channel_line(fold, type, c), *shift, acc->channel_low[c], acc->channel_high[c],
                         &inc[c], &bias[c]);
    return MQ_OK;
}

mq_status mq_fold_published(const mq_fold *f, int shift, const mq_qtype *type, int64_t *inc, int64_t *bias,
                            mq_error *error) {
    const float step = (float)f->step, out_step = (float)type->scale, power = ldexpf(1, shift);
    for (int c = 0; c < f->channels; c++) {
        float slope = 1, offset = f->bias ? f->bias[c] : 0;
        if (f->gamma) {
            float deviation = sqrtf(f->var[c] + (float)EPSILON), mean = f->mean[c];
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
