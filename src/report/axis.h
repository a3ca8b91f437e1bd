/* axis.h - a scale with round steps. For the files of this room. */
#ifndef MIXQ_REPORT_AXIS_H
#define MIXQ_REPORT_AXIS_H

#include "report/chart.h"

typedef struct mq_axis {
    double low, high, step; /* step 0: logarithmic */
    int decimals;
} mq_axis;

/* About `ticks` steps or fewer of 1, 2 or 5 times a power of ten around low..high; equal ends are widened. */
mq_axis mq_axis_make(double low, double high, int ticks);
/* Steps of 1 between whole numbers. */
mq_axis mq_axis_whole(double low, double high);
/* Logarithmic, a little wider than low..high; 0 < low <= high. */
mq_axis mq_axis_log(double low, double high);
/* Where a number stands, 0 at the low end and 1 at the high one; beyond them it is put there. */
double mq_axis_part(const mq_axis *axis, double v);
/* The numbers to write at the axis; returns how many, 2 or more. */
enum { MQ_AXIS_TICKS = 32 };
int mq_axis_ticks(const mq_axis *axis, double out[MQ_AXIS_TICKS]);
/* One of them as text. */
void mq_axis_text(const mq_axis *axis, double v, char out[32]);
/* Of all series; false when there is no number. */
bool mq_axis_ranges(const mq_chart *chart, mq_axis *x, mq_axis *y);

#endif
