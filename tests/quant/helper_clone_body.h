/* helper_clone_body.h - the activation kernels once more, under other names: a helper_clone_*.c sets CLONE
 * and the compiler's target, and includes this. */
#include "base/parallel.h"
#undef MQ_CLONES
#define MQ_CLONES

#define mq_activation_values       clone_values
#define mq_activation_codes        clone_codes
#define mq_activation_gradient     clone_gradient
#define mq_activation_mix          clone_mix
#define mq_activation_mix_gradient clone_mix_gradient

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

static void clone_values(const float *x, size_t n, int bits, float *y);
static void clone_codes(const float *x, size_t n, int bits, uint8_t *codes);
static void clone_gradient(const float *x, const float *dy, size_t n, int bits, float *dx);
static void clone_mix(const float *x, size_t n, const float softmax[7], float *y);
static void clone_mix_gradient(const float *x, const float *dy, size_t n, const float softmax[7], float *dx,
                               double g[7]);

#include "quant/activations.c"

#include "quant/helper_clones.h"

static bool clone_available(void) {
#ifdef CLONE_NEEDS
    return __builtin_cpu_supports(CLONE_NEEDS) != 0;
#else
    return true;
#endif
}

const quant_clone CLONE = {CLONE_NAME,     clone_available, clone_values,      clone_codes,
                           clone_gradient, clone_mix,       clone_mix_gradient};
