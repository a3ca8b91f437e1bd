/* certify.h - the proof that an integer network is a trained one: the certificate's checker.
 *
 * Both graphs are walked from the output side by side. Layers must have the same geometry and the weight
 * codes and steps of the quantisers' definition, every requantisation must stand where the trained network
 * quantises and give the consumer's type, pools, reorg and concat must be the same, and nothing may be left
 * over. A requantisation is then right if and only if every channel's integer rule gives the trained code for
 * every reachable accumulator: both are monotone, so it is enough that the rule's code is the trained one at
 * both ends of the range and on both sides of every place where the rule's code steps. The trained codes come
 * from exact_code.h, one value at a time; the solver's arithmetic is not used. */
#ifndef MIXQ_LOWER_CERTIFY_H
#define MIXQ_LOWER_CERTIFY_H

#include "inet/certificate.h"
#include "net/checkpoint.h"

/* The network is saved or loaded, not `compat`. *certificate: mq_certificate_describe's, with
 *   "checkpoint_sha256"   the caller's text
 *   "published"           per layer: what the published rule would take at lshift 16, and in how many
 *                         channels its codes are not the trained ones (null where it does not fit 62 bits)
 *   "bias_rounding"       largest distance of the last layer's biases from their integers, in units
 * Release with json_decref. A difference is MQ_CHECK_FAILED and names node, channel and accumulator. */
mq_status mq_certify(const mq_checkpoint *checkpoint, const char *checkpoint_sha256, const mq_inet *net,
                     json_t **certificate, mq_error *error) MQ_MUST_CHECK;

#endif
