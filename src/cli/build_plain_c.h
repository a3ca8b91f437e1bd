/* build_plain_c.h - the target c of `mixq build`. */
#ifndef MIXQ_CLI_BUILD_PLAIN_C_H
#define MIXQ_CLI_BUILD_PLAIN_C_H

#include "cli/cli.h"

/* NET, --out and --force; --device has no meaning here. Writes <model>.c and <model>.h, where the export has
 * vectors also <model>_bench.c with its numbers, and manifest.json: all of it or nothing. Prints what was
 * done. */
mq_status build_plain_c(const cli_args *args, mq_error *error) MQ_MUST_CHECK;

#endif
