/* bits_file.h - bits.json: written by search and train, read by train --bits. */
#ifndef MIXQ_CLI_BITS_FILE_H
#define MIXQ_CLI_BITS_FILE_H

#include "io/json.h"
#include "net/bits.h"
#include "search/cost.h"

/* {"model", "bitw", "bita", "dsp_ops_M", "factors", "bit_ops_M", ...}; a new reference, NULL = out of memory.
 * "device", "clock_mhz", "target_fps" and "device_share" where the cost is priced on one; dsp_ops_M is null
 * where the table has no entry and when cost is NULL. */
json_t *bits_file_make(const mq_net *net, const mq_bits *bits, const mq_cost_model *cost,
                       const char *factors);

/* path: a bits.json, or a run folder that has one. */
mq_status bits_file_read(const char *path, const mq_net *net, mq_bits *out, mq_error *error) MQ_MUST_CHECK;

#endif
