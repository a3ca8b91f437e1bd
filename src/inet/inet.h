/* inet.h - the integer network: what is deployed, simulated and turned into hardware. Nothing in it is
 * trained and nothing in it is rounded later: every number is an integer code, except the real scales, which
 * only give meaning.
 *
 * A graph of nodes in execution order; each node has one output edge. A network is built by mq_inet_create,
 * one mq_inet_add per node and mq_inet_finish. mq_inet_add copies the node and its arrays, infers the edge
 * (shape, bits, reachable range of every channel) from the nodes before it and refuses what does not fit, so
 * a network in memory is always valid; the loader builds through the same door and compares what the file
 * declares with what was inferred. Files: docs/formats.md.
 *
 *   IMAGE     uint8 input k; code = k >> (8 - bits). With `real` the input is real numbers that were made
 * codes by tensor/real_input.h; a byte is the code, plus 128 where codes are signed CONV      acc = sum
 * weight*code (+ bias); zero padding LINEAR    the same over the whole input flattened in channel, row,
 * column order; output is 1 x 1 x out REQUANT   per channel: code = clip((acc*inc + bias) >> shift, low,
 * high) in int64, arithmetic shift, the rounding half 2^(shift-1) already folded into bias; or stored
 * thresholds (mq_inet_rule) MAX_POOL  on codes or accumulators, no padding REORG     space to depth by 2:
 * output channel (2*dy + dx)*C + c at (y, x) is channel c at (2y + dy, 2x + dx) CONCAT    channels of the
 * inputs, in input order; all of one scale RESCALE code = rint(((float)code*multiply)/divide) in float32, not
 * clipped: the bypass of AnyPackingNet's ultranet_bypass; only in a network with `compat` set OUTPUT    real
 * value = (float)code/(float)divisor + (float)offset; always the last node
 *
 * Usual chain: IMAGE "image" -> CONV "conv0" -> REQUANT "conv0.requant" -> MAX_POOL "pool0" -> ... -> LINEAR
 * "linear6" -> OUTPUT "output". Dump names: REQUANT of layer L dumps as L, the last layer's accumulators as
 * its own name, so that DIR/<layer name>.npy means the same at every level. */
#ifndef MIXQ_INET_INET_H
#define MIXQ_INET_INET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/memory.h"
#include "base/status.h"
#include "tensor/real_input.h"

/* The one table of node kinds: X(id, name in files, least inputs, most inputs). */
#define MQ_INET_KINDS(X)                                                                                     \
    X(IMAGE, "image", 0, 0)                                                                                  \
    X(CONV, "conv", 1, 1)                                                                                    \
    X(LINEAR, "linear", 1, 1)                                                                                \
    X(REQUANT, "requant", 1, 1)                                                                              \
    X(MAX_POOL, "max_pool", 1, 1)                                                                            \
    X(REORG, "reorg", 1, 1)                                                                                  \
    X(CONCAT, "concat", 2, 8)                                                                                \
    X(RESCALE, "rescale", 1, 1)                                                                              \
    X(OUTPUT, "output", 1, 1)

typedef enum mq_inet_kind {
#define MQ_INET_ENUM(id, name, least, most) MQ_INET_##id,
    MQ_INET_KINDS(MQ_INET_ENUM)
#undef MQ_INET_ENUM
        MQ_INET_KIND_COUNT
} mq_inet_kind;

const char *mq_inet_kind_name(mq_inet_kind kind);

enum {
    MQ_INET_VERSION = 1,
    MQ_INET_MAX_INPUTS = 8,
    MQ_INET_MAX_NODES = 512,
    MQ_INET_MAX_NAME = 64, /* with the final 0; letters, digits, '_', '-', '.', not first '.' */
    MQ_INET_MAX_ANCHORS = 16,
    MQ_INET_MAX_SIDE = 1 << 14, /* rows, columns */
    MQ_INET_MAX_CHANNELS = 1 << 17,
    MQ_INET_MAX_KERNEL = 64,
    MQ_INET_MAX_RANGES = 1 << 23, /* channels of all edges together: each has a range */
    MQ_INET_MAX_EDGE = 1 << 27,   /* elements of one edge, and weights of one layer */
    MQ_INET_MAX_SHIFT = 62,
    MQ_INET_BITS_TEXT = 512
};

/* The type of an edge. Inferred; never set by the caller. */
typedef struct mq_inet_edge {
    int h, w, c;       /* rows, columns, channels of one image */
    int bits;          /* of a code; of an accumulator: the two's complement width that low..high needs */
    bool is_signed;    /* false: 0..2^bits-1 */
    bool narrow;       /* signed without -2^(bits-1) */
    double scale;      /* real value of code 1; 0 where not known */
    int64_t low, high; /* reachable, over all channels. Within the range of `bits`, but after RESCALE
                        * (compat), which does not clip */
    const int64_t *channel_low, *channel_high; /* [c] reachable per channel; borrowed from the network */
} mq_inet_edge;

typedef struct mq_inet_image {
    int h, w, c;
    int bits; /* 1..8 */
    const mq_real_input
        *real; /* NULL: pixels, unsigned codes of scale 2^-bits; the next are then not looked at */
    bool is_signed, narrow;
    double scale; /* of the codes; evaluated in float32 */
} mq_inet_image;

/* A byte of an image to its code: (byte >> shift) - zero. */
static inline int mq_inet_image_shift(const mq_inet_image *image) {
    return image->real ? 0 : 8 - image->bits;
}
static inline int mq_inet_image_zero(const mq_inet_image *image) {
    return image->real && image->is_signed ? 128 : 0;
}

typedef struct mq_inet_conv {
    int out_channels; /* ic is the input edge's */
    int kernel_h, kernel_w, stride_h, stride_w;
    int pad_top, pad_left, pad_bottom, pad_right;
    int groups;
    int weight_bits;      /* 1..8; codes -2^(b-1)..2^(b-1)-1 */
    bool weight_narrow;   /* symmetric: without -2^(b-1) */
    double weight_scale;  /* real value of weight code 1; 0 where not known */
    const int8_t *weight; /* [oc][ic/groups][kernel_h][kernel_w] */
    const int64_t *bias;  /* [oc] added to the accumulator, or NULL */
} mq_inet_conv;

typedef struct mq_inet_linear {
    int out_features;
    int weight_bits;
    bool weight_narrow;
    double weight_scale;
    const int8_t *weight; /* [out][c*h*w], index (channel*h + row)*w + column */
    const int64_t *bias;  /* [out] or NULL */
} mq_inet_linear;

/* How one channel is requantised. Thresholds are ascending (equal ones allowed); an unreachable one is
 * INT64_MAX in a rising channel and INT64_MIN first in a falling one. */
typedef enum mq_inet_rule {
    MQ_INET_AFFINE = 0,  /* clip((acc*inc + bias) >> shift, low, high) */
    MQ_INET_RISING = 1,  /* low + number of thresholds t with acc >= t */
    MQ_INET_FALLING = 2, /* low + number of thresholds t with acc < t */
    MQ_INET_RULES
} mq_inet_rule;

typedef struct mq_inet_requant {
    int bits; /* 1..8: the type of the codes */
    bool is_signed, narrow;
    double scale;             /* real value of code 1; 0 where not known */
    int shift;                /* 0..62 */
    int low, high;            /* clip; within the type's range */
    const int64_t *inc;       /* [c]; 0 in threshold channels */
    const int64_t *bias;      /* [c]; 0 in threshold channels */
    const uint8_t *rule;      /* [c] of mq_inet_rule, or NULL: all affine */
    const int64_t *threshold; /* [c][high-low], zeros in affine channels; NULL if and only if rule is */
} mq_inet_requant;

typedef struct mq_inet_pool {
    int kernel, stride;
} mq_inet_pool;

typedef struct mq_inet_rescale {
    float multiply, divide; /* finite, > 0 */
    int bits; /* of the unsigned codes it stands for (the consumer's); the values may exceed it */
    double scale;
} mq_inet_rescale;

typedef struct mq_inet_output {
    double divisor; /* > 0 */
    double offset;  /* 0 but for imported networks */
} mq_inet_output;

typedef struct mq_inet_node {
    mq_inet_kind kind;
    char name[MQ_INET_MAX_NAME];   /* unique */
    char dump[MQ_INET_MAX_NAME];   /* dump file without .npy, unique; "" = not dumped */
    int input[MQ_INET_MAX_INPUTS]; /* indices of earlier nodes */
    int input_count;
    union {
        mq_inet_image image;
        mq_inet_conv conv;
        mq_inet_linear linear;
        mq_inet_requant requant;
        mq_inet_pool pool; /* MAX_POOL */
        mq_inet_rescale rescale;
        mq_inet_output output;
    };
    /* Inferred by mq_inet_add: */
    mq_inet_edge edge;
    int consumers;
    int inc_bits, bias_bits; /* 1 + bit length of the largest magnitude; 0 where there is none */
} mq_inet_node;

typedef enum mq_inet_task { MQ_INET_CLASSIFICATION, MQ_INET_DETECTION } mq_inet_task;

typedef struct mq_inet {
    char model[MQ_INET_MAX_NAME]; /* "vgg_tiny", ... */
    mq_inet_task task;
    int classes;      /* classification: outputs; detection: object classes */
    int anchor_count; /* detection; the grid is the output's h x w, 5 + classes channels per anchor */
    double anchor_w[MQ_INET_MAX_ANCHORS], anchor_h[MQ_INET_MAX_ANCHORS]; /* pixels */
    char bitw[MQ_INET_BITS_TEXT], bita[MQ_INET_BITS_TEXT];               /* as in bits.json; informative */
    bool compat; /* made by the published rules (AnyPackingNet), not guaranteed to be the trained network */
    bool packed_weights; /* in the file at their own width, not a byte each */
    int node_count;
    int64_t ranges;              /* channels so far, of MQ_INET_MAX_RANGES */
    mq_inet_node *nodes;         /* execution order; the first is IMAGE, the last OUTPUT */
    char sha256[MQ_DIGEST_TEXT]; /* of net.json once saved or loaded, else "" : the network's identity */
    char weights_sha256[MQ_DIGEST_TEXT]; /* of weights.safetensors, likewise */
    mq_arena *arena;
} mq_inet;

/* Empty; fill model, task, classes, anchors, bitw, bita, compat directly (compat before adding a RESCALE). */
mq_status mq_inet_create(mq_inet **out, mq_error *error) MQ_MUST_CHECK;
void mq_inet_free(mq_inet *net); /* NULL is fine */

/* Appends a copy of *node (kind, name, dump, inputs and the kind's attributes; the arrays are copied too, the
 * inferred fields ignored). On success *index (may be NULL) is its number and net->nodes[*index].edge is
 * known: lowering reads a CONV's edge.channel_low/high before it makes the REQUANT. Every failure is
 * MQ_BAD_INPUT and names the node: shapes, weights outside their bits, widths, a requantisation that could
 * leave int64. */
mq_status mq_inet_add(mq_inet *net, const mq_inet_node *node, int *index, mq_error *error) MQ_MUST_CHECK;
/* After the last node: one IMAGE first, one OUTPUT last, every other node read by someone, the head matches
 * the task. */
mq_status mq_inet_finish(mq_inet *net, mq_error *error) MQ_MUST_CHECK;

static inline const mq_inet_node *mq_inet_last(const mq_inet *net) {
    return &net->nodes[net->node_count - 1];
}
/* Index or -1. */
int mq_inet_find(const mq_inet *net, const char *name);
/* Weights of a CONV or LINEAR in `count`; 0 for other kinds. */
size_t mq_inet_weight_count(const mq_inet *net, const mq_inet_node *node);

/* DIR/weights.safetensors, then DIR/net.json, which holds its sha256; both atomic. The folder is made. Sets
 * the hashes. */
mq_status mq_inet_save(mq_inet *net, const char *dir, mq_error *error) MQ_MUST_CHECK;
/* path: an export folder or its net.json. Everything is checked: see docs/formats.md. */
mq_status mq_inet_load(const char *path, mq_inet **out, mq_error *error) MQ_MUST_CHECK;

#endif
