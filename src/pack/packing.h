/* packing.h - a packing as a value: which operands share one multiplication of a DSP slice, and how the
 * product is read.
 *
 * Weights stand on one port at bit positions s_i, activations on the other at t_j; the product w_i*a_j lands
 * at s_i + t_j. Products at one position form a field and must belong to one output of the convolution. An
 * output is named by (weight group, activation group, step): groups are output channels or groups of taps,
 * and pixel blocks; step = the weight's step + the activation's step, a one-dimensional convolution (a
 * weight's step counts its tap from the far end: K-1-k).
 *
 * The product of the words is exactly sum_f F_f * 2^p_f, F_f = sum w*(a - zero). A constant makes every field
 * non-negative: G_f = F_f - low_f. A field whose G_f fits the distance to the next one is read by wiring. One
 * that reaches r bits into the next (overlap) carries T in 0..2^r-1 into it; T is known from the next field's
 * r lowest bits, which follow from the operands' r lowest bits. docs/packing.md has the proofs.
 *
 * Fill the description, call mq_packing_finish, and everything below it is derived. */
#ifndef MIXQ_PACK_PACKING_H
#define MIXQ_PACK_PACKING_H

#include <stddef.h>

#include "pack/dsp.h"

enum {
    MQ_PACK_OPERANDS = 32, /* per port */
    MQ_PACK_FIELDS = 64,
    MQ_PACK_OVERLAP = 2 /* most bits of overlap that are repaired */
};

typedef struct mq_span {
    int32_t low, high; /* closed range of codes */
} mq_span;

typedef struct mq_pack_operand {
    int position; /* bit on its port */
    int group, step;
    int zero; /* activations: fed as a - zero; 0 for weights */
} mq_pack_operand;

typedef struct mq_pack_field {
    int position;
    int spacing; /* bits to the next field; the top one: to the accumulator's end */
    int overlap; /* r: bits that this field's window reaches into the next one */
    int weight_group, activation_group, step;
    int products;
    int64_t low, high; /* exact extremes of F in one cycle */
} mq_pack_field;

/* A port whose packed range is right in size but not centred, or one bit too wide. */
typedef enum mq_port_fix {
    MQ_PORT_FITS,
    MQ_PORT_OFFSET, /* port word = value + sign*2^shift; C = -sign*(other word << shift): wires, no LUT */
    MQ_PORT_EXTRA   /* port word = value -+ 2^shift, shift = port bits - 1; C = +-(other word << shift) by the
                       value's sign: one XOR per bit of the other word, and CARRYIN */
} mq_port_fix;

typedef enum mq_pack_class { MQ_CLASS_I = 1, MQ_CLASS_II, MQ_CLASS_III } mq_pack_class;

typedef struct mq_packing {
    /* description */
    mq_dsp dsp;
    char kind[16];
    mq_span weight_codes, activation_codes; /* activation_codes.low is 0 */
    bool weights_wide;                      /* weights on the wide port */
    int weights, activations;
    mq_pack_operand weight[MQ_PACK_OPERANDS], activation[MQ_PACK_OPERANDS];
    /* derived */
    int fields;
    mq_pack_field field[MQ_PACK_FIELDS];                  /* by rising position */
    uint8_t field_of[MQ_PACK_OPERANDS][MQ_PACK_OPERANDS]; /* [weight][activation] */
    mq_port_fix fix;
    bool fix_weights; /* the port that is fixed carries the weights */
    int fix_shift, fix_sign;
    int64_t zero_word;     /* sum zero * 2^t */
    int64_t bias;          /* sum -low * 2^p: one cycle's constant */
    int64_t cycles;        /* accumulations the windows were made for */
    int64_t accumulations; /* most cycles in P with these windows */
    int64_t canary;        /* most cycles in P when carries over every boundary are counted (mq_canary) */
    mq_pack_class class;   /* i constants and wires; ii overlaps of 1 bit; iii overlaps of 2 bits or an extra
                              port bit */
    int luts;              /* repair logic of one slice (luts.c) */
    int shared_luts;       /* the constant subtractor of recentred activations on the narrow port, one for all
                              slices that see these activations; not in luts */
} mq_packing;

/* Weights that are known when the hardware is made: all the words that a slice will ever see. */
typedef struct mq_pack_words {
    const int8_t *word; /* [count][weights of the packing], within weight_codes; borrowed */
    size_t count;       /* at least 1 */
} mq_pack_words;

/* Useful multiplications of one cycle. */
static inline int mq_packing_products(const mq_packing *p) {
    return p->weights * p->activations;
}

/* Derives the rest for `cycles` accumulations inside P. MQ_CHECK_FAILED, with the field and the operand
 * values that break it, when the packing is not exact. */
mq_status mq_packing_finish(mq_packing *packing, int64_t cycles, mq_error *error) MQ_MUST_CHECK;
/* The same where only these weight words occur: fields and ports are as narrow as they really are. The result
 * is exact for these words (mq_pack_prove_words), not for others. */
mq_status mq_packing_finish_words(mq_packing *packing, const mq_pack_words *words, int64_t cycles,
                                  mq_error *error) MQ_MUST_CHECK;
/* mq_packing_finish without a message, for searches: true when exact. */
bool mq_packing_try(mq_packing *packing, int64_t cycles);

/* The largest number of cycles (1 .. 2^40; 0 = not even one) whose worst case stays in the windows. */
int64_t mq_packing_cycles(const mq_packing *packing);

/* luts.c: LUT6 counts of the repair logic. */
int mq_luts_repair(int overlap, int products, int width); /* of the boundary below a field */
int mq_luts_port(const mq_packing *packing);              /* of an extra port bit */
int mq_luts_canary(const mq_packing *packing,
                   int64_t cycles);            /* instead of the repair, extra port bit included */
double mq_luts_multiplier(int wbit, int abit); /* what one multiplication costs in LUTs instead */

/* codes.c: w int32[weights], a int32[activations], within their ranges. The words: weights at their
 * positions; codes side by side, zero points not yet subtracted. */
int64_t mq_pack_weights_word(const mq_packing *packing, const int32_t *w);
int64_t mq_pack_raw_word(const mq_packing *packing, const int32_t *a);
/* From the words to the ports, the constant of one cycle in W. */
void mq_pack_ports(const mq_packing *packing, int64_t weights_word, int64_t raw_word, mq_dsp_inputs *out);
void mq_pack_encode(const mq_packing *packing, const int32_t *w, const int32_t *a, mq_dsp_inputs *out);
/* The constant that `cycles` accumulations need once (RND, C or a preset). */
int64_t mq_pack_bias(const mq_packing *packing, int64_t cycles);
/* Adds what the operands' low bits say about every field modulo 4: known uint8[fields], zeroed before the
 * first cycle. Uses only bits 0 and 1 of w and a. */
void mq_pack_know(const mq_packing *packing, const int32_t *w, const int32_t *a, uint8_t *known);
/* word: P after `cycles` cycles (bias included) -> sums int64[fields] of w*(a - zero). */
void mq_pack_decode(const mq_packing *packing, int64_t word, const uint8_t *known, int64_t cycles,
                    int64_t *sums);
/* sum over the field's products of w*zero: what turns a sum of w*(a - zero) into one of w*a. A constant per
 * output channel and pixel phase. */
int64_t mq_pack_correction(const mq_packing *packing, const int32_t *w, int field);

/* Accumulation past the windows: counts the carries over every boundary as they happen. */
typedef struct mq_canary {
    int64_t p;
    int64_t cycles;
    int64_t carry[MQ_PACK_FIELDS]; /* total carry into each field */
} mq_canary;
/* One cycle more: p_new is P after it (bias per cycle included). */
void mq_canary_step(const mq_packing *packing, mq_canary *state, int64_t p_new, const int32_t *w,
                    const int32_t *a);
void mq_canary_sums(const mq_packing *packing, const mq_canary *state, int64_t *sums);

#endif
