/* commands.h - every command of the table, one file each. */
#ifndef MIXQ_CLI_COMMANDS_H
#define MIXQ_CLI_COMMANDS_H

#include "cli/cli.h"

extern const cli_command cli_search, cli_train, cli_test, cli_import, cli_export, cli_cost, cli_bench,
    cli_pareto; /* training side */
extern const cli_command cli_simulate, cli_diff, cli_estimate, cli_build, cli_verify, cli_synth, cli_models,
    cli_devices, cli_data, cli_doctor, cli_pack, cli_report, cli_help;

#endif
