/* helper_steps.h - comparing training steps with the published framework's: bounds by kind of network,
 * outputs, gradients. */
#ifndef MIXQ_TESTS_GOLDEN_HELPER_STEPS_H
#define MIXQ_TESTS_GOLDEN_HELPER_STEPS_H

#include "detect/box.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "ops/model.h"

/* Float sums in another order flip codes at quantiser edges and break exact ties, so bounds are twice the
 * worst that five such runs of the published program itself showed. Relative; first = step 1. */
typedef struct golden_bounds {
    double cost_first, cost_later;
    double loss_first, loss_later; /* cross entropy, or box */
    double objectness_first, objectness_later, objectness_fixed;
    double iou_first, iou_later;     /* mean_iou */
    double total_first, total_later; /* search total */
    double output_cosine, output_error;
    double conv, bn, head, alpha; /* joined gradient cosines */
    double tensor_cosine, norm_low, norm_high;
} golden_bounds;

/* Classification; detection; detection with depthwise convolutions. */
const golden_bounds *golden_bounds_for(const mq_net *net);

/* Fails the test unless |ours - golden| <= bound * |golden|. step 0: not of a step. */
void golden_close(const char *where, int step, const char *what, double ours, double golden, double bound);
/* A number of an object, or `absent`. */
double golden_number(const json_t *object, const char *key, double absent);
/* A tensor of that name, type and shape; fails the test without. */
const void *golden_tensor(const char *where, const mq_st_file *file, const char *name, mq_dtype dtype,
                          mq_shape shape);

/* images uint8 [n][c][h][w] to [n][h][w][c]. */
void golden_images(const mq_net *net, const uint8_t *nchw, size_t n, uint8_t *nhwc);
/* rows float32 [n][7]: image, class, x, y, w, h, weight. */
void golden_targets(const float *rows, size_t n, mq_target *out);
/* p float32 [n][anchor][gy][gx][5 + classes] to [n][gy][gx][channels]. */
void golden_prediction(const mq_net *net, const float *p, size_t n, float *nhwc);

/* Our output of step 1 against the golden one, both [count]. */
void golden_compare_output(const char *where, const golden_bounds *bounds, const float *ours,
                           const float *golden, size_t count);
/* The model's gradients against "grad." + published name. */
void golden_compare_gradients(const char *where, const golden_bounds *bounds, mq_model *model,
                              const mq_st_file *step);

#endif
