/* dnn_own.c - the table of our own passes. */
#include "dnn/dnn_own.h"

#include "base/memory.h"

static const mq_dnn_own_kind *const KINDS[] = {
    &mq_dnn_bytes,  &mq_dnn_winograd,  &mq_dnn_pointwise,     &mq_dnn_few,
    &mq_dnn_narrow, &mq_dnn_depthwise, &mq_dnn_depthwise_few, &mq_dnn_depthwise_wide};

static const mq_dnn_own_kind *kind_of(const mq_dnn_conv_spec *spec, mq_dnn_direction direction) {
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (KINDS[i]->wanted(spec, direction)) return KINDS[i];
    return NULL;
}

mq_status mq_dnn_own_create(mq_dnn *dnn, const mq_dnn_conv_spec *spec, mq_dnn_direction direction,
                            mq_dnn_own **out, mq_error *error) {
    const mq_dnn_own_kind *kind = kind_of(spec, direction);
    mq_dnn_own *own = NULL;
    *out = NULL;
    if (!kind) return MQ_OK;
    MQ_TRY(mq_alloc(1, kind->bytes, "convolution", &own, error));
    *own = (mq_dnn_own){kind, dnn, *spec, direction};
    const mq_status status = kind->create(own, error);
    if (status == MQ_OK)
        *out = own;
    else
        mq_dnn_own_destroy(own);
    return status;
}

void mq_dnn_own_destroy(mq_dnn_own *own) {
    if (!own) return;
    if (own->kind->release) own->kind->release(own);
    mq_free(own);
}

void mq_dnn_own_set_weights(mq_dnn_own *own, const float *w) {
    if (own && own->kind->set_weights) own->kind->set_weights(own, w);
}

bool mq_dnn_own_run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    if (own) own->kind->run(own, src, dst, dw);
    return own != NULL;
}
