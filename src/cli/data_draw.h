/* data_draw.h - `mixq data draw`: sheets of a detection set's images with their boxes. */
#ifndef MIXQ_CLI_DATA_DRAW_H
#define MIXQ_CLI_DATA_DRAW_H

#include "cli/cli.h"

/* args->word[1] the data set, [2] the folder. */
mq_status data_draw(const cli_args *args, mq_error *error) MQ_MUST_CHECK;

#endif
