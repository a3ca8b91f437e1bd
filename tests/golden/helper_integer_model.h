/* helper_integer_model.h - the golden integer models (integer_model.json, .safetensors) as mq_inet. */
#ifndef MIXQ_TESTS_GOLDEN_HELPER_INTEGER_MODEL_H
#define MIXQ_TESTS_GOLDEN_HELPER_INTEGER_MODEL_H

#include "inet/inet.h"

/* Builds the network of a folder by the published rules. Its model is named by checkpoint.safetensors's
 * metadata or by expected.json, here or one folder up, else by its layers. */
mq_status golden_integer_model(const char *folder, mq_inet **out, mq_error *error);

#endif
