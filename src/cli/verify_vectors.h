/* verify_vectors.h - the vectors of an export folder: read, and compared with what a network computes. */
#ifndef MIXQ_CLI_VERIFY_VECTORS_H
#define MIXQ_CLI_VERIFY_VECTORS_H

#include "inet/inet.h"
#include "sim/sim.h"
#include "tensor/tensor.h"

/* vectors/images.npy and vectors/<dump>.npy of every dumped node. */
typedef struct verify_vectors {
    size_t count;                       /* images to look at */
    mq_tensor images;                   /* uint8 [N,C,H,W] */
    mq_tensor codes[MQ_INET_MAX_NODES]; /* integers [N,C,H,W]; data NULL: not dumped */
} verify_vectors;

/* most: at most so many images, 0: all. Shapes and types are checked: MQ_BAD_INPUT names the file. */
mq_status verify_vectors_open(const char *dir, const mq_inet *net, size_t most, verify_vectors **out,
                              mq_error *error) MQ_MUST_CHECK;
/* `count` images drawn from the seed with the codes of the reference simulator, for a network without
 * vectors. */
mq_status verify_vectors_draw(const mq_inet *net, size_t count, uint64_t seed, verify_vectors **out,
                              mq_error *error) MQ_MUST_CHECK;
void verify_vectors_close(verify_vectors *vectors); /* NULL is fine */

/* The stored code of a dumped node: image n, channel c, pixel p = row*w + column. */
int64_t verify_vectors_code(const verify_vectors *vectors, const mq_inet *net, int node, size_t n, int c,
                            int p);

/* What a comparison found. */
typedef struct verify_result {
    uint64_t mismatches;
    bool any; /* the first difference, by image, then in order of the nodes: */
    size_t image;
    int node, channel, row, column;
    int64_t got, expected;
} verify_result;

/* One code: counts it when it is not the vectors', the first with its place. */
void verify_compare(const verify_vectors *vectors, const mq_inet *net, int node, size_t image, int channel,
                    int p, int64_t got, verify_result *result);

/* "conv1: image 0, channel 3, row 2, column 5: got 4, expected 3", as MQ_CHECK_FAILED; MQ_OK when nothing
 * differs. */
mq_status verify_result_status(const verify_result *result, const mq_inet *net, const char *what,
                               mq_error *error) MQ_MUST_CHECK;

/* Every dumped node by one engine of the simulator. */
mq_status verify_simulated(const verify_vectors *vectors, const mq_inet *net, const mq_sim_options *options,
                           verify_result *out, mq_error *error) MQ_MUST_CHECK;

#endif
