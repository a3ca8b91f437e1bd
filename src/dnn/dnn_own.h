/* dnn_own.h - passes of a convolution that run by our own code in oneDNN's place: the kinds of them, and how
 * dnn_conv.c uses one. A kind is a file of this folder and a row in dnn_own.c. */
#ifndef MIXQ_DNN_DNN_OWN_H
#define MIXQ_DNN_DNN_OWN_H

#include "base/memory.h"
#include "dnn/dnn_internal.h"

typedef enum mq_dnn_direction {
    MQ_DNN_FORWARD,
    MQ_DNN_BACKWARD_DATA,
    MQ_DNN_BACKWARD_WEIGHTS,
    MQ_DNN_DIRECTIONS
} mq_dnn_direction;

typedef struct mq_dnn_own_kind mq_dnn_own_kind;

/* One pass. A kind's own structure begins with it. */
typedef struct mq_dnn_own {
    const mq_dnn_own_kind *kind;
    mq_dnn *dnn;
    mq_dnn_conv_spec spec;
    mq_dnn_direction direction;
} mq_dnn_own;

struct mq_dnn_own_kind {
    const char *name;                                                         /* "own:..." */
    size_t bytes;                                                             /* of its structure */
    bool (*wanted)(const mq_dnn_conv_spec *spec, mq_dnn_direction direction); /* runs here, and is faster */
    /* The rest of the structure, which is zero; scratch. After a failure `release` follows. */
    mq_status (*create)(mq_dnn_own *own, mq_error *error);
    void (*release)(mq_dnn_own *own);                     /* what create made; NULL: nothing */
    void (*set_weights)(mq_dnn_own *own, const float *w); /* mq_dnn_conv_set_weights; NULL: no need */
    /* src and dst or, backward, their gradients; dw of backward weights alone. What the pass does not write
     * is read. The context's scratch may have moved since the last time. */
    void (*run)(const mq_dnn_own *own, const void *src, const void *dst, float *dw);
    bool codes; /* the weights' gradient reads codes where the spec has them; else they come widened */
    /* Forward of codes as mq_dnn_conv_forward_whole says; NULL: it cannot. */
    void (*run_whole)(const mq_dnn_own *own, const uint8_t *src, int16_t *dst, double *sum, double *square);
};

extern const mq_dnn_own_kind mq_dnn_bytes, mq_dnn_winograd, mq_dnn_pointwise, mq_dnn_few, mq_dnn_narrow,
    mq_dnn_depthwise, mq_dnn_depthwise_few, mq_dnn_depthwise_wide;

/* *out stays NULL where no kind is wanted. */
mq_status mq_dnn_own_create(mq_dnn *dnn, const mq_dnn_conv_spec *spec, mq_dnn_direction direction,
                            mq_dnn_own **out, mq_error *error) MQ_MUST_CHECK;
void mq_dnn_own_destroy(mq_dnn_own *own); /* NULL is fine */
void mq_dnn_own_set_weights(mq_dnn_own *own, const float *w);
/* For NULL nothing is done: false. */
bool mq_dnn_own_run(const mq_dnn_own *own, const void *src, const void *dst, float *dw);

/* A whole number of cache lines. */
static inline size_t mq_dnn_lines(size_t bytes) {
    return (bytes + MQ_ALIGN - 1) / MQ_ALIGN * MQ_ALIGN;
}

#endif
