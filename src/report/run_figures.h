/* run_figures.h - the figures of runs, each as SVG or as text. */
#ifndef MIXQ_REPORT_RUN_FIGURES_H
#define MIXQ_REPORT_RUN_FIGURES_H

#include "report/chart.h"
#include "report/run_data.h"

typedef enum mq_figure_form {
    MQ_FIGURE_IN_PAGE, /* SVG inside a page */
    MQ_FIGURE_SVG,     /* a whole SVG document */
    MQ_FIGURE_TEXT     /* for a terminal */
} mq_figure_form;
enum { MQ_FIGURE_COLUMNS = 100 /* of a terminal */ };

/* Loss, and accuracy or IoU, of training and test over the epochs. */
mq_status mq_figure_loss(const mq_run_data *run, mq_figure_form form, mq_page *page,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_figure_quality(const mq_run_data *run, mq_figure_form form, mq_page *page,
                            mq_error *error) MQ_MUST_CHECK;
/* A search: every layer's bits after every epoch (at most 40 of them, evenly) and how decided they are. A
 * run without bits per epoch draws nothing; *drawn says so. */
mq_status mq_figure_bits(const mq_run_data *run, mq_figure_form form, mq_page *page, bool *drawn,
                         mq_error *error) MQ_MUST_CHECK;
/* Quality against DSP operations: a point per run, a search's way over its epochs as a line. Runs without
 * DSP operations or of another quality than the first's are left out; nothing is drawn without two points. */
mq_status mq_figure_front(const mq_run_data *runs, int count, mq_figure_form form, mq_page *page, bool *drawn,
                          mq_error *error) MQ_MUST_CHECK;

void mq_figure_chart(const mq_chart *chart, mq_figure_form form, mq_page *page);
void mq_figure_grid(const mq_grid *grid, mq_figure_form form, mq_page *page);

#endif
