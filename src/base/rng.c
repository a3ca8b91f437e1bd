/* rng.c - Philox4x32-10 and what is drawn from it. */
#include "base/rng.h"

#include <math.h>

static uint64_t fnv1a(const char *text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

mq_rng mq_rng_stream(uint64_t seed, const char *name, uint64_t index) {
    mq_rng rng = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                  .stream = fnv1a(name) ^ (index * 0x9e3779b97f4a7c15u)};
    return rng;
}

void mq_rng_block(const mq_rng *rng, uint64_t n, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)n, c1 = (uint32_t)(n >> 32);
    uint32_t c2 = (uint32_t)rng->stream, c3 = (uint32_t)(rng->stream >> 32);
    uint32_t k0 = rng->key[0], k1 = rng->key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t mq_rng_u32(const mq_rng *rng, uint64_t n) {
    uint32_t block[4];
    mq_rng_block(rng, n >> 2, block);
    return block[n & 3];
}

float mq_rng_uniform(const mq_rng *rng, uint64_t n) {
    return (float)(mq_rng_u32(rng, n) >> 8) * 0x1p-24f;
}

uint32_t mq_rng_below(const mq_rng *rng, uint64_t n, uint32_t bound) {
    return (uint32_t)(((uint64_t)mq_rng_u32(rng, n) * bound) >> 32);
}

float mq_rng_normal(const mq_rng *rng, uint64_t n) {
    uint32_t block[4];
    mq_rng_block(rng, n >> 1, block);
    const uint32_t *pair = block + 2 * (n & 1);
    double radius = sqrt(-2.0 * log(((double)pair[0] + 1.0) * 0x1p-32));
    return (float)(radius * cos(6.283185307179586 * (double)pair[1] * 0x1p-32));
}

void mq_rng_permutation(const mq_rng *rng, uint32_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        uint32_t j = mq_rng_below(rng, i, (uint32_t)i);
        uint32_t swap = out[i - 1];
        out[i - 1] = out[j];
        out[j] = swap;
    }
}
