/* hls_build.h - the accelerator as HLS C++ for Vitis: one page per layer over the templates of hls/, a top
 * with AXI4-Streams, a test bench with golden vectors, a Makefile for simulation without Vitis and a script
 * for it.
 *
 * FOLDER/ top.cpp, layers.h, ID.cpp, ID_data.h, mixq_*.h, standin/, bench.cpp, vectors/{input,output}.beats,
 * Makefile, build.tcl, host/, plan.json */
#ifndef MIXQ_GEN_HLS_BUILD_H
#define MIXQ_GEN_HLS_BUILD_H

#include "gen/hls_net.h"

typedef struct mq_hls_options {
    const char *part;   /* of the device; NULL: build.tcl takes it from the environment, MIXQ_PART */
    double clock_mhz;   /* 0: the plan's, else 200 */
    bool part_of_build; /* whose folder has the plan and host/ already */
    /* Golden vectors: [images] frames; codes of every stage's result node, as mq_sim's visitor gives them. */
    size_t images;
    const uint8_t *image;         /* [images][h][w][c] */
    const int64_t *const *output; /* [images] accumulators of the head, [h][w][c]; both NULL: no vectors */
} mq_hls_options;

/* MQ_BAD_INPUT names the layer that no stage is built for, or whose arrays exceed the tool's limits; then
 * nothing is written. The plan is one that was allocated for a device, or any whose streams fit. */
mq_status mq_hls_build(const mq_inet *net, const mq_inet_plan *plan, const char *dir,
                       const mq_hls_options *options, mq_error *error) MQ_MUST_CHECK;
/* FOLDER/input.beats and output.beats: image [images][h][w][c], output [images] of [h][w][c]. */
mq_status mq_hls_vectors_write(const mq_hls_net *h, const char *folder, size_t images, const uint8_t *image,
                               const int64_t *const *output, mq_error *error) MQ_MUST_CHECK;
/* Streams of the two ends: 8-bit pixels in, 32-bit accumulators out; every beat in whole bytes. */
mq_stream mq_hls_input(const mq_hls_net *h);
mq_stream mq_hls_output(const mq_hls_net *h);

#endif
