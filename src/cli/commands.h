/* commands.h - every command of the table, one file each. */
#ifndef MIXQ_CLI_COMMANDS_H
#define MIXQ_CLI_COMMANDS_H

#include "cli/cli.h"

extern const cli_command cli_search, cli_train, cli_test;

#endif
