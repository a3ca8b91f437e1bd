/* sim.h - the reference simulator of an integer network: plain loops over its definition (inet.h), exact by
 * construction. It knows nothing of training or lowering; it reads the integer network and only that.
 *
 * Accumulators are int64; inside a layer's dot product int32 is used where the sum of |weight|*|code| over
 * its inputs proves that no partial sum can leave it. Images are independent, so results do not depend on
 * threads. */
#ifndef MIXQ_SIM_SIM_H
#define MIXQ_SIM_SIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "inet/inet.h"

typedef struct mq_sim mq_sim;

/* The network is borrowed until mq_sim_free. */
mq_status mq_sim_create(const mq_inet *net, mq_sim **out, mq_error *error) MQ_MUST_CHECK;
void mq_sim_free(mq_sim *sim); /* NULL is fine */

typedef enum mq_sim_layout { MQ_SIM_NHWC, MQ_SIM_NCHW } mq_sim_layout;

/* Sees every node's codes (accumulators of a CONV or LINEAR) of every image; called from the worker threads,
 * one call at a time per image, nodes in order. codes [h][w][c] of net->nodes[node].edge, valid during the
 * call. */
typedef struct mq_sim_visitor {
    void (*see)(void *context, size_t image, int node, const int64_t *codes);
    void *context;
} mq_sim_visitor;

/* images: uint8 [count][h][w][c] or [count][c][h][w]. visitor may be NULL.
 * out (may be NULL): int64 [count][c][h][w] of the output node, the head's accumulators;
 * values (may be NULL): the same shape, (float)acc / (float)divisor. */
mq_status mq_sim_run(const mq_sim *sim, const uint8_t *images, size_t count, mq_sim_layout layout,
                     const mq_sim_visitor *visitor, int64_t *out, float *values,
                     mq_error *error) MQ_MUST_CHECK;

/* ---- dumps: the codes of every node that has a dump name, as .npy files ---- */

typedef struct mq_sim_dump mq_sim_dump;

/* Room for `images` images of every dumped node, in the smallest of uint8, int8, int16, int32, int64 that
 * holds the node's reachable codes. The network is borrowed. */
mq_status mq_sim_dump_create(const mq_inet *net, size_t images, mq_sim_dump **out,
                             mq_error *error) MQ_MUST_CHECK;
size_t mq_sim_dump_bytes(const mq_inet *net); /* memory that a dump takes for each image */
/* For mq_sim_run; its image 0 is image `first` of the dump. */
mq_sim_visitor mq_sim_dump_visitor(mq_sim_dump *dump, size_t first);
/* DIR/<dump name>.npy, [N, C, H, W]. The folder is made. */
mq_status mq_sim_dump_save(const mq_sim_dump *dump, const char *dir, mq_error *error) MQ_MUST_CHECK;
void mq_sim_dump_free(mq_sim_dump *dump); /* NULL is fine */

#endif
