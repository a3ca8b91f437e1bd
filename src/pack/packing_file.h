/* packing_file.h - packings as JSON: one object per packing, the description first, then what is derived.
 *
 * {"dsp": "dsp48e2", "weight_codes": [-2, 1], "activation_codes": [0, 3], "weights_port": "narrow", "cycles":
 * 1, "weights": [{"position": 0, "group": 0, "step": 0}, ...], "activations": [{"position": 0, "group": 0,
 * "step": 0, "zero": 0}, ...]}
 *
 * A file may hold just these keys; the rest is derived, and a packing that is not exact is refused. */
#ifndef MIXQ_PACK_PACKING_FILE_H
#define MIXQ_PACK_PACKING_FILE_H

#include "io/json.h"
#include "pack/packing.h"

/* A new reference with description and derived values; NULL = out of memory. */
json_t *mq_packing_json(const mq_packing *packing);
/* MQ_BAD_INPUT with what is wrong; a packing that is not exact: the field and the values that break it. */
mq_status mq_packing_read(const json_t *root, const char *where, mq_packing *out,
                          mq_error *error) MQ_MUST_CHECK;
mq_status mq_packing_load(const char *path, mq_packing *out, mq_error *error) MQ_MUST_CHECK;

#endif
