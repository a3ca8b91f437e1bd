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
    void *widened; /* codes as the hungriest backward pass wants them; moves too */
    size_t widened_bytes;
};

/* Scratch of at least `bytes`; its old content is lost. Only while a convolution is made. */
mq_status mq_dnn_reserve(mq_dnn *dnn, size_t bytes, mq_error *error) MQ_MUST_CHECK;
mq_status mq_dnn_reserve_widened(mq_dnn *dnn, size_t bytes, mq_error *error) MQ_MUST_CHECK;

/* MQ_INTERNAL for a failed oneDNN call; spec may be NULL. */
mq_status mq_dnn_fail(dnnl_status_t result, const char *call, const mq_dnn_conv_spec *spec, mq_error *error);

/* Forwards a failed oneDNN call, naming the function and the convolution. */
#define MQ_DNN_TRY(function, spec, error, ...)                                                               \
    do {                                                                                                     \
        dnnl_status_t mq_result_ = function(__VA_ARGS__);                                                    \
        if (mq_result_ != dnnl_success) return mq_dnn_fail(mq_result_, #function, spec, error);              \
    } while (0)

/* out[count], float32 or bfloat16, = codes[count]. */
void mq_dnn_widen(const uint8_t *codes, size_t count, mq_dtype type, void *out);

/* Padding after the last position that the stated output size needs; negative where the stride leaves some
 * over. */
int64_t mq_dnn_end_padding(int in, int out, int kernel, int stride, int pad);
/* MQ_INTERNAL for a spec that makes no sense. */
mq_status mq_dnn_check_spec(const mq_dnn_conv_spec *spec, mq_error *error) MQ_MUST_CHECK;

enum { MQ_DNN_SPEC_TEXT = 256 };
const char *mq_dnn_spec_text(const mq_dnn_conv_spec *spec, char text[MQ_DNN_SPEC_TEXT]);

#endif
