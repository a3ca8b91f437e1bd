/* hls_beats.c - frames as beats and back. */
#include "gen/hls_beats.h"

#include <string.h>

/* Calls for every code its beat and bit. */
static void walk(const mq_stream *s, const int64_t *from, uint8_t *to, const uint8_t *bytes, int64_t *codes) {
    int groups = (s->c + s->channels - 1) / s->channels, xs = (s->w + s->pixels - 1) / s->pixels;
    size_t each = mq_beat_bytes(s);
    for (int y = 0; y < s->h; y++)
        for (int c = 0; c < s->c; c++)
            for (int x = 0; x < s->w; x++) {
                size_t beat = ((size_t)y * (size_t)groups + (size_t)(c / s->channels)) * (size_t)xs +
                              (size_t)(x / s->pixels);
                size_t bit = ((size_t)(x % s->pixels) * (size_t)s->channels + (size_t)(c % s->channels)) *
                             (size_t)s->bits;
                size_t at = ((size_t)y * (size_t)s->w + (size_t)x) * (size_t)s->c + (size_t)c;
                uint64_t value = 0;
                for (int b = 0; b < s->bits; b++, bit++) {
                    size_t byte = beat * each + bit / 8;
                    if (to)
                        to[byte] |= (uint8_t)(((uint64_t)from[at] >> b & 1) << (bit % 8));
                    else
                        value |= (uint64_t)(bytes[byte] >> (bit % 8) & 1) << b;
                }
                if (codes && s->is_signed && value >> (s->bits - 1) & 1)
                    value |= ~(((uint64_t)1 << s->bits) - 1);
                if (codes) codes[at] = (int64_t)value;
            }
}

void mq_beats_pack(const mq_stream *s, const int64_t *codes, uint8_t *bytes) {
    memset(bytes, 0, mq_frame_bytes(s));
    walk(s, codes, bytes, NULL, NULL);
}

void mq_beats_unpack(const mq_stream *s, const uint8_t *bytes, int64_t *codes) {
    walk(s, NULL, NULL, bytes, codes);
}
