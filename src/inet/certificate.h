/* certificate.h - certificate.json: what was proven of an export when it was made (docs/formats.md).
 *
 * The part that can be said from the network alone, and again from its files by anyone: per requantisation
 * the accumulators it can meet, how many channels have which rule, at how many places their codes step, and a
 * digest of all these places. The proof that the places are the trained network's is made in lower/certify.h,
 * which adds its own keys. */
#ifndef MIXQ_INET_CERTIFICATE_H
#define MIXQ_INET_CERTIFICATE_H

#include "inet/inet.h"
#include "io/json.h"

#define MQ_CERTIFICATE_FORMAT "mixq-certificate"
#define MQ_CERTIFICATE_FILE   "certificate.json"

/* The code of channel c at acc: the definition in inet.h, in 128 bits. */
int64_t mq_rule_code(const mq_inet_requant *r, int c, int64_t acc);
/* The first accumulator above from, up to last, whose code is not that of from; false when there is none.
 * Rules are monotone. */
bool mq_rule_next_step(const mq_inet_requant *r, int c, int64_t from, int64_t last, int64_t *at);

/* {"format", "version", "model", "net_sha256", "weights_sha256", "layers": [...], "head", "totals"}; the
 * network is saved or loaded. Release with json_decref. */
mq_status mq_certificate_describe(const mq_inet *net, json_t **out, mq_error *error) MQ_MUST_CHECK;

/* Fails with MQ_CHECK_FAILED when some member of expected is not the same in got, naming it:
 * "where: layers[2] 'conv2.requant': shift: got 17, expected 18". Members that expected lacks are passed over
 * unless whole is true. */
mq_status mq_json_same(const char *where, const json_t *got, const json_t *expected, bool whole,
                       mq_error *error) MQ_MUST_CHECK;

#endif
