/* precision.c - asking oneDNN what the processor can do. */
#include "ops/precision.h"

#include "dnn/dnn.h"

mq_status mq_precision(mq_precision_word word, mq_dtype *out, mq_error *error) {
    bool native = mq_dnn_has_bf16();
    if (word == MQ_PRECISION_BF16 && !native)
        return mq_fail(error, MQ_USAGE, "--precision bf16: this processor (%s) has no native bfloat16",
                       mq_dnn_isa());
    *out = word == MQ_PRECISION_BF16 || (word == MQ_PRECISION_AUTO && native) ? MQ_BF16 : MQ_F32;
    return MQ_OK;
}
