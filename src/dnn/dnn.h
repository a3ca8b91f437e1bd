/* dnn.h - convolutions and linear layers in floating point, forward and both backward passes.
 *
 * The one door to oneDNN (2.x C API): no other module sees its types. A convolution is made once for one
 * shape and then executed every step; everything is allocated while it is made, nothing while it runs.
 *
 * Layouts: src [n][ih][iw][ic], dst [n][oh][ow][oc] and their gradients, channels contiguous (NHWC); weights
 * and their gradient [oc][ic/groups][kh][kw] (OIHW), always float32 on our side. In bfloat16 the operands are
 * rounded, products are exact and sums are float32; so with integer codes of up to 8 bits as operands
 * (spec.whole) the result is the exact integer while every partial sum stays within 2^24. A convolution of
 * codes (spec.codes) multiplies them as bytes in its forward pass: sums are int32, so the result is the exact
 * integer, rounded once to float32 above 2^24. Passes of real operands that run by our own code (dnn_own.h)
 * may take the weights unrounded and multiply in float32; those by Winograd's algorithm have the error of
 * float32 sums a few times as long. */
#ifndef MIXQ_DNN_DNN_H
#define MIXQ_DNN_DNN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "tensor/tensor.h"

/* What oneDNN may use on this CPU. */
bool mq_dnn_has_bf16(void);       /* native bfloat16 (AVX512_BF16 or AMX); without it MQ_BF16 is slow */
bool mq_dnn_has_amx(void);        /* bfloat16 tiles */
bool mq_dnn_slow_dots(void);      /* products of bfloat16 pairs are slower than float32's: see dnn.c */
bool mq_dnn_has_codes(void);      /* VNNI: whether a spec may ask for codes */
const char *mq_dnn_isa(void);     /* "avx512_core_amx", "avx2", ...; static */
const char *mq_dnn_version(void); /* "2.6.3", the one compiled against; static */

/* The context: engine, stream and the scratch memory that all its convolutions share. So the convolutions of
 * one context execute one at a time, called from one thread (each spreads over mq_threads() threads by
 * itself). */
typedef struct mq_dnn mq_dnn;
mq_status mq_dnn_create(mq_dnn **out, mq_error *error) MQ_MUST_CHECK;
void mq_dnn_destroy(mq_dnn *dnn); /* after its convolutions; NULL is fine */
size_t mq_dnn_scratch_bytes(const mq_dnn *dnn);

/* One convolution (cross-correlation, as in every framework), without bias:
 *   dst[b][y][x][o] = sum src[b][y*stride - pad_h + r][x*stride - pad_w + c][i] * w[o][i][r][c]
 * where positions outside src count as 0. A linear layer has the kernel as large as its input: kh = ih, kw =
 * iw, oh = ow = 1, no padding. */
typedef struct mq_dnn_conv_spec {
    int n;
    int ih, iw, ic;
    int oh, ow, oc;
    int kh, kw;
    int stride;
    int pad_h, pad_w; /* top and left, below kh and kw; bottom and right follow from oh and ow */
    int groups;       /* divides ic and oc; groups = ic = oc is depthwise */
    bool backward_data, backward_weights; /* the passes wanted beside forward */
    /* Forward and backward_weights read src as uint8; the weights are whole numbers -128..127. Needs
     * mq_dnn_has_codes: older byte products saturate. */
    bool codes;
    /* Operands of forward are whole numbers whose sums must be exact: no algorithm that rounds in between. */
    bool whole;
    /* Forward writes dst as bfloat16; MQ_BF16 and no codes. */
    bool rounded;
    mq_dtype compute;  /* MQ_F32 or MQ_BF16: type of src, of the weights inside, of diff_dst */
    mq_dtype diff_src; /* MQ_F32 or MQ_BF16 (the latter only if compute is MQ_BF16) */
} mq_dnn_conv_spec;

/* Output positions along one axis: (in + 2*pad - kernel) / stride + 1, rounded down; 0 if the kernel does not
 * fit. */
int mq_dnn_out_dim(int in, int kernel, int stride, int pad);

typedef struct mq_dnn_conv mq_dnn_conv;

/* Chooses the implementation for the thread count of this moment; executing with another one is refused, so
 * call mq_threads_set before. May enlarge the context's scratch. The weights' gradient is a sum over threads:
 * its last bits depend on their number, but not on anything else. A spec that makes no sense: MQ_INTERNAL, as
 * every failure here. */
mq_status mq_dnn_conv_create(mq_dnn *dnn, const mq_dnn_conv_spec *spec, mq_dnn_conv **out,
                             mq_error *error) MQ_MUST_CHECK;
void mq_dnn_conv_destroy(mq_dnn_conv *conv); /* NULL is fine */
const mq_dnn_conv_spec *mq_dnn_conv_get_spec(const mq_dnn_conv *conv);
/* The implementations chosen, for logs: "forward brgconv:avx512_core, backward data ...". Lives as long as
 * conv. */
const char *mq_dnn_conv_implementation(const mq_dnn_conv *conv);

/* Converts w [oc][ic/groups][kh][kw] into the convolution's own copies, or keeps the pointer: w has to stay
 * until the last pass with it. Call before forward and backward_data, again whenever w has changed. */
mq_status mq_dnn_conv_set_weights(mq_dnn_conv *conv, const float *w, mq_error *error) MQ_MUST_CHECK;

/* The passes. Each overwrites its output; operands must not overlap; pointers are not kept. Operands should
 * be 64-byte aligned (mq_alloc). A pass that the spec did not ask for: MQ_INTERNAL. */
/* Whether oneDNN's code runs the forward pass and rounds weights to bfloat16, which the size of the batch
 * does not change. */
bool mq_dnn_conv_rounds_weights(const mq_dnn_conv *conv);
/* dst [n][oh][ow][oc] float32 or rounded to bfloat16 (spec) from src [n][ih][iw][ic] of the compute type, or
 * uint8 codes.
 */
mq_status mq_dnn_conv_forward(mq_dnn_conv *conv, const void *src, void *dst, mq_error *error) MQ_MUST_CHECK;
/* Of codes, where no sum of any products leaves int16: dst [n][oh][ow][oc] as that, and, unless NULL, sum[oc]
 * and square[oc] grow by the exact sums over images and positions of dst and dst^2. Only where the first says
 * so, which the size of the batch does not change. */
bool mq_dnn_conv_has_whole(const mq_dnn_conv *conv);
mq_status mq_dnn_conv_forward_whole(mq_dnn_conv *conv, const uint8_t *src, int16_t *dst, double *sum,
                                    double *square, mq_error *error) MQ_MUST_CHECK;
/* diff_src [n][ih][iw][ic] of type spec.diff_src from diff_dst [n][oh][ow][oc] of the compute type. */
mq_status mq_dnn_conv_backward_data(mq_dnn_conv *conv, const void *diff_dst, void *diff_src,
                                    mq_error *error) MQ_MUST_CHECK;
/* dw [oc][ic/groups][kh][kw] float32, summed over the batch, from src, of the compute type or
 * codes, and diff_dst of the compute type. */
mq_status mq_dnn_conv_backward_weights(mq_dnn_conv *conv, const void *src, const void *diff_dst, float *dw,
                                       mq_error *error) MQ_MUST_CHECK;

/* The time of a convolution's passes in seconds; 0 for a pass not asked for. set_weights is part of forward.
 */
typedef struct mq_dnn_time {
    double forward, backward_data, backward_weights;
} mq_dnn_time;

/* Runs the convolutions of a network alone, on random data: `repeats` (>= 1) steps of all forward passes in
 * order and all backward passes in reverse, after one step that is not counted. A step has `images` images,
 * of which a layer takes spec.n at a time. times[count] gets the median time of every pass. */
mq_status mq_dnn_conv_time(const mq_dnn_conv_spec *specs, int count, int images, int repeats,
                           mq_dnn_time *times, mq_error *error) MQ_MUST_CHECK;

#endif
