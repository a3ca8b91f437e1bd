/* params.h - the one list of a network's stored tensors: names, shapes, kinds. The trainer allocates by it,
 * checkpoints are checked against it, import maps onto it, lowering reads by it.
 *
 * Names: "<layer>.weight" float32 OIHW (linear [out][c*h*w]), "<layer>.weight.<b>" (b = 2..8) when the
 * search's weights are not shared, "<layer>.bias", "<layer>.alpha_weight" [7], "<layer>.alpha_activation"
 * [7],
 * "<bn>.gamma", "<bn>.beta", "<bn>.mean", "<bn>.var" [c] (running statistics; var is the unbiased one).
 *
 * Networks of given quantisers have, per layer and in fixed mode only: "<layer>.weight" codes as whole
 * numbers,
 * "<layer>.scale" and "<layer>.offset" float64 [out], the result being scale*accumulator + offset, and
 * "<layer>.input_scale" float64 [1], the real step of the codes that it reads. */
#ifndef MIXQ_NET_PARAMS_H
#define MIXQ_NET_PARAMS_H

#include "net/net.h"

typedef enum mq_mode { MQ_MODE_FLOAT, MQ_MODE_SEARCH, MQ_MODE_FIXED } mq_mode;
const char *mq_mode_name(mq_mode mode); /* "float", "search", "fixed" */

typedef enum mq_param_kind {
    MQ_PARAM_WEIGHT,
    MQ_PARAM_BIAS,
    MQ_PARAM_GAMMA,
    MQ_PARAM_BETA,
    MQ_PARAM_ALPHA_WEIGHT,
    MQ_PARAM_ALPHA_ACTIVATION,
    MQ_PARAM_MEAN, /* running statistics: stored, not trained */
    MQ_PARAM_VAR,
    MQ_PARAM_SCALE, /* of given quantisers, float64 */
    MQ_PARAM_OFFSET,
    MQ_PARAM_INPUT_SCALE
} mq_param_kind;

typedef struct mq_param_spec {
    char name[MQ_MAX_NAME + 24];
    mq_param_kind kind;
    int node;
    int branch; /* weight of branch bits 2+branch when not shared, else -1 */
    mq_dtype dtype;
    mq_shape shape;
} mq_param_spec;

static inline bool mq_param_trained(mq_param_kind kind) {
    return kind != MQ_PARAM_MEAN && kind != MQ_PARAM_VAR;
}
static inline bool mq_param_is_alpha(mq_param_kind kind) {
    return kind == MQ_PARAM_ALPHA_WEIGHT || kind == MQ_PARAM_ALPHA_ACTIVATION;
}

/* Array in network order; release with mq_free. share: one float weight tensor for the 7 branches (search
 * only). Pinned layers have no alphas and always one weight tensor. */
mq_status mq_params_list(const mq_net *net, mq_mode mode, bool share, mq_param_spec **out, int *count,
                         mq_error *error) MQ_MUST_CHECK;

#endif
