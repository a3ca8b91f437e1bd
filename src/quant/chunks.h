/* chunks.h - weights cut into at most MQ_CHUNKS chunks that depend on their number alone: sums of chunks
 * added in order do not depend on the thread count. Private to this folder. */
#ifndef MIXQ_QUANT_CHUNKS_H
#define MIXQ_QUANT_CHUNKS_H

#include <stddef.h>

enum {
    MQ_LANES = 16, /* elements side by side, whatever the CPU's vectors are */
    MQ_CHUNKS = 64,
    MQ_CHUNK_GRAIN = 16384 /* smallest chunk */
};

static inline size_t mq_chunk_grain(size_t n) {
    size_t grain = (n + MQ_CHUNKS - 1) / MQ_CHUNKS;
    grain = (grain + MQ_LANES - 1) / MQ_LANES * MQ_LANES;
    return grain > MQ_CHUNK_GRAIN ? grain : MQ_CHUNK_GRAIN;
}

/* Elements of one chunk. */
static inline size_t mq_chunk_size(size_t n, size_t grain, size_t chunk) {
    size_t left = n - chunk * grain;
    return left < grain ? left : grain;
}

#endif
