/* commands.c - the one table of commands. */
#include "cli/commands.h"

#include <stddef.h>

const cli_command *const cli_commands[] = {
#ifdef MIXQ_TRAIN
    &cli_search,
    &cli_train,
    &cli_test,
#endif
    NULL,
};
