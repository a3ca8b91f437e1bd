/* export.h - writing a data set as files that can be looked at and read again. */
#ifndef MIXQ_DATA_EXPORT_H
#define MIXQ_DATA_EXPORT_H

#include "base/status.h"
#include "data/dataset.h"
#include "tensor/tensor.h"

enum { MQ_EXPORT_QUALITY = 95 };

/* Writes below `folder`, made if need be, images as the set gives them, at the network's size:
 * of a detection set CLASS/NAME.jpg and NAME.xml beside it, for `dac-sdc` (NAME alone where the set has names
 * with folders); of a classification set CLASS/NAME.png. CLASS is the class's name, '/' and a leading '.'
 * replaced by '_', or its number. A detection image must have exactly one object, with three channels, else
 * MQ_USAGE. written: images so far. */
mq_status mq_dataset_export(const mq_dataset *dataset, const char *folder, size_t *written,
                            mq_error *error) MQ_MUST_CHECK;

/* All of a classification set as arrays: x uint8 [count][channels][height][width], y int32 [count]; MQ_USAGE
 * of a detection set. Release with mq_tensor_free. */
mq_status mq_dataset_arrays(mq_dataset *dataset, mq_tensor *x, mq_tensor *y, mq_error *error) MQ_MUST_CHECK;

#endif
