/* report.h - one page about runs and the networks made of them. */
#ifndef MIXQ_REPORT_REPORT_H
#define MIXQ_REPORT_REPORT_H

#include "report/page.h"
#include "report/run_data.h"
#include "report/sweep_figure.h"

enum { MQ_REPORT_FOLDERS = 60 };

typedef struct mq_report {
    int sweep_count, run_count, net_count;
    mq_sweep_data sweep[MQ_REPORT_FOLDERS];
    mq_run_data run[MQ_REPORT_FOLDERS];
    mq_net_data net[MQ_REPORT_FOLDERS];
} mq_report;

/* Reads a folder into the report: a run (it has run.json), a sweep (sweep.json) or a network (net.json), else
 * MQ_BAD_INPUT. The path is borrowed until mq_report_clear. */
mq_status mq_report_add(mq_report *report, const char *path, mq_error *error) MQ_MUST_CHECK;
void mq_report_clear(mq_report *report);

/* HTML that loads nothing: styles and figures are in it. Depends on the folders alone: no dates. Release with
 * mq_free. */
mq_status mq_report_html(const mq_report *report, char **out, mq_error *error) MQ_MUST_CHECK;
/* The figures of sweeps and runs for a terminal. */
mq_status mq_report_text(const mq_report *report, char **out, mq_error *error) MQ_MUST_CHECK;

#endif
