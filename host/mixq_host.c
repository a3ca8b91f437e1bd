/* mixq_host.c - frames, beats and errors. */
#include "mixq_host.h"

#include <stdio.h>
#include <string.h>

static mixq_result fail(mixq_session *s, mixq_result result, const char *text) {
    snprintf(s->text, sizeof s->text, "%s", text);
    return result;
}

/* ---- beats ---- */

static size_t groups_of(const mixq_stream *s) {
    return (size_t)((s->c + s->channels - 1) / s->channels);
}

static size_t row_beats(const mixq_stream *s) {
    return (size_t)((s->w + s->pixels - 1) / s->pixels);
}

size_t mixq_stream_bytes(const mixq_stream *s) {
    return (size_t)s->h * groups_of(s) * row_beats(s) * (size_t)s->bytes;
}

size_t mixq_stream_values(const mixq_stream *s) {
    return (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

/* Where value (y, x, c) of `bytes` bytes stands. */
static size_t place(const mixq_stream *s, int y, int x, int c, size_t bytes) {
    size_t beat =
        ((size_t)y * groups_of(s) + (size_t)(c / s->channels)) * row_beats(s) + (size_t)(x / s->pixels);
    return beat * (size_t)s->bytes + (size_t)(x % s->pixels * s->channels + c % s->channels) * bytes;
}

void mixq_pack_frame(const mixq_stream *s, const uint8_t *pixels, uint8_t *beats) {
    memset(beats, 0, mixq_stream_bytes(s));
    for (int y = 0; y < s->h; y++)
        for (int x = 0; x < s->w; x++)
            for (int c = 0; c < s->c; c++) beats[place(s, y, x, c, 1)] = *pixels++;
}

void mixq_unpack_head(const mixq_stream *s, const uint8_t *beats, int32_t *head) {
    for (int y = 0; y < s->h; y++)
        for (int x = 0; x < s->w; x++)
            for (int c = 0; c < s->c; c++) {
                const uint8_t *at = beats + place(s, y, x, c, 4);
                uint32_t value = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
                *head++ = (int32_t)value;
            }
}

/* ---- sessions ---- */

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int same_network(const char *text, const uint8_t identity[MIXQ_IDENTITY]) {
    for (int i = 0; i < MIXQ_IDENTITY; i++) {
        int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (high < 0 || low < 0 || identity[i] != high * 16 + low) return 0;
    }
    return text[2 * MIXQ_IDENTITY] == 0;
}

static mixq_result check_link(mixq_session *s) {
    const mixq_device *a = s->accelerator;
    if (s->link.in_room < mixq_stream_bytes(&a->in) || s->link.out_room < mixq_stream_bytes(&a->out))
        return fail(s, MIXQ_BROKEN, "the transport's buffers are smaller than a frame");
    if (!s->link.has_identity)
        return fail(s, MIXQ_MISMATCH, "the hardware does not say which network it holds");
    if (!same_network(a->network, s->link.identity)) {
        snprintf(s->text, sizeof s->text, "the hardware holds network %02x%02x%02x%02x..., expected %.8s...",
                 s->link.identity[0], s->link.identity[1], s->link.identity[2], s->link.identity[3],
                 a->network);
        return MIXQ_MISMATCH;
    }
    return MIXQ_DONE;
}

mixq_result mixq_open(mixq_session *s, const mixq_device *accelerator, const mixq_transport *transport,
                      const char *where) {
    memset(s, 0, sizeof *s);
    s->accelerator = accelerator;
    s->transport = transport;
    mixq_result result = transport->open(&s->link, where, mixq_stream_bytes(&accelerator->in),
                                         mixq_stream_bytes(&accelerator->out));
    if (result != MIXQ_DONE) return fail(s, result, s->link.text);
    s->opened = 1;
    result = check_link(s);
    if (result != MIXQ_DONE) mixq_close(s);
    return result;
}

void mixq_close(mixq_session *s) {
    if (s->opened) s->transport->close(&s->link);
    s->opened = 0;
}

const char *mixq_error(const mixq_session *s) {
    return s->text[0] ? s->text : "no error";
}

mixq_result mixq_run(mixq_session *s, const void *pixels, size_t bytes, mixq_pixels type, int milliseconds,
                     int32_t *head, size_t head_count) {
    const mixq_device *a = s->accelerator;
    size_t sent = mixq_stream_bytes(&a->in), expected = mixq_stream_bytes(&a->out);
    if (!s->opened) return fail(s, MIXQ_BROKEN, "the session is not open");
    if (type != MIXQ_U8) return fail(s, MIXQ_WRONG, "frames of unsigned 8-bit pixels expected");
    if (bytes != mixq_stream_values(&a->in)) {
        snprintf(s->text, sizeof s->text, "a frame of %zu bytes, expected %d x %d x %d", bytes, a->in.h,
                 a->in.w, a->in.c);
        return MIXQ_WRONG;
    }
    if (head_count != mixq_stream_values(&a->out)) {
        snprintf(s->text, sizeof s->text, "room for %zu values, expected %d x %d x %d", head_count, a->out.h,
                 a->out.w, a->out.c);
        return MIXQ_WRONG;
    }
    mixq_pack_frame(&a->in, pixels, s->link.in);
    s->link.got = 0;
    mixq_result result = s->transport->read(&s->link, expected);
    if (result == MIXQ_DONE) result = s->transport->write(&s->link, sent);
    if (result == MIXQ_DONE) result = s->transport->wait(&s->link, milliseconds);
    if (result != MIXQ_DONE) return fail(s, result, s->link.text);
    if (s->link.got != expected) {
        snprintf(s->text, sizeof s->text, "the answer has %zu bytes, expected %zu", s->link.got, expected);
        return MIXQ_TRUNCATED;
    }
    mixq_unpack_head(&a->out, s->link.out, head);
    return MIXQ_DONE;
}
