/* png.h - writing images as PNG, through libpng. */
#ifndef MIXQ_IO_PNG_H
#define MIXQ_IO_PNG_H

#include <stdint.h>

#include "base/status.h"
#include "io/pixels.h"

/* pixels: uint8 [height][width][channels], channels 1 (grey) or 3; the file appears whole or not at all
 * (unsynced). MQ_USAGE for another number of channels or sides outside 1..65535, MQ_BAD_INPUT when it cannot
 * be written.
 */
mq_status mq_png_write(const char *path, const uint8_t *pixels, int height, int width, int channels,
                       mq_channel_order order, mq_error *error) MQ_MUST_CHECK;

#endif
