/* plot_file.h - the option --plot: a figure into an .svg file, or as text on stdout ("-"). */
#ifndef MIXQ_CLI_PLOT_FILE_H
#define MIXQ_CLI_PLOT_FILE_H

#include "cli/cli.h"
#include "report/run_figures.h"

/* Before the work: MQ_USAGE for "-" together with --json. */
mq_status plot_check(const cli_args *args, const char *path, mq_error *error) MQ_MUST_CHECK;
mq_figure_form plot_form(const char *path);
/* Writes what the page holds and releases it. */
mq_status plot_write(const char *path, mq_page *page, mq_error *error) MQ_MUST_CHECK;

#endif
