/* workload.c - sizes of a layer. */
#include "work/workload.h"

static double taps(const mq_workload *w) {
    return (double)w->in_channels * (double)w->out_channels * (double)(w->kernel_h * w->kernel_w) /
           (double)w->groups;
}

double mq_workload_macs_M(const mq_workload *work) {
    return taps(work) * (double)work->in_h * (double)work->in_w / (double)(work->stride * work->stride) *
           1e-6;
}

double mq_workload_weights_M(const mq_workload *work) {
    return taps(work) * 1e-6;
}

double mq_workload_inputs_K(const mq_workload *work) {
    return (double)work->in_channels * (double)work->in_h * (double)work->in_w * 1e-3;
}

double mq_workload_window_K(const mq_workload *work) {
    int rows = work->kernel_h == 1 ? 2 : work->kernel_h + 1;
    return (double)rows * (double)work->in_w * (double)work->in_channels * 1e-3;
}
