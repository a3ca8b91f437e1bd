/* helper_clone_body.h - the kernels once more, under other names: a helper_clone_*.c sets CLONE and the
 * compiler's target, and includes this. */
#include "base/parallel.h"
#undef MQ_CLONES
#define MQ_CLONES
#define MQ_MIX_PLAIN

#define CLONE_PASTE(clone, name) clone##_##name
#define CLONE_OF(clone, name)    CLONE_PASTE(clone, name)

#define mq_activation_values       CLONE_OF(CLONE, values)
#define mq_activation_codes        CLONE_OF(CLONE, codes)
#define mq_activation_gradient     CLONE_OF(CLONE, gradient)
#define mq_activation_mix          CLONE_OF(CLONE, mix)
#define mq_activation_mix_gradient CLONE_OF(CLONE, mix_gradient)
#define mq_mix_set_branches        CLONE_OF(CLONE, set_branches)
#define mq_activation_mix_slope    CLONE_OF(CLONE, mix_slope)
#define mq_dorefa_normalize        CLONE_OF(CLONE, normalize)
#define mq_dorefa_gradient         CLONE_OF(CLONE, weight_gradient)
#define mq_weight_prepare          CLONE_OF(CLONE, prepare)
#define mq_weight_step_of          CLONE_OF(CLONE, step_of)
#define mq_weight_mix              CLONE_OF(CLONE, weight_mix)
#define mq_weight_mix_dot          CLONE_OF(CLONE, weight_mix_dot)

#include "quant/activations.c"
#include "quant/dorefa.c"
#include "quant/weight_mix.c"

#include "quant/helper_clones.h"

static bool clone_available(void) {
#ifdef CLONE_NEEDS
    return __builtin_cpu_supports(CLONE_NEEDS) != 0;
#else
    return true;
#endif
}

const quant_clone CLONE = {CLONE_NAME,
                           clone_available,
                           mq_activation_values,
                           mq_activation_codes,
                           mq_activation_gradient,
                           mq_activation_mix,
                           mq_activation_mix_gradient,
                           mq_activation_mix_slope,
                           mq_dorefa_normalize,
                           mq_dorefa_gradient,
                           mq_weight_mix,
                           mq_weight_mix_dot};
