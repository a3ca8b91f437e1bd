/* beats.c - packing and unpacking of beats. Digit k of a line (from its end) holds bits 4k..4k+3. */
#include "gen/beats.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { WIDEST = 1 << 20 }; /* bits of a beat */

int mq_axis_bits(int64_t bits) {
    int width = 8;
    while (width < bits) width *= 2;
    return width;
}

/* Where the beats of a frame stand: called for each in order of time. */
typedef struct place {
    int row, channel, column; /* of its first pixel and channel */
} place;

static bool next(const mq_stream *s, place *p) {
    p->column += s->pixels;
    if (p->column < s->w) return true;
    p->column = 0;
    p->channel += s->channels;
    if (p->channel < s->c) return true;
    p->channel = 0;
    return ++p->row < s->h;
}

static mq_status line_buffer(const mq_stream *s, int bits, char **out, mq_error *error) {
    int64_t own = (int64_t)s->channels * s->pixels * s->bits;
    if (own < 1 || own > bits || bits > WIDEST)
        return mq_fail(error, MQ_BAD_INPUT,
                       "a beat of %d channels x %d pixels x %d bits in %d bits: too wide", s->channels,
                       s->pixels, s->bits, bits);
    return mq_alloc((size_t)bits / 4 + 16, 1, "a beat", out, error);
}

static void set_bits(char *line, int digits, int64_t at, int bits, unsigned value) {
    for (int i = 0; i < bits; i++, at++) {
        char *digit = &line[digits - 1 - at / 4];
        int v = *digit <= '9' ? *digit - '0' : *digit - 'a' + 10;
        if (value >> i & 1) v |= 1 << at % 4;
        *digit = "0123456789abcdef"[v];
    }
}

mq_status mq_beats_write(const mq_stream *s, const uint8_t *image, int bits, mq_outfile *file,
                         mq_error *error) {
    const int digits = (bits + 3) / 4;
    place p = {0};
    char *line;
    mq_status status = MQ_OK;
    MQ_TRY(line_buffer(s, bits, &line, error));
    do {
        memset(line, '0', (size_t)digits);
        line[digits] = '\n';
        for (int x = 0; x < s->pixels && p.column + x < s->w; x++)
            for (int c = 0; c < s->channels && p.channel + c < s->c; c++)
                set_bits(line, digits, (int64_t)(x * s->channels + c) * s->bits, s->bits,
                         image[((size_t)(p.channel + c) * (size_t)s->h + (size_t)p.row) * (size_t)s->w +
                               (size_t)(p.column + x)]);
        status = mq_outfile_write(file, line, (size_t)digits + 1, error);
    } while (status == MQ_OK && next(s, &p));
    mq_free(line);
    return status;
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* The signed or unsigned number at bit `at` of a line. */
static int64_t get_bits(const char *line, int digits, int64_t at, int bits, bool is_signed) {
    uint64_t v = 0;
    for (int i = 0; i < bits; i++, at++)
        v |= (uint64_t)(digit_of(line[digits - 1 - at / 4]) >> at % 4 & 1) << i;
    if (is_signed && bits < 64 && v >> (bits - 1)) v |= ~(uint64_t)0 << bits;
    return (int64_t)v;
}

static mq_status read_line(FILE *file, const char *path, int64_t number, char *line, int digits,
                           mq_error *error) {
    if (!fgets(line, digits + 3, file))
        return mq_fail(error, MQ_CHECK_FAILED, "%s: ends after %lld beats", path, (long long)number);
    int got = (int)strcspn(line, "\r\n");
    if (got != digits)
        return mq_fail(error, MQ_CHECK_FAILED, "%s: line %lld: %d digits, expected %d", path,
                       (long long)number + 1, got, digits);
    for (int i = 0; i < digits; i++)
        if (digit_of(line[i]) < 0)
            return mq_fail(error, MQ_CHECK_FAILED, "%s: line %lld: '%c' is no digit of a known value", path,
                           (long long)number + 1, line[i]);
    return MQ_OK;
}

static void see_beat(const mq_stream *s, const place *p, const char *line, int digits, int64_t frame,
                     mq_beats_see *see, void *context) {
    for (int x = 0; x < s->pixels && p->column + x < s->w; x++)
        for (int c = 0; c < s->channels && p->channel + c < s->c; c++)
            see(context, frame, p->channel + c, p->row, p->column + x,
                get_bits(line, digits, (int64_t)(x * s->channels + c) * s->bits, s->bits, s->is_signed));
}

mq_status mq_beats_read(const mq_stream *s, const char *path, int bits, int64_t frames, mq_beats_see *see,
                        void *context, mq_error *error) {
    const int digits = (bits + 3) / 4;
    char *line;
    mq_status status = MQ_OK;
    int64_t number = 0;
    MQ_TRY(line_buffer(s, bits, &line, error));
    FILE *file = fopen(path, "r");
    if (!file) {
        mq_free(line);
        return mq_fail_errno(error, "cannot read", path);
    }
    for (int64_t frame = 0; status == MQ_OK && frame < frames; frame++) {
        place p = {0};
        do {
            status = read_line(file, path, number++, line, digits, error);
            if (status == MQ_OK) see_beat(s, &p, line, digits, frame, see, context);
        } while (status == MQ_OK && next(s, &p));
    }
    fclose(file);
    mq_free(line);
    return status;
}
