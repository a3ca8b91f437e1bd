/* proof.h - whether a packing is exact, shown three ways.
 *
 *   corners   port words and fields are linear in every single operand, so they are extreme at corners of the
 * box of operand values: all corners go through the slice's model, and must give the extremes the packing
 * claims. windows   from these extremes alone: every biased field, times the accumulations, plus the carry
 * from below, stays in its window; a window reaches at most its overlap into the next field. vectors   all
 * operand values where they are few, else random ones (a quarter of the values extreme), encoded, multiplied,
 *             decoded and compared with plain sums of products: a check of the model and of decode.
 *   cycles    accumulation to the claimed count with every field at its extremes, and with random operands;
 * the same for the canary count. Together the first two prove the packing; the others would find a mistake in
 * the proof. */
#ifndef MIXQ_PACK_PROOF_H
#define MIXQ_PACK_PROOF_H

#include "pack/packing.h"

typedef struct mq_proof {
    uint64_t corners;
    uint64_t vectors;     /* single-cycle vectors */
    uint64_t accumulated; /* cycles of the accumulation runs */
    bool exhaustive;      /* the vectors are all there are */
} mq_proof;

/* MQ_CHECK_FAILED names the field and the operand values that break it. vectors: random ones per packing,
 * when not exhaustive; all of them are run when they are no more than that (or than 2^16). */
mq_status mq_pack_prove(const mq_packing *packing, uint64_t vectors, uint64_t seed, mq_proof *out,
                        mq_error *error) MQ_MUST_CHECK;

/* The same for a packing made by mq_packing_finish_words: every word at all corners of its activations,
 * `vectors` random ones, and every word at its first and last corner for the claimed accumulations. */
mq_status mq_pack_prove_words(const mq_packing *packing, const mq_pack_words *words, uint64_t vectors,
                              uint64_t seed, mq_proof *out, mq_error *error) MQ_MUST_CHECK;

/* Broken copies of the packing: each operand one bit too far, one accumulation too many, every repair left
 * out, a constant off by one. run: how many there are; caught: how many mq_pack_prove refuses. */
void mq_pack_controls(const mq_packing *packing, uint64_t seed, int *run, int *caught);

#endif
