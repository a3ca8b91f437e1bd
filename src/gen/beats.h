/* beats.h - images and codes as the beats of a stream (docs/accelerator.md, "Streams"), one hexadecimal
 * number a line: what the test benches read and the taps write. */
#ifndef MIXQ_GEN_BEATS_H
#define MIXQ_GEN_BEATS_H

#include <stdint.h>

#include "accel/stage.h"
#include "base/file.h"

/* Bits of an AXI-Stream port for beats of so many bits: the next power of two of bytes. */
int mq_axis_bits(int64_t bits);

/* Appends the beats of one image, codes of s->bits in [c][h][w] order, padded with zeros, as lines of `bits`
 * bits (at least the beat's own). */
mq_status mq_beats_write(const mq_stream *s, const uint8_t *image, int bits, mq_outfile *file,
                         mq_error *error) MQ_MUST_CHECK;

/* Sees every code of a frame that is not padding. */
typedef void mq_beats_see(void *context, int64_t frame, int channel, int row, int column, int64_t value);

/* Reads `frames` frames of beats of `bits` bits (at least the beat's own). MQ_CHECK_FAILED names the file and
 * line: too few beats, a digit that is none (x, z). */
mq_status mq_beats_read(const mq_stream *s, const char *path, int bits, int64_t frames, mq_beats_see *see,
                        void *context, mq_error *error) MQ_MUST_CHECK;

#endif
