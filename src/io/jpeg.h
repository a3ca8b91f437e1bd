/* jpeg.h - reading and writing JPEG, through libjpeg-turbo. */
#ifndef MIXQ_IO_JPEG_H
#define MIXQ_IO_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/pixels.h"

enum {
    MQ_JPEG_PIXELS = 1 << 26, /* height * width at most */
    MQ_JPEG_BYTES = 1 << 28   /* of a file at most */
};

/* The size that the header states. bytes: a whole file; path: its name, for messages. MQ_BAD_INPUT: no JPEG,
 * or more than MQ_JPEG_PIXELS. */
mq_status mq_jpeg_size(const char *path, const uint8_t *bytes, size_t size, int *height, int *width,
                       mq_error *error) MQ_MUST_CHECK;
/* Decodes into out, uint8 [height][width][3] of that size. Grey is copied to three channels, CMYK (Adobe's
 * inverted form and the plain one) becomes colours by c * k. MQ_BAD_INPUT: damaged or cut short, even if some
 * of it could be shown. */
mq_status mq_jpeg_decode(const char *path, const uint8_t *bytes, size_t size, mq_channel_order order,
                         int height, int width, uint8_t *out, mq_error *error) MQ_MUST_CHECK;
/* pixels: uint8 [height][width][3], sides 1..65500; quality 1..100, colours at full resolution from 90 on.
 * The file appears whole or not at all (unsynced). */
mq_status mq_jpeg_write(const char *path, const uint8_t *pixels, int height, int width,
                        mq_channel_order order, int quality, mq_error *error) MQ_MUST_CHECK;

#endif
