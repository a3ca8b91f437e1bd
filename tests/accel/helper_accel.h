/* helper_accel.h - integer networks for the tests of accel: shapes and bits, weights of the lowest code. */
#ifndef MIXQ_TESTS_HELPER_ACCEL_H
#define MIXQ_TESTS_HELPER_ACCEL_H

#include "accel/allocate.h"
#include "accel/estimate.h"

typedef struct accel_net {
    mq_inet *net;
    int last;
} accel_net;

accel_net accel_begin(int h, int w, int c, int bits);
/* Convolution of a square kernel with "same" padding; out_bits 0: the head, which ends the network. */
int accel_conv(accel_net *a, int from, int out, int kernel, int weight_bits, int out_bits);
int accel_depthwise(accel_net *a, int from, int kernel, int weight_bits, int out_bits);
int accel_pool(accel_net *a, int from);
int accel_reorg(accel_net *a, int from);
int accel_concat(accel_net *a, int first, int second);
void accel_end(accel_net *a);

/* UltraNet, a digit of bits per layer. */
mq_inet *accel_ultranet(const char *weights, const char *activations);
/* A device of so much; everything may be used. */
mq_device accel_device(int64_t dsp, int64_t lut, int64_t ram36);

#endif
