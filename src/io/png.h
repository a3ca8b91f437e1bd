/* png.h - reading and writing images as PNG, through libpng. */
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

enum { MQ_PNG_PIXELS = 1 << 26 }; /* height * width at most, of a file that is read */

/* The size that the header states. bytes: a whole file; path: its name, for messages. MQ_BAD_INPUT: no PNG,
 * or more than MQ_PNG_PIXELS. */
mq_status mq_png_size(const char *path, const uint8_t *bytes, size_t size, int *height, int *width,
                      mq_error *error) MQ_MUST_CHECK;
/* Decodes into out, uint8 [height][width][3] of that size, red first: grey is copied, palettes and 16 bits
 * become 8-bit colours, transparency is laid over black. MQ_BAD_INPUT: damaged or cut short. */
mq_status mq_png_decode(const char *path, const uint8_t *bytes, size_t size, int height, int width,
                        uint8_t *out, mq_error *error) MQ_MUST_CHECK;

#endif
