/* rtl_shape.h - what a layer's stage looks like in hardware, worked out once: words of the ring, cascades,
 * widths, constants. For this folder only. */
#ifndef MIXQ_GEN_RTL_SHAPE_H
#define MIXQ_GEN_RTL_SHAPE_H

#include "accel/stage.h"
#include "gen/rtl_build.h"
#include "gen/rtl_text.h"

/* One packing of the layer's kernel row. */
typedef struct rtl_kind {
    const mq_packing *p;
    int taps;
    int per_group;     /* activations of one activation group */
    bool pre_add;      /* (d - a) * b */
    bool raw;          /* weights' codes in memory, put into their places by the pre-adder */
    bool low_bits;     /* packed words whose weights' lowest bits stand beside them */
    bool weights_c;    /* the other word of the offset: the activations' codes go to C; else the weights' */
    bool offset;       /* C is used */
    int weight_bits;   /* of a memory word */
    int64_t constant;  /* of the wide port's pre-adder (a), or taken from the codes in the fabric */
    int64_t per_slice; /* what every slice adds to its cascade's constant beside the fields' biases */
    int64_t place;     /* raw: constant ones in d (> 0) or a (< 0) that move the word */
    bool parity;       /* some field is repaired */
} rtl_kind;

typedef struct rtl_piece {
    int kind, first_tap;
} rtl_piece;

enum { RTL_MODULE = 128, RTL_SLICES = 1 << 14 };

typedef struct rtl_shape {
    const mq_rtl_build *build;
    const mq_plan_layer *layer;
    const mq_inet_node *node, *requant; /* requant: NULL for none */
    char module[RTL_MODULE];
    mq_stage s;
    mq_stream in, out;
    bool lut;         /* multipliers of LUTs: kinds and pieces are 0 */
    int weight_bits;  /* of one weight */
    int bits;         /* of an incoming code */
    int zero;         /* point of all activations */
    int word;         /* channels of a word of the ring */
    int coefficients; /* npx + kernel_w - 1 */
    /* the ring */
    int ring_in_channels, ring_in_pixels; /* of a beat; linear: all values, 1 */
    int ring_pixels, ring_beats, ring_groups, banks, parts, words, ring_rows, bank_channels;
    int address, select, weight_address; /* bits */
    /* slices of one piece: slice q = channel * rows + row stands at position q_position of cascade q_chain */
    int kinds, pieces;
    rtl_kind kind[MQ_BUILT_PIECES];
    rtl_piece *piece; /* [pieces]; owned */
    int slices, chains, longest;
    int *q_chain, *q_skew; /* [slices]; owned. skew: cycles its operands come later */
    /* accumulators, borders, beats */
    int acc;                        /* bits */
    int64_t *offset;                /* [groups*pe]: true accumulator = hardware's + offset; owned */
    bool offsets;                   /* some are not 0 */
    int slots, spacing, pre, beats; /* of a block; cycles apart; of the row before; of a row */
    int tree_levels;
    int array;   /* cycles from the multipliers' ports to the accumulators' inputs */
    int latency; /* from walk's addresses to complete accumulators */
    int room;    /* of the queue */
} rtl_shape;

mq_status rtl_shape_make(const mq_rtl_build *build, const mq_plan_layer *layer, const mq_stream *in,
                         const char *module, rtl_shape *out, mq_error *error) MQ_MUST_CHECK;
void rtl_shape_free(rtl_shape *x);

/* Weight of output channel o for channel c in the order of the ring's words; 0 where there is none. */
int rtl_weight(const rtl_shape *x, int o, int c, int ky, int kx);
/* Pixel of a block that operand j of block `block` of a packing is. */
int rtl_pixel(const rtl_kind *k, int block, int j);
/* Coefficient of a field, or -1: only taps beyond the kernel. */
int rtl_coefficient(const rtl_shape *x, const rtl_piece *piece, int block, int field);
/* Bits that count to values - 1 (at least 1). */
int rtl_bits(int64_t values);
uint64_t rtl_low(int64_t value, int bits);

/* rtl_array.c: module <module>_pe, the multipliers, trees and accumulators of weight_groups output channels.
 * Called with text NULL it only sets x->tree_levels and x->array. rtl_lut_layer.c has the same of LUT
 * multipliers for one output channel. */
mq_status rtl_array(rtl_shape *x, mq_rtl_text *text, mq_error *error) MQ_MUST_CHECK;
mq_status rtl_lut_array(rtl_shape *x, mq_rtl_text *text, mq_error *error) MQ_MUST_CHECK;
/* Bits of one activation unit at its ports: port word, lowest bits, C. */
int rtl_unit_bits(const rtl_shape *x, int kind);

/* rtl_memories.c: the weights' and borders' files. Bits of the words that come `skew` cycles late. */
int64_t rtl_weight_word_bits(const rtl_shape *x, int skew);
mq_status rtl_memories(const rtl_shape *x, mq_error *error) MQ_MUST_CHECK;

#endif
