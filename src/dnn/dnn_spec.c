/* dnn_spec.c - what a convolution's spec may say, and how it reads in messages. */
#include "dnn/dnn_internal.h"

#include <stdio.h>

int mq_dnn_out_dim(int in, int kernel, int stride, int pad) {
    int64_t last = (int64_t)in + 2 * (int64_t)pad - kernel;
    return last < 0 ? 0 : (int)(last / stride + 1);
}

int64_t mq_dnn_end_padding(int in, int out, int kernel, int stride, int pad) {
    return (int64_t)(out - 1) * stride + kernel - in - pad;
}

static bool axis_ok(int in, int out, int kernel, int stride, int pad) {
    if (in < 1 || out < 1 || kernel < 1 || stride < 1 || pad < 0 || pad >= kernel) return false;
    int64_t end = mq_dnn_end_padding(in, out, kernel, stride, pad);
    return end > -stride && end < kernel;
}

mq_status mq_dnn_check_spec(const mq_dnn_conv_spec *s, mq_error *error) {
    char text[MQ_DNN_SPEC_TEXT];
    const char *wrong = NULL;
    size_t count;
    mq_shape in = mq_shape4(s->n, s->ih, s->iw, s->ic), out = mq_shape4(s->n, s->oh, s->ow, s->oc);
    if (s->n < 1 || s->ic < 1 || s->oc < 1)
        wrong = "batch and channels must be at least 1";
    else if (s->groups < 1 || s->ic % s->groups != 0 || s->oc % s->groups != 0)
        wrong = "groups must divide both channel counts";
    else if (!axis_ok(s->ih, s->oh, s->kh, s->stride, s->pad_h))
        wrong = "heights, kernel, stride and padding do not fit together";
    else if (!axis_ok(s->iw, s->ow, s->kw, s->stride, s->pad_w))
        wrong = "widths, kernel, stride and padding do not fit together";
    else if (!mq_shape_count(&in, &count) || !mq_shape_count(&out, &count))
        wrong = "too large";
    else if (s->compute != MQ_F32 && s->compute != MQ_BF16)
        wrong = "expected float32 or bfloat16";
    else if (s->codes && !mq_dnn_has_codes())
        wrong = "this processor has no exact products of bytes (VNNI)";
    else if (s->rounded && (s->codes || s->compute != MQ_BF16))
        wrong = "only products of bfloat16 are rounded to it";
    else if (s->diff_src != MQ_F32 && s->diff_src != s->compute)
        wrong = "the source gradient must be float32 or of the compute type";
    if (wrong) return mq_fail(error, MQ_INTERNAL, "%s: %s", mq_dnn_spec_text(s, text), wrong);
    return MQ_OK;
}

const char *mq_dnn_spec_text(const mq_dnn_conv_spec *s, char text[MQ_DNN_SPEC_TEXT]) {
    snprintf(text, MQ_DNN_SPEC_TEXT,
             "convolution of [%d, %d, %d, %d] to [%d, %d, %d, %d], kernel %dx%d, stride %d, padding %d,%d, "
             "groups %d, %s%s",
             s->n, s->ih, s->iw, s->ic, s->n, s->oh, s->ow, s->oc, s->kh, s->kw, s->stride, s->pad_h,
             s->pad_w, s->groups, mq_dtype_name(s->compute), s->codes ? ", codes" : "");
    return text;
}
