/* plain_c_bench.h - a small program that runs a plain C network on stored images and compares its outputs. */
#ifndef MIXQ_GEN_PLAIN_C_BENCH_H
#define MIXQ_GEN_PLAIN_C_BENCH_H

#include "inet/inet.h"

#define MQ_PLAIN_C_IMAGES  "images.bin"
#define MQ_PLAIN_C_OUTPUTS "outputs.bin"

/* images: uint8 [count][c][h][w] of the input; outputs: [count][c][h][w] of the head, within 32 bits. Writes
 * dir/<model>_bench.c, dir/images.bin (those bytes) and dir/outputs.bin (int32, little-endian). */
mq_status mq_plain_c_write_bench(const mq_inet *net, const uint8_t *images, const int64_t *outputs,
                                 size_t count, const char *dir, mq_error *error) MQ_MUST_CHECK;

#endif
