/* make_pt.h - makes .pt files by hand, good and bad ones: a byte buffer, a pickle emitter and a zip writer.
 */
#ifndef MIXQ_TESTS_IO_MAKE_PT_H
#define MIXQ_TESTS_IO_MAKE_PT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static inline void put_raw(bytes *b, const void *data, size_t size) {
    b->data = realloc(b->data, b->size + size + 1);
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static inline void put_text(bytes *b, const char *text) {
    put_raw(b, text, strlen(text));
}

static inline void put_number(bytes *b, uint64_t value, int n) {
    for (int i = 0; i < n; i++) {
        uint8_t byte = i < 8 ? (uint8_t)(value >> (8 * i)) : 0;
        put_raw(b, &byte, 1);
    }
}

/* ---- pickle ---- */

static inline void put_string(bytes *b, const char *text) {
    put_text(b, "X");
    put_number(b, strlen(text), 4);
    put_text(b, text);
}

static inline void put_int(bytes *b, int64_t value) {
    put_number(b, 0x8a, 1);
    put_number(b, 8, 1);
    put_number(b, (uint64_t)value, 8);
}

static inline void put_ints(bytes *b, const int64_t *values, int n) {
    put_text(b, "(");
    for (int i = 0; i < n; i++) put_int(b, values[i]);
    put_text(b, "t");
}

/* A tensor over storage `key` of `count` elements. */
static inline void put_tensor(bytes *b, const char *class, const char *key, int64_t count, int64_t offset,
                              const int64_t *shape, const int64_t *stride, int rank) {
    put_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_string(b, "storage");
    put_text(b, "ctorch\n");
    put_text(b, class);
    put_text(b, "\n");
    put_string(b, key);
    put_string(b, "cpu");
    put_int(b, count);
    put_text(b, "tQ");
    put_int(b, offset);
    put_ints(b, shape, rank);
    put_ints(b, stride, rank);
    put_text(b, "\x89"
                "ccollections\nOrderedDict\n)RtR");
}

/* A contiguous float tensor. */
static inline void put_floats(bytes *b, const char *key, const int64_t *shape, int rank) {
    int64_t stride[8] = {0}, count = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = count;
        count *= shape[i];
    }
    put_tensor(b, "FloatStorage", key, count, 0, shape, stride, rank);
}

static inline void put_proto(bytes *b) {
    put_text(b, "\x80\x02");
}

/* ---- zip ---- */

typedef struct zip_writer {
    bytes file, directory;
    int count;
} zip_writer;

/* As torch writes them: sizes and CRC only in the directory, data padded to 64 bytes by the local extra
 * field. */
static inline void zip_add(zip_writer *z, const char *name, const void *data, size_t size) {
    size_t at = z->file.size, pad = (64 - (at + 30 + strlen(name) + 4) % 64) % 64;
    uint32_t crc = (uint32_t)crc32_z(0, data, size);
    put_number(&z->file, 0x04034b50, 4);
    put_number(&z->file, 0, 2);
    put_number(&z->file, 0x0808, 2);
    put_number(&z->file, 0, 18);
    put_number(&z->file, strlen(name), 2);
    put_number(&z->file, pad + 4, 2);
    put_text(&z->file, name);
    put_text(&z->file, "FB");
    put_number(&z->file, pad, 2);
    for (size_t i = 0; i < pad; i++) put_text(&z->file, "Z");
    put_raw(&z->file, data, size);
    put_number(&z->directory, 0x02014b50, 4);
    put_number(&z->directory, 0, 4);
    put_number(&z->directory, 0x0808, 2);
    put_number(&z->directory, 0, 6);
    put_number(&z->directory, crc, 4);
    put_number(&z->directory, size, 4);
    put_number(&z->directory, size, 4);
    put_number(&z->directory, strlen(name), 2);
    put_number(&z->directory, 0, 12);
    put_number(&z->directory, at, 4);
    put_text(&z->directory, name);
    z->count++;
}

/* The finished archive; z is empty afterwards. zip64: with the extra end records that torch writes. */
static inline bytes zip_finish(zip_writer *z, int zip64) {
    size_t at = z->file.size, size = z->directory.size;
    put_raw(&z->file, z->directory.data, size);
    if (zip64) {
        size_t end = z->file.size;
        put_number(&z->file, 0x06064b50, 4);
        put_number(&z->file, 44, 8);
        put_number(&z->file, 0, 12);
        put_number(&z->file, (uint64_t)z->count, 8);
        put_number(&z->file, (uint64_t)z->count, 8);
        put_number(&z->file, size, 8);
        put_number(&z->file, at, 8);
        put_number(&z->file, 0x07064b50, 4);
        put_number(&z->file, 0, 4);
        put_number(&z->file, end, 8);
        put_number(&z->file, 1, 4);
    }
    put_number(&z->file, 0x06054b50, 4);
    put_number(&z->file, 0, 4);
    put_number(&z->file, (uint64_t)z->count, 2);
    put_number(&z->file, (uint64_t)z->count, 2);
    put_number(&z->file, size, 4);
    put_number(&z->file, at, 4);
    put_number(&z->file, 0, 2);
    free(z->directory.data);
    bytes file = z->file;
    *z = (zip_writer){0};
    return file;
}

/* An archive of one pickle and the given float members data/0, data/1, ... */
static inline bytes make_archive(const bytes *pickle, const float *const *data, const size_t *count,
                                 int members) {
    zip_writer z = {0};
    zip_add(&z, "archive/data.pkl", pickle->data, pickle->size);
    for (int i = 0; i < members; i++) {
        char name[32];
        snprintf(name, sizeof name, "archive/data/%d", i);
        zip_add(&z, name, data[i], count[i] * sizeof(float));
    }
    zip_add(&z, "archive/version", "3\n", 2);
    return zip_finish(&z, 1);
}

#endif
