/* helper_layer.h - one layer of a random network as Verilog, simulated beside the reference simulator. */
#ifndef MIXQ_TESTS_GEN_HELPER_LAYER_H
#define MIXQ_TESTS_GEN_HELPER_LAYER_H

#include "accel/stage.h"
#include "base/rng.h"
#include "inet/inet_plan.h"
#include "pack/built.h"

/* What a layer shall be; 0 for what is left to chance or does not matter. */
typedef struct layer_want {
    int wbit, abit;
    int kernel_h, kernel_w;
    int pad_top, pad_left, pad_bottom, pad_right;
    int h, w, c, out;
    bool depthwise, linear, symmetric, bias;
    int out_bits; /* 0: accumulators leave */
    int simd, pe, rows, blocks, out_pixels, chain;
    int lanes; /* 0: thresholds */
    int in_channels, in_pixels;
    bool logic; /* weights in LUTs */
    bool lut;   /* LUT multipliers */
    mq_pack_class class;
    const mq_packing *packing; /* instead of mq_pack_build's */
    int taps;
    const mq_packing *second; /* with packing: the other kind of piece, of second_taps taps */
    int second_taps;
} layer_want;

enum { LAYER_FRAMES = 3 };

typedef struct layer_case {
    char name[48];
    layer_want want;
    mq_inet *net;
    mq_plan_layer plan;
    mq_stream in, out;
    mq_stage stage;
    int stall_in, stall_out; /* of 256 cycles */
    int reported;            /* lines of the bench */
    int mismatches, missing;
    int64_t done[LAYER_FRAMES]; /* cycle of the last beat of each frame */
} layer_case;

/* Makes network and plan. Fails the test when the layer is refused. */
void layer_make(layer_case *l, mq_pack_explorer *explorer, uint64_t seed);
/* Writes Verilog, memories, input and expected beats to dir. */
void layer_write(layer_case *l, const char *dir, uint64_t seed);
void layer_free(layer_case *l);
/* Simulates all; every case gets its mismatches. */
void layers_verilator(layer_case *l, int count, const char *dir, const char *flags, int cycles);
/* The same program once more, with what the memory files hold now. */
void layers_again(layer_case *l, int count, const char *dir);
void layers_icarus(layer_case *l, int count, const char *dir, int cycles);
/* Skips the test where the simulator is not installed. */
void layers_need(const char *simulator);
/* Fails the test when a case has mismatches. */
void layers_check(const layer_case *l, int count);

#endif
