/* commands.c - the one table of commands. */
#include "cli/commands.h"

#include <stddef.h>

const cli_command *const cli_commands[] = {
#ifdef MIXQ_TRAIN
    &cli_search,   &cli_train,  &cli_pareto, &cli_test,   &cli_import, &cli_export, &cli_simulate, &cli_diff,
    &cli_estimate, &cli_build,  &cli_verify, &cli_synth,  &cli_cost,   &cli_models, &cli_devices,  &cli_data,
    &cli_bench,    &cli_doctor, &cli_pack,   &cli_report, &cli_help,   NULL,
#else
    &cli_simulate, &cli_diff, &cli_estimate, &cli_build, &cli_verify, &cli_synth, &cli_models,
    &cli_devices,  &cli_data, &cli_doctor,   &cli_pack,  &cli_report, &cli_help,  NULL,
#endif
};
