/* row_choices.h - the packings that could multiply a layer: every way to cover a kernel row that the
 * generator builds and that no other beats. */
#ifndef MIXQ_ACCEL_ROW_CHOICES_H
#define MIXQ_ACCEL_ROW_CHOICES_H

#include "accel/resource_model.h"

typedef struct mq_row_choice {
    int kinds;
    mq_plan_piece piece[MQ_BUILT_PIECES];
    mq_row_model model;
    double mults; /* useful multiplications of a slice and cycle */
} mq_row_choice;

typedef struct mq_row_choices {
    int count, room;
    mq_row_choice *choice; /* owned */
} mq_row_choices;

/* Classes i and ii, one zero point for all activations of a row, ports that fit or are offset. Empty for a
 * layer whose codes no packing takes (signed, more than 8 bits). A front over outputs of a slice, cascade,
 * repair, window, stored bits: nothing that could be best is dropped. */
mq_status mq_row_choices_make(mq_pack_explorer *explorer, const mq_dsp *dsp, const mq_inet *net, int node,
                              mq_row_choices *out, mq_error *error) MQ_MUST_CHECK;
void mq_row_choices_free(mq_row_choices *choices);

#endif
