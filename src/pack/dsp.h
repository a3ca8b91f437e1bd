/* dsp.h - the arithmetic of DSP slices as data and one bit-exact function.
 *
 * A slice multiplies a wide and a narrow signed port; the wide one has a pre-adder. After the multiplier an
 * ALU adds a data word (C), a constant (W/RND), the cascade and a carry, and wraps at the accumulator's
 * width: P = wrap((wrap(D + A) or wrap(D - A)) * B + C + W + PCIN + CARRYIN). Sources: AMD UG579 (DSP48E2),
 * UG479 (DSP48E1), AM004 (DSP58). Registers are not modelled: they change when, not what. */
#ifndef MIXQ_PACK_DSP_H
#define MIXQ_PACK_DSP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct mq_dsp {
    char name[16];
    int wide, narrow; /* bits of the multiplier's signed ports; the pre-adder (as wide) feeds the wide one */
    int accumulator;  /* bits of P, C and the cascade */
    bool c_with_cascade; /* C, product and cascade in one addition (a fourth ALU input) */
} mq_dsp;

typedef struct mq_dsp_inputs {
    int64_t a, d; /* wide port: d + a, or d - a */
    int64_t b;    /* narrow port */
    int64_t c, w, pcin;
    bool subtract;
    int carry_in; /* 0 or 1 */
} mq_dsp_inputs;

/* "dsp48e2", "dsp48e1", "dsp58", or any "NxM" (4..32 bits each, 48-bit accumulator). */
mq_status mq_dsp_find(const char *name, mq_dsp *out, mq_error *error) MQ_MUST_CHECK;
/* The named slices, ends with an empty name. */
extern const mq_dsp mq_dsps[];

/* value as a signed number of `bits` bits (1..64), higher bits dropped. */
static inline int64_t mq_wrap(int64_t value, int bits) {
    return (int64_t)((uint64_t)value << (64 - bits)) >> (64 - bits);
}

/* P, sign-extended. False (out unchanged) when a word does not fit its port; mq_dsp_check names it. */
static inline bool mq_dsp_eval(const mq_dsp *dsp, const mq_dsp_inputs *in, int64_t *out) {
    if (mq_wrap(in->a, dsp->wide) != in->a || mq_wrap(in->d, dsp->wide) != in->d ||
        mq_wrap(in->b, dsp->narrow) != in->b || mq_wrap(in->c, dsp->accumulator) != in->c ||
        mq_wrap(in->w, dsp->accumulator) != in->w || mq_wrap(in->pcin, dsp->accumulator) != in->pcin)
        return false;
    int64_t ad = mq_wrap(in->subtract ? in->d - in->a : in->d + in->a, dsp->wide);
    *out = mq_wrap((int64_t)((uint64_t)(ad * in->b) + (uint64_t)in->c + (uint64_t)in->w + (uint64_t)in->pcin +
                             (uint64_t)in->carry_in),
                   dsp->accumulator);
    return true;
}

/* MQ_CHECK_FAILED with the port, its word and its range. */
mq_status mq_dsp_check(const mq_dsp *dsp, const mq_dsp_inputs *in, mq_error *error) MQ_MUST_CHECK;

#endif
