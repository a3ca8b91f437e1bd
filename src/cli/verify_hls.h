/* verify_hls.h - the rung of `mixq verify` on a build folder: its HLS C++ compiled and run on the vectors,
 * every layer compared. */
#ifndef MIXQ_CLI_VERIFY_HLS_H
#define MIXQ_CLI_VERIFY_HLS_H

#include "cli/verify_vectors.h"
#include "gen/hls_run.h"

typedef struct verify_hls_result {
    uint64_t mismatches;
    int layers; /* compared */
    mq_hls_times times;
} verify_hls_result;

/* dir: the build folder; it is left as it is, everything goes to `work`. */
mq_status verify_hls_run(const char *dir, const char *work, const mq_inet *net, const verify_vectors *vectors,
                         verify_hls_result *out, mq_error *error) MQ_MUST_CHECK;

#endif
