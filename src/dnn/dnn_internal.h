/* dnn_internal.h - what the files of dnn share: the context's inside and one way to turn a oneDNN status into
 * ours. */
#ifndef MIXQ_DNN_DNN_INTERNAL_H
#define MIXQ_DNN_DNN_INTERNAL_H

#include <oneapi/dnnl/dnnl.h>

#include "dnn/dnn.h"

struct mq_dnn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    void *scratch; /* of the hungriest primitive so far; moves when it grows */
    size_t scratch_bytes;
};

/* Scratch of at least `bytes`; its old content is lost. Only while a convolution is made. */
mq_status mq_dnn_reserve(mq_dnn *dnn, size_t bytes, mq_error *error) MQ_MUST_CHECK;

/* MQ_INTERNAL for a failed oneDNN call; spec may be NULL. */
mq_status mq_dnn_fail(dnnl_status_t result, const char *call, const mq_dnn_conv_spec *spec, mq_error *error);

/* Forwards a failed oneDNN call, naming the function and the convolution. */
#define MQ_DNN_TRY(function, spec, error, ...)                                                               \
    do {                                                                                                     \
        dnnl_status_t mq_result_ = function(__VA_ARGS__);                                                    \
        if (mq_result_ != dnnl_success) return mq_dnn_fail(mq_result_, #function, spec, error);              \
    } while (0)

/* The weights' gradient of wide depthwise kernels by our own code: for which specs, bytes of scratch,
 * execution. */
bool mq_dnn_depthwise_wanted(const mq_dnn_conv_spec *spec);
size_t mq_dnn_depthwise_scratch(const mq_dnn_conv_spec *spec);
void mq_dnn_depthwise_gradient(const mq_dnn_conv_spec *spec, const void *src, const void *diff_dst,
                               void *scratch, float *dw);

/* The source's gradient, float32, where channels in are few: for which specs. */
typedef struct mq_dnn_narrow mq_dnn_narrow;
bool mq_dnn_narrow_wanted(const mq_dnn_conv_spec *spec);
mq_status mq_dnn_narrow_create(const mq_dnn_conv_spec *spec, mq_dnn_narrow **out, mq_error *error)
    MQ_MUST_CHECK; /* after a failure too, *out is to be destroyed */
void mq_dnn_narrow_destroy(mq_dnn_narrow *n);
void mq_dnn_narrow_set_weights(mq_dnn_narrow *n, const float *w);
void mq_dnn_narrow_run(const mq_dnn_narrow *n, const void *diff_dst, float *diff_src);

typedef enum mq_dnn_direction {
    MQ_DNN_FORWARD,
    MQ_DNN_BACKWARD_DATA,
    MQ_DNN_BACKWARD_WEIGHTS
} mq_dnn_direction;

/* One pass by Winograd's algorithm. *out stays NULL where that is not faster, not exact
 * enough or not there. */
typedef struct mq_dnn_winograd mq_dnn_winograd;
mq_status mq_dnn_winograd_create(mq_dnn *dnn, const mq_dnn_conv_spec *spec, mq_dnn_direction direction,
                                 mq_dnn_winograd **out, mq_error *error) MQ_MUST_CHECK;
void mq_dnn_winograd_destroy(mq_dnn_winograd *w);
void mq_dnn_winograd_set_weights(mq_dnn_winograd *w, const float *weights);
/* src and dst or, backward, their gradients; dw of backward weights alone. What the pass does not write is
 * read. For NULL nothing is done: false. */
bool mq_dnn_winograd_run(const mq_dnn_winograd *w, const void *src, const void *dst, float *dw);

enum { MQ_DNN_SPEC_TEXT = 256 };
const char *mq_dnn_spec_text(const mq_dnn_conv_spec *spec, char text[MQ_DNN_SPEC_TEXT]);

#endif
