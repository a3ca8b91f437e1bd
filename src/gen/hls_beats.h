/* hls_beats.h - frames of codes as beats of a stream (docs/accelerator.md) and back. A beat takes whole
 * bytes, lowest first. */
#ifndef MIXQ_GEN_HLS_BEATS_H
#define MIXQ_GEN_HLS_BEATS_H

#include "accel/stage.h"

static inline size_t mq_beat_bytes(const mq_stream *s) {
    return ((size_t)s->channels * (size_t)s->pixels * (size_t)s->bits + 7) / 8;
}
static inline size_t mq_frame_bytes(const mq_stream *s) {
    return (size_t)mq_stream_beats(s) * mq_beat_bytes(s);
}
/* Of the AXI-Stream port that carries such beats: the next power of two. */
static inline size_t mq_hls_axis_bytes(const mq_stream *s) {
    size_t bytes = 1;
    while (bytes < mq_beat_bytes(s)) bytes *= 2;
    return bytes;
}
/* codes [h][w][c]; bytes [mq_frame_bytes]. What pads groups and rows is 0. */
void mq_beats_pack(const mq_stream *s, const int64_t *codes, uint8_t *bytes);
/* The padding is not looked at. */
void mq_beats_unpack(const mq_stream *s, const uint8_t *bytes, int64_t *codes);

#endif
