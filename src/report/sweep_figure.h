/* sweep_figure.h - a sweep's results as one figure: quality against its cost, a curve per method. */
#ifndef MIXQ_REPORT_SWEEP_FIGURE_H
#define MIXQ_REPORT_SWEEP_FIGURE_H

#include "report/run_figures.h"

typedef enum mq_sweep_cost {
    MQ_SWEEP_DSP_OPS,
    MQ_SWEEP_CYCLES /* a frame on the sweep's device, where it has one */
} mq_sweep_cost;

/* results: what results.json of a sweep holds (docs/sweeps.md). A mark per method and price, target or width:
 * means over its seeds, bars of one sample standard deviation. Logarithmic where costs span more than a
 * factor of 4. Nothing is drawn without a trained point. MQ_BAD_INPUT: not such results. */
mq_status mq_figure_sweep(const json_t *results, mq_sweep_cost cost, mq_figure_form form, mq_page *page,
                          bool *drawn, mq_error *error) MQ_MUST_CHECK;

/* The folder of a sweep. */
typedef struct mq_sweep_data {
    char name[MQ_REPORT_NAME]; /* of the folder, printable */
    json_t *results;           /* results.json */
} mq_sweep_data;
/* MQ_BAD_INPUT: no results yet, or not such. */
mq_status mq_sweep_data_read(const char *path, mq_sweep_data *out, mq_error *error) MQ_MUST_CHECK;
void mq_sweep_data_clear(mq_sweep_data *sweep);
/* Figure and tables of sweep number i, as a section of a page. */
mq_status mq_sweep_section(const mq_sweep_data *sweep, int i, mq_page *page, mq_error *error) MQ_MUST_CHECK;

#endif
