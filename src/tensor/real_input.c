/* real_input.c - the chain of an input's scalings, in float32. */
#include "tensor/real_input.h"

#include <math.h>
#include <string.h>

const char *const mq_real_op_names[] = {
#define REAL_NAME(id, name) name,
    MQ_REAL_OPS(REAL_NAME)
#undef REAL_NAME
        NULL};

mq_status mq_real_input_check(const mq_real_input *real, int channels, mq_error *error) {
    if (channels > MQ_REAL_CHANNELS)
        return mq_fail(error, MQ_BAD_INPUT, "real input: %d channels: at most %d expected", channels,
                       MQ_REAL_CHANNELS);
    if (!(isfinite(real->divisor) && real->divisor > 0))
        return mq_fail(error, MQ_BAD_INPUT, "real input: pixel divisor %g: a number above 0 expected",
                       (double)real->divisor);
    if (real->count < 0 || real->count > MQ_REAL_STEPS)
        return mq_fail(error, MQ_BAD_INPUT, "real input: %d steps: at most %d expected", real->count,
                       MQ_REAL_STEPS);
    for (int i = 0; i < real->count; i++) {
        const mq_real_step *s = &real->step[i];
        if (s->op >= MQ_REAL_OP_COUNT || (s->count != 1 && s->count != channels))
            return mq_fail(error, MQ_BAD_INPUT, "real input: step %d: %d values: 1 or %d (channels) expected",
                           i, s->count, channels);
        for (int c = 0; c < s->count; c++)
            if (!isfinite(s->value[c]) || (s->op == MQ_REAL_DIV && s->value[c] == 0))
                return mq_fail(error, MQ_BAD_INPUT, "real input: step %d: %s %g: a finite number%s expected",
                               i, mq_real_op_names[s->op], (double)s->value[c],
                               s->op == MQ_REAL_DIV ? " but 0" : "");
    }
    return MQ_OK;
}

bool mq_real_input_equal(const mq_real_input *a, const mq_real_input *b) {
    if (a->divisor != b->divisor || a->count != b->count) return false;
    for (int i = 0; i < a->count; i++) {
        const mq_real_step *s = &a->step[i], *t = &b->step[i];
        if (s->op != t->op || s->count != t->count) return false;
        for (int c = 0; c < s->count; c++)
            if (s->value[c] != t->value[c]) return false;
    }
    return true;
}

int mq_real_code(const mq_real_input *real, float scale, int low, int high, int c, float x) {
    for (int i = 0; i < real->count; i++) {
        float v = real->step[i].value[real->step[i].count == 1 ? 0 : c];
        switch (real->step[i].op) {
        case MQ_REAL_ADD:
            x = x + v;
            break;
        case MQ_REAL_SUB:
            x = x - v;
            break;
        case MQ_REAL_MUL:
            x = x * v;
            break;
        default:
            x = x / v;
            break;
        }
    }
    x = x / scale;
    if (x > (float)high) return high;
    if (!(x >= (float)low)) return low;
    return (int)rintf(x);
}

mq_status mq_real_codes(const mq_real_input *real, float scale, int low, int high, const float *x,
                        size_t images, int channels, size_t pixels, uint8_t *out, mq_error *error) {
    const int zero = low < 0 ? 128 : 0;
    for (size_t i = 0; i < images; i++)
        for (int c = 0; c < channels; c++)
            for (size_t p = 0; p < pixels; p++, x++, out++) {
                if (isnan(*x))
                    return mq_fail(error, MQ_BAD_INPUT,
                                   "image %zu, channel %d, pixel %zu: NaN: a number expected", i, c, p);
                *out = (uint8_t)(mq_real_code(real, scale, low, high, c, *x) + zero);
            }
    return MQ_OK;
}

void mq_real_pixels(const mq_real_input *real, float scale, int low, int high, int channels,
                    uint8_t (*table)[256]) {
    const int zero = low < 0 ? 128 : 0;
    for (int c = 0; c < channels; c++)
        for (int k = 0; k < 256; k++)
            table[c][k] = (uint8_t)(mq_real_code(real, scale, low, high, c, (float)k / real->divisor) + zero);
}
