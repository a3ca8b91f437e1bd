/* precision.h - which number type the convolutions' operands have. */
#ifndef MIXQ_OPS_PRECISION_H
#define MIXQ_OPS_PRECISION_H

#include "base/status.h"
#include "tensor/tensor.h"

typedef enum mq_precision_word { MQ_PRECISION_F32, MQ_PRECISION_BF16, MQ_PRECISION_AUTO } mq_precision_word;

/* AUTO is bf16 where the processor has it natively. BF16 elsewhere: MQ_USAGE. */
mq_status mq_precision(mq_precision_word word, mq_dtype *out, mq_error *error) MQ_MUST_CHECK;

#endif
