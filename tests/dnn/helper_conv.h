/* helper_conv.h - operands of a convolution, its passes by the definition in float64, and the comparison. */
#ifndef MIXQ_TESTS_HELPER_CONV_H
#define MIXQ_TESTS_HELPER_CONV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "dnn/dnn.h"

/* What one convolution reads and writes, as float64 beside what the library gets. */
typedef struct tensors {
    size_t src_count, dst_count, w_count;
    double *src, *diff_dst, *w;                 /* exactly the values that the compute type holds */
    double *dst, *diff_src, *dw;                /* the oracle's results */
    double *dst_size, *diff_src_size, *dw_size; /* its sums of absolute products */
    void *src_in, *diff_dst_in;                 /* compute type */
    uint8_t *codes_in;                          /* src of a forward pass on codes */
    float *w_in, *dst_out, *dw_out;
    void *diff_src_out; /* type spec.diff_src */
} tensors;

enum kind { REALS, INTEGERS };

/* Zeroed memory; fails the test without. */
void *get(size_t count, size_t size);
void ok(mq_status status, const mq_error *error);
mq_dnn *open_dnn(void);

/* Operands drawn from a fixed seed, garbage in the outputs. */
tensors make_tensors(const mq_dnn_conv_spec *s, enum kind kind);
void free_tensors(tensors *t);
/* Fills dst, diff_src, dw and their sizes. */
void oracle(const mq_dnn_conv_spec *s, tensors *t);
/* set_weights and the passes that the spec asks for. */
void run_passes(mq_dnn_conv *conv, tensors *t);
/* Reals within float32 accumulation in any order, integers equal. */
void compare_passes(const mq_dnn_conv *conv, enum kind kind, const tensors *t);
/* All of the above for one convolution. */
void check(mq_dnn *dnn, mq_dnn_conv_spec s, mq_dtype compute, mq_dtype diff_src, enum kind kind);

/* All passes of reals with 1 to 3 threads: within the limits, the root mean square of the error at most
 * `relative` of the result's. Where `expected`, by these implementations, whose bits are the same for any
 * number of threads. */
void check_own(mq_dnn_conv_spec s, const char *implementation, bool expected, double relative);

/* Square padding and stride; all passes; the output size from mq_dnn_out_dim. */
mq_dnn_conv_spec spec_of(int n, int ih, int iw, int ic, int oc, int k, int stride, int pad, int groups);

#endif
