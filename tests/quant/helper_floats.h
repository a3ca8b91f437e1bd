/* helper_floats.h - float32 by their bits, and inputs that try quantisers where it hurts. */
#ifndef MIXQ_TESTS_QUANT_HELPER_FLOATS_H
#define MIXQ_TESTS_QUANT_HELPER_FLOATS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/rng.h"

static inline float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* The same bits, or both NaN. */
static inline int same_float(float a, float b) {
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

enum { SPECIALS = 16 };
static const float special_floats[SPECIALS] = {
    0.0f,     -0.0f,     0x1p-149f, -0x1p-149f, 0x1p-126f, -0x1p-126f, 1.0f, -1.0f,
    INFINITY, -INFINITY, NAN,       -NAN,       3.4e38f,   -3.4e38f,   1e9f, -1e9f};

static inline void fill_normal(float *x, size_t n, const char *name, float scale) {
    mq_rng rng = mq_rng_stream(7, name, 0);
    for (size_t i = 0; i < n; i++) x[i] = scale * mq_rng_normal(&rng, i);
}

/* Probabilities that are not round numbers. */
static inline void fill_probabilities(float *s, size_t n, uint64_t index) {
    mq_rng rng = mq_rng_stream(7, "probabilities", index);
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += s[i] = 0.05f + mq_rng_uniform(&rng, i);
    for (size_t i = 0; i < n; i++) s[i] /= sum;
}

#endif
