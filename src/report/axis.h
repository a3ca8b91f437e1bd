/* axis.h - a scale with round steps. For the files of this room. */
#ifndef MIXQ_REPORT_AXIS_H
#define MIXQ_REPORT_AXIS_H

#include "report/chart.h"

typedef struct mq_axis {
    double low, high, step;
    int decimals;
} mq_axis;

/* About `ticks` steps or fewer of 1, 2 or 5 times a power of ten around low..high; equal ends are widened. */
mq_axis mq_axis_make(double low, double high, int ticks);
/* Steps of 1 between whole numbers. */
mq_axis mq_axis_whole(double low, double high);
/* Of all series; false when there is no number. */
bool mq_axis_ranges(const mq_chart *chart, mq_axis *x, mq_axis *y);

#endif
