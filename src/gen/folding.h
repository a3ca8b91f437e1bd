/* folding.h - FINN's folding_config.json: PE and SIMD by node name, beside config_simd_pe.txt.
 *
 * {"Defaults": {}, "MVAU_hls_0": {"PE": 16, "SIMD": 9, ...}, ...}. A convolution takes the entry of its own
 * name, else the n-th of FINN's matrix layers (MVAU_hls_n, MatrixVectorActivation_n, VVAU_hls_n ...), layers
 * counted from 0, linear ones included. Other entries and keys are FINN's business and passed over. */
#ifndef MIXQ_GEN_FOLDING_H
#define MIXQ_GEN_FOLDING_H

#include "gen/parallelism.h"

/* Reads the text, not yet checked against the network's shapes; name stands in messages. */
mq_status mq_folding_parse(const char *name, const char *text, size_t size, const mq_inet *net,
                           mq_parallelism *out, mq_error *error) MQ_MUST_CHECK;
/* Atomic; by our names, keys in network order. */
mq_status mq_folding_write(const mq_inet *net, const mq_parallelism *parallelism, const char *path,
                           mq_error *error) MQ_MUST_CHECK;

#endif
