/* workload.h - the neutral workload of one layer: what costs, packings and estimates need to know of it. */
#ifndef MIXQ_WORK_WORKLOAD_H
#define MIXQ_WORK_WORKLOAD_H

#include <stdint.h>

typedef struct mq_workload {
    int kernel_h, kernel_w, stride, groups;
    int in_channels, out_channels;
    int in_h, in_w, out_h, out_w;
} mq_workload;

/* Millions of multiply-accumulates by the published rule ich*och*k*k/g * H*W/s^2 (input size over stride
 * squared). */
double mq_workload_macs_M(const mq_workload *work);
double mq_workload_weights_M(const mq_workload *work); /* millions of weights */
double mq_workload_inputs_K(const mq_workload *work);  /* thousands of input values */
double mq_workload_window_K(const mq_workload *work);  /* thousands of values in the window cache */

#endif
