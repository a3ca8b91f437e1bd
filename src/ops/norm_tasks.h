/* norm_tasks.h - a batch norm's state, and its passes over one task's share (train_op.h) of the data; private
 * to batch_norm.c and norm_tasks.c. */
#ifndef MIXQ_OPS_NORM_TASKS_H
#define MIXQ_OPS_NORM_TASKS_H

#include "ops/pooled_norm.h"

typedef struct bn_op {
    mq_param *gamma, *beta, *mean, *var;
    size_t width;    /* of a row, norm_rows.h */
    double *partial; /* [NORM_TASKS][2][width]: zero but for those that added to it */
    size_t tasks;    /* their number */
    double *sums;    /* [2][c], and the values per channel that they are over */
    double *mean_z;  /* [width]: mean of z over the batch */
    double *inverse; /* [c]: 1/sqrt(var_r + eps): xhat = (z - mean_z)*s*inverse */
    double *exact;   /* [2][width]: factor and offset in evaluation */
    float *factors;  /* [6][width] of the following */
    float *m, *a, *b, *factor, *offset, *slope;
} bn_op;

typedef struct bn_call {
    bn_op *op;
    norm_z z;
    const float *dy;
    void *out;
    mq_dtype out_type;
    size_t pixels, channels, tasks;
    norm_forward forward;
    const pooled_norm *pooled; /* backward of a pooled one */
    /* Backward of one that an activation computes: that, what it reads (z or the pool's maxima) and its
     * pixels. */
    const node_state *activation;
    norm_z read;
    size_t read_pixels;
    const mq_mix_rows *rows; /* what the activation and this do in one pass; NULL: nothing */
    int16_t *whole;          /* z, float32, goes here too; NULL: nowhere */
    size_t before; /* elements of earlier images in what is read, which `read` counts and `out` does not */
} bn_call;

/* Each takes a bn_call. */
void norm_moments_task(void *context, size_t task);
void norm_apply_task(void *context, size_t task);
void norm_products_task(void *context, size_t task);
void norm_gradient_task(void *context, size_t task);
void norm_read_products_task(void *context, size_t task);
void norm_read_gradient_task(void *context, size_t task);
void norm_read_pooled_task(void *context, size_t task);

#endif
