/* fast_kernels.h - the inner loops of the fast engine, one table of functions per instruction set.
 *
 * A tile is up to 6 output pixels by up to 4 blocks of 16 output channels. Codes are uint8; signed ones are
 * stored as code + 128 and the layer's bias takes the difference back, so a product is always uint8*int8. All
 * sums are int32 that provably cannot overflow (fast_plan.c), all requantisations are proven equal to the
 * network's rule for every reachable accumulator (fast_rule.c); so every table gives the same numbers. */
#ifndef MIXQ_SIM_FAST_KERNELS_H
#define MIXQ_SIM_FAST_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inet/inet.h"
#include "sim/sim.h"

enum {
    MQ_FAST_LANES = 16,
    MQ_FAST_BLOCKS = 4,
    MQ_FAST_TILE = MQ_FAST_LANES * MQ_FAST_BLOCKS, /* accumulators of one pixel */
    MQ_FAST_PIXELS = 6,
    MQ_FAST_SLACK = 64, /* bytes that may be read after the last code of an edge */
    MQ_FAST_LEVELS = 15 /* thresholds that are counted one by one */
};

/* Weights of one tile's channels. A pixel's codes lie in `runs` runs, run r at `offset[r]` bytes from the
 * pixel's pointer. */
typedef struct mq_fast_dot {
    int blocks;
    int runs, steps;         /* CONV: a run is 4*steps bytes; depthwise: a run is one tap of every channel */
    const ptrdiff_t *offset; /* [runs] */
    const int8_t *weight;    /* CONV [runs][steps][blocks][16][4]: 4 successive bytes of a run */
    const int32_t *taps;     /* depthwise [runs][blocks][16] */
    const int32_t *bias;     /* [blocks][16] */
    bool pairs_fit;          /* the sum of two products fits int16 */
} mq_fast_dot;

/* How a block's accumulators become stored codes (code + offset of its edge). */
typedef enum mq_fast_way {
    MQ_FAST_FLOAT,  /* truncate(clip((float)acc*scale + shift, low, high)): multiply and add rounded each */
    MQ_FAST_DOUBLE, /* the same in float64 */
    MQ_FAST_COUNT,  /* start + sign*(number of thresholds <= acc) */
    MQ_FAST_EXACT,  /* the network's rule itself, number by number */
    MQ_FAST_WAYS
} mq_fast_way;

typedef struct mq_fast_rule {
    mq_fast_way way;
    int lanes;       /* 1..16; codes of the others are not stored */
    float low, high; /* stored codes; low >= 0, so truncation is floor */
    float scale[MQ_FAST_LANES], shift[MQ_FAST_LANES];
    double scale64[MQ_FAST_LANES], shift64[MQ_FAST_LANES];
    int levels;
    int32_t start[MQ_FAST_LANES], sign[MQ_FAST_LANES];
    const int32_t *threshold; /* [levels][16] */
    const mq_inet_requant *requant;
    int channel, offset; /* of lane 0; of the stored codes */
} mq_fast_rule;

/* code of one accumulator by the network's rule */
int64_t mq_fast_exact(const mq_inet_requant *r, int channel, int64_t acc);
/* The definitions of the two floating-point ways: what the proof evaluates and every kernel must give. */
uint8_t mq_fast_float(int32_t acc, float scale, float shift, float low, float high);
uint8_t mq_fast_double(int32_t acc, double scale, double shift, double low, double high);

typedef struct mq_fast_kernels {
    const char *name;
    bool (*available)(void);
    /* acc[p][z*16 + lane] = bias + sum of weight*code; acc int32 [pixels][64]. depthwise reads 16 codes per
     * block and tap. */
    void (*conv)(const mq_fast_dot *dot, const uint8_t *const *pixel, int pixels, int32_t *acc);
    void (*depthwise)(const mq_fast_dot *dot, const uint8_t *const *pixel, int pixels, int32_t *acc);
    /* rule [blocks]; to[p][z*16 + lane] */
    void (*requant)(const mq_fast_rule *rule, int blocks, const int32_t *acc, int pixels, uint8_t *const *to);
} mq_fast_kernels;

#define MQ_FAST_DECLARE(id, name) extern const mq_fast_kernels mq_fast_kernels_##id;
MQ_SIM_CPUS(MQ_FAST_DECLARE)
#undef MQ_FAST_DECLARE

/* The table for a cpu, BEST resolved; NULL where the machine lacks it. */
const mq_fast_kernels *mq_fast_kernels_for(mq_sim_cpu cpu);

/* Requantises one block by the two ways that need no vectors; shared by the tables. */
void mq_fast_requant_count(const mq_fast_rule *rule, const int32_t *acc, uint8_t *to);
void mq_fast_requant_exact(const mq_fast_rule *rule, const int32_t *acc, uint8_t *to);

#endif
