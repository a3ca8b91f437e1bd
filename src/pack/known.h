/* known.h - kernel rows whose weights are known when the hardware is made: denser packings, and taps that
 * cost nothing.
 *
 * Worst cases of the bit widths alone never occur in a trained layer: three 5-bit taps are hardly ever all
 * -16. Over the rows that a layer really has, fields and port words are narrower, so more pixels fit, or more
 * cycles accumulate. Rows of one layer only: other weights need another search (the packing says for which
 * range it holds; `mq_pack_prove_words` proves it). */
#ifndef MIXQ_PACK_KNOWN_H
#define MIXQ_PACK_KNOWN_H

#include "pack/plan.h"

typedef struct mq_pack_known {
    mq_packing packing;   /* filter piece of all taps (kernel 1: pixels that share a weight) */
    double mults;         /* taps * pixels */
    size_t zeros, powers; /* taps that are 0, and +-2^n: no multiplication in a fully unrolled layer */
    size_t weights;
} mq_pack_known;

/* The filter piece of request->kernel taps with the most multiplications less charged LUTs that is exact over
 * `words` (weight i is the tap i from the far end; NULL: over all codes of request->wbit) for request->cycles
 * accumulations. Uses dsp, wbit, abit, kernel, symmetric, class, cycles, lut_price. MQ_USAGE when nothing
 * fits. */
mq_status mq_pack_known_row(const mq_pack_request *request, const mq_pack_words *words, mq_pack_known *out,
                            mq_error *error) MQ_MUST_CHECK;

/* Sorts [count][taps] in place and drops repetitions; returns how many are left. */
size_t mq_pack_unique_words(int8_t *word, size_t count, int taps);

#endif
