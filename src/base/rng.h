/* rng.h - counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC'11). A stream is named; its n-th number is a pure function of (seed, name, n), so results do
 * not depend on threads, order or what other streams have drawn, and resuming needs no saved state. */
#ifndef MIXQ_BASE_RNG_H
#define MIXQ_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct mq_rng {
    uint32_t key[2];
    uint64_t stream;
} mq_rng;

/* The stream `name` number `index` (an epoch, an image ...) under the run's seed. */
mq_rng mq_rng_stream(uint64_t seed, const char *name, uint64_t index);
/* Four 32-bit words of block n. */
void mq_rng_block(const mq_rng *rng, uint64_t n, uint32_t out[4]);
uint32_t mq_rng_u32(const mq_rng *rng, uint64_t n);
/* Uniform in [0, 1) with 24 bits. */
float mq_rng_uniform(const mq_rng *rng, uint64_t n);
/* Uniform in 0..bound-1 (bound >= 1). */
uint32_t mq_rng_below(const mq_rng *rng, uint64_t n, uint32_t bound);
/* Standard normal (Box-Muller). */
float mq_rng_normal(const mq_rng *rng, uint64_t n);
/* A random permutation of 0..count-1 (Fisher-Yates). */
void mq_rng_permutation(const mq_rng *rng, uint32_t *out, size_t count);

#endif
