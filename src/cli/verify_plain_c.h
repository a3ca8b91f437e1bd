/* verify_plain_c.h - the rung of `mixq verify` on a folder of `build --target c`: its C compiled, run on the
 * vectors, its outputs compared. */
#ifndef MIXQ_CLI_VERIFY_PLAIN_C_H
#define MIXQ_CLI_VERIFY_PLAIN_C_H

#include "cli/verify_vectors.h"

typedef struct verify_plain_c_result {
    uint64_t mismatches;
    char compilers[64]; /* "cc and clang" */
} verify_plain_c_result;

/* dir: the build folder; it is left as it is, everything goes to `work`. MQ_CHECK_FAILED also when there is
 * no compiler. */
mq_status verify_plain_c_run(const char *dir, const char *work, const mq_inet *net,
                             const verify_vectors *vectors, verify_plain_c_result *out,
                             mq_error *error) MQ_MUST_CHECK;

#endif
