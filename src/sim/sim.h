/* sim.h - simulators of an integer network, bit for bit by its definition (inet.h). They know nothing of
 * training or lowering; they read the integer network and only that.
 *
 * One interface, several engines: the reference is plain loops over the definition, exact by construction;
 * the fast one computes the same with 8-bit codes and vector kernels; the packed one sends every
 * multiplication through the model of the DSP slice, word by word as the plan packs them, and fails with
 * MQ_CHECK_FAILED at the first split whose sums are not those of plain multiplication. Accumulators are
 * int64; inside a layer int32 is used where the sum of |weight|*|code| over its inputs proves that nothing
 * leaves it. Images are independent and every engine gives the same numbers on every CPU, so results depend
 * on neither threads nor kernels. */
#ifndef MIXQ_SIM_SIM_H
#define MIXQ_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "inet/inet.h"
#include "inet/inet_plan.h"

/* The one table of engines: X(id, name). */
#define MQ_SIM_ENGINES(X)                                                                                    \
    X(FAST, "fast")                                                                                          \
    X(REFERENCE, "reference")                                                                                \
    X(PACKED, "packed")

typedef enum mq_sim_engine {
#define MQ_SIM_ENUM(id, name) MQ_SIM_##id,
    MQ_SIM_ENGINES(MQ_SIM_ENUM)
#undef MQ_SIM_ENUM
        MQ_SIM_ENGINE_COUNT
} mq_sim_engine;

extern const char *const mq_sim_engine_names[]; /* by number; ends with NULL */

/* Kernels of the fast engine, best first: X(id, name). */
#define MQ_SIM_CPUS(X)                                                                                       \
    X(VNNI, "avx512_vnni")                                                                                   \
    X(AVX2, "avx2")                                                                                          \
    X(C, "c")

typedef enum mq_sim_cpu {
    MQ_SIM_CPU_BEST, /* the first of the table that this machine has */
#define MQ_SIM_ENUM(id, name) MQ_SIM_CPU_##id,
    MQ_SIM_CPUS(MQ_SIM_ENUM)
#undef MQ_SIM_ENUM
        MQ_SIM_CPU_COUNT
} mq_sim_cpu;

bool mq_sim_cpu_available(mq_sim_cpu cpu);
const char *mq_sim_cpu_name(mq_sim_cpu cpu);

typedef struct mq_sim_options {
    mq_sim_engine engine;
    mq_sim_cpu cpu;           /* fast: kernels to use; those that the machine lacks are MQ_USAGE */
    const mq_inet_plan *plan; /* packed: how every layer is multiplied; borrowed until mq_sim_free */
} mq_sim_options;

typedef struct mq_sim mq_sim;

/* The network is borrowed until mq_sim_free. mq_sim_create makes the reference. */
mq_status mq_sim_create(const mq_inet *net, mq_sim **out, mq_error *error) MQ_MUST_CHECK;
mq_status mq_sim_create_with(const mq_inet *net, const mq_sim_options *options, mq_sim **out,
                             mq_error *error) MQ_MUST_CHECK;
void mq_sim_free(mq_sim *sim); /* NULL is fine */
/* What computes: a name of MQ_SIM_CPUS, or "plain C". */
const char *mq_sim_kernels(const mq_sim *sim);

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
 * values (may be NULL): the same shape, (float)acc / (float)divisor, plus the offset. */
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
/* DIR/<dump name>.npy, [N, C, H, W], then DIR/dump.json with their names in order. The folder is made. */
mq_status mq_sim_dump_save(const mq_sim_dump *dump, const char *dir, mq_error *error) MQ_MUST_CHECK;
void mq_sim_dump_free(mq_sim_dump *dump); /* NULL is fine */

#endif
