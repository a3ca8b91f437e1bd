/* helper_hls.h - networks through the HLS accelerator: a folding for plans without a device, golden codes of
 * the reference simulator, and the comparison of every stage. */
#ifndef MIXQ_TESTS_HLS_HELPER_HLS_H
#define MIXQ_TESTS_HLS_HELPER_HLS_H

#include "gen/hls_build.h"
#include "gen/hls_run.h"
#include "sim/sim.h"

typedef struct hls_golden {
    size_t images;
    int nodes;
    uint8_t *image;
    int64_t **codes;  /* [images * nodes] */
    int64_t **output; /* [images] of the head */
} hls_golden;

/* Codes of every node of these images (NHWC; taken over), by the reference simulator. */
mq_status hls_golden_make(const mq_inet *net, uint8_t *image, size_t images, hls_golden *out,
                          mq_error *error);
void hls_golden_free(hls_golden *g);

/* Packings by class, and folding so that every stream fits: about `pe` output and `simd` input channels at
 * once, `pixels` of a beat where that divides the blocks, two packings side by side and all kernel rows by
 * turns. */
mq_status hls_plan(const mq_inet *net, mq_pack_class class, int simd, int pe, int pixels, uint64_t seed,
                   mq_inet_plan **out, mq_error *error);
/* Folding only, for a plan of any packings. */
mq_status hls_fold(const mq_inet *net, mq_inet_plan *plan, int simd, int pe, int pixels, uint64_t seed,
                   mq_error *error);

/* Builds into dir, compiles, runs, compares. */
mq_status hls_check(const mq_inet *net, const mq_inet_plan *plan, const hls_golden *golden, const char *dir,
                    int jobs, mq_hls_difference *difference, mq_hls_times *times, mq_error *error);

#endif
