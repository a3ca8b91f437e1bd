/* hls_headers.h - config.h and weights.hpp, the headers of the published HLS templates (AnyPackingNet, ICCAD
 * 2023): byte for byte theirs but for the text of the comment block at the top.
 *
 * config.h   per layer its shape, bits, parallelism and L_SHIFT
 * weights.hpp  per layer the weight codes as packed words, then inc and bias, in the templates' order
 *
 * The templates add the rounding half 2^(T-1), T = L_SHIFT + W_BIT + IN_BIT - 1, themselves, so the bias here
 * is that of the integer network without it. What the headers cannot say (thresholds, shifts below W_BIT +
 * IN_BIT - 1, strides, signed codes ...) is refused with the layer named. */
#ifndef MIXQ_GEN_HLS_HEADERS_H
#define MIXQ_GEN_HLS_HEADERS_H

#include "gen/parallelism.h"
#include "inet/inet.h"

/* MQ_OK when the headers can express the network; else MQ_USAGE, naming the layer and the reason. */
mq_status mq_hls_headers_check(const mq_inet *net, mq_error *error) MQ_MUST_CHECK;
/* DIR/config.h and DIR/weights.hpp, atomic; the folder is made. Checks first and writes nothing on failure.
 */
mq_status mq_hls_headers_write(const mq_inet *net, const mq_parallelism *parallelism, const char *dir,
                               mq_error *error) MQ_MUST_CHECK;

#endif
