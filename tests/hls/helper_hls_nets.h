/* helper_hls_nets.h - small networks for the HLS tests. */
#ifndef MIXQ_TESTS_HLS_HELPER_HLS_NETS_H
#define MIXQ_TESTS_HLS_HELPER_HLS_NETS_H

#include "hls/helper_hls.h"
#include "inet/small_net.h"

uint8_t *hls_images(const mq_inet *net, size_t images, uint64_t seed);
/* Saved, so that its hash is known; state: a temp_dir. */
void hls_save(mq_inet *net, void **state);
mq_inet *hls_begin(small_net *s, uint64_t seed, int h, int w, int c, int bits, bool compat);
void hls_convolution(small_net *s, const char *name, int out, int kernel_h, int kernel_w, bool depthwise,
                     int bits, int stride);
void hls_finish(small_net *s);
/* Convolutions, dense, depthwise or 1 x 1, then a linear layer. */
mq_inet *hls_layers(uint64_t seed);
/* Every kind of stage. */
mq_inet *hls_every_stage(void);
/* 3 images through the accelerator; every code. */
void hls_same(const mq_inet *net, const mq_inet_plan *plan, const char *dir, uint64_t seed);

#endif
