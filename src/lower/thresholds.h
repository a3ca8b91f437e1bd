/* thresholds.h - at which accumulator values a channel's activation code steps up, found exactly.
 *
 * The trained network's code of accumulator acc is, in real arithmetic on the stored numbers,
 *
 *   x = gamma*(acc*step + bias - mean)/sqrt(var + 1e-5) + beta      without batch norm x = acc*step + bias
 *   code = round(clamp(x, 0, T)/H), T = H*levels, ties to even
 *
 * and codes start from `low` where they are signed: clamp(x, low*H, (low + levels)*H). So code >= k if and
 * only if x > (k - 1/2)*H, or x = (k - 1/2)*H and k is even. All parameters are floating point numbers, hence
 * integers over a power of two: gamma*step*acc + gamma*(bias - mean) is compared with
 * ((k - 1/2)*H - beta)*sqrt(var + 1e-5) by one integer square root and one integer division per threshold,
 * nothing is rounded. (HWGQ: Cai et al., CVPR 2017; GMP does the arithmetic and ends the program when memory
 * runs out.) Private to this folder. */
#ifndef MIXQ_LOWER_THRESHOLDS_H
#define MIXQ_LOWER_THRESHOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define MQ_NORM_EPSILON 1e-5 /* of the batch norm: the float64 nearest to it, as PyTorch's default */

enum { MQ_LEVELS_MAX = 255 };

/* All numbers finite; out_step above 0; levels 1..MQ_LEVELS_MAX. */
typedef struct mq_channel {
    double weight_step, input_step; /* one unit of the accumulator is their exact product; of any sign */
    bool norm;                      /* else gamma, beta, mean, var are not looked at */
    float gamma, beta, mean, var;
    double bias;     /* of the layer; 0 where it has none */
    double out_step; /* H, real value of code 1 */
    int low, levels; /* codes low..low + levels */
} mq_channel;

typedef enum mq_direction { MQ_CONSTANT, MQ_RISING, MQ_FALLING } mq_direction;

typedef struct mq_thresholds {
    mq_direction direction; /* of the code with the accumulator; CONSTANT: the slope is 0 */
    int code;               /* CONSTANT: the only code */
    /* [k-1] for k = 1..levels: RISING code >= low + k <=> acc >= at, ascending; FALLING code >= low + k <=>
     * acc < at, descending. Values outside int64 are its ends. */
    int64_t at[MQ_LEVELS_MAX];
} mq_thresholds;

/* MQ_BAD_INPUT: var + 1e-5 is not above 0. */
mq_status mq_thresholds_find(const mq_channel *channel, mq_thresholds *out, mq_error *error) MQ_MUST_CHECK;

#endif
