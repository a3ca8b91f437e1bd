/* conv_specs.h - the convolutions of a model as oneDNN runs them, for benchmarks. */
#ifndef MIXQ_OPS_CONV_SPECS_H
#define MIXQ_OPS_CONV_SPECS_H

#include "dnn/dnn.h"
#include "ops/model.h"

/* All convolutions and linear layers, at most `most` of them, as a step of n images runs them: spec.n images
 * at a time. Returns their number. */
int mq_model_conv_specs(const mq_model *model, int n, mq_dnn_conv_spec *out, int most);

#endif
