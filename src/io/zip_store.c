/* zip_store.c - central directory, zip64 fields, local headers, inflating. Every read is bounded by the
 * file's size. */
#include "io/zip_store.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"

enum {
    END_SIZE = 22,     /* end of central directory, without its comment */
    END64_SIZE = 56,   /* zip64 end of central directory */
    LOCATOR_SIZE = 20, /* zip64 locator, right before the end record */
    CENTRAL_SIZE = 46, /* a central directory entry before its name */
    LOCAL_SIZE = 30,   /* a local header before its name */
    MAX_COMMENT = 0xffff,
    MAX_NAME = 512,
    FLAG_ENCRYPTED = 1,
    EXTRA_ZIP64 = 1,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    MOST_RATIO = 1032 /* of deflate: 258 bytes from 2 bits */
};
#define SIGN_END     0x06054b50u
#define SIGN_END64   0x06064b50u
#define SIGN_LOCATOR 0x07064b50u
#define SIGN_CENTRAL 0x02014b50u
#define SIGN_LOCAL   0x04034b50u

struct mq_zip {
    mq_arena *arena;
    mq_zip_member *members;
    const mq_zip_member **by_name, **by_offset;
    size_t count;
};

typedef struct reader {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    mq_zip_methods methods;
    mq_zip *zip;
    mq_error *error;
} reader;

static uint64_t little(const uint8_t *p, int n) {
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

/* Where the members' names and places stand. */
typedef struct directory {
    uint64_t offset, size, count;
} directory;

/* The end record's signature, and a comment that reaches just to the end of the file. */
static bool is_end(const reader *r, size_t at) {
    const uint8_t *p = r->bytes + at;
    return p[0] == 'P' && little(p, 4) == SIGN_END && little(p + 20, 2) == r->size - END_SIZE - at;
}

static mq_status find_directory(const reader *r, directory *out) {
    if (r->size < END_SIZE)
        return mq_fail(r->error, MQ_BAD_INPUT, "not a zip archive: %s: %zu bytes, at least %d expected",
                       r->name, r->size, END_SIZE);
    size_t end = r->size - END_SIZE, least = end > MAX_COMMENT ? end - MAX_COMMENT : 0;
    while (!is_end(r, end)) {
        if (end == least)
            return mq_fail(
                r->error, MQ_BAD_INPUT,
                "not a whole zip archive: %s: no end-of-directory record (the file is cut off, or of "
                "another kind)",
                r->name);
        end--;
    }
    const uint8_t *p = r->bytes + end;
    if (little(p + 4, 2) || little(p + 6, 2))
        return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: spread over several disks: one file expected",
                       r->name);
    *out = (directory){.count = little(p + 10, 2), .size = little(p + 12, 4), .offset = little(p + 16, 4)};
    if (little(p + 8, 2) != out->count)
        return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: the end record counts %d members here, %d in all",
                       r->name, (int)little(p + 8, 2), (int)out->count);
    uint64_t limit = end; /* the directory ends before the end records */
    if (end >= LOCATOR_SIZE && little(p - LOCATOR_SIZE, 4) == SIGN_LOCATOR) {
        uint64_t at = little(p - LOCATOR_SIZE + 8, 8);
        limit = end - LOCATOR_SIZE;
        if (limit < END64_SIZE || at > limit - END64_SIZE || little(r->bytes + at, 4) != SIGN_END64)
            return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: no zip64 end record at byte %llu", r->name,
                           (unsigned long long)at);
        const uint8_t *q = r->bytes + at;
        directory big = {.count = little(q + 32, 8), .size = little(q + 40, 8), .offset = little(q + 48, 8)};
        if ((out->count != 0xffff && out->count != big.count) ||
            (out->size != 0xffffffff && out->size != big.size) ||
            (out->offset != 0xffffffff && out->offset != big.offset))
            return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: the two end records differ", r->name);
        *out = big;
        limit = at;
    }
    if (out->offset > limit || out->size > limit - out->offset || out->count > out->size / CENTRAL_SIZE)
        return mq_fail(
            r->error, MQ_BAD_INPUT,
            "zip: %s: the directory (%llu members, %llu bytes at %llu) does not fit before byte %llu",
            r->name, (unsigned long long)out->count, (unsigned long long)out->size,
            (unsigned long long)out->offset, (unsigned long long)limit);
    return MQ_OK;
}

/* A 32-bit field of the directory that is all ones stands in the zip64 extra field instead, in this order. */
static bool widen(const uint8_t *extra, size_t size, uint64_t *plain, uint64_t *packed, uint64_t *offset) {
    if (*plain != 0xffffffff && *packed != 0xffffffff && *offset != 0xffffffff) return true;
    while (size >= 4) {
        size_t id = little(extra, 2), n = little(extra + 2, 2);
        if (n > size - 4) return false;
        if (id == EXTRA_ZIP64) {
            const uint8_t *p = extra + 4, *stop = p + n;
            uint64_t *field[] = {plain, packed, offset};
            for (int i = 0; i < 3; i++) {
                if (*field[i] != 0xffffffff) continue;
                if (stop - p < 8) return false;
                *field[i] = little(p, 8);
                p += 8;
            }
            return true;
        }
        extra += 4 + n;
        size -= 4 + n;
    }
    return false;
}

static mq_status read_member(const reader *r, const directory *dir, const uint8_t *entry, size_t name_size,
                             size_t extra_size, mq_zip_member *out) {
    const uint8_t *raw_name = entry + CENTRAL_SIZE;
    char *name;
    MQ_TRY(mq_arena_alloc(r->zip->arena, name_size + 1, 1, "a member's name", &name, r->error));
    for (size_t i = 0; i < name_size; i++) {
        if (raw_name[i] < 0x20 || raw_name[i] == 0x7f)
            return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: a member's name has a control character",
                           r->name);
        name[i] = (char)raw_name[i];
    }
    uint64_t packed = little(entry + 20, 4), plain = little(entry + 24, 4), offset = little(entry + 42, 4);
    if (!widen(raw_name + name_size, extra_size, &plain, &packed, &offset))
        return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: member %s: its zip64 field is missing or cut off",
                       r->name, name);
    if (little(entry + 8, 2) & FLAG_ENCRYPTED)
        return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: member %s is encrypted", r->name, name);
    int method = (int)little(entry + 10, 2);
    bool deflated = method == METHOD_DEFLATED && r->methods == MQ_ZIP_DEFLATED;
    if (!deflated && (method != METHOD_STORED || packed != plain))
        return mq_fail(r->error, MQ_BAD_INPUT,
                       "zip: %s: member %s: compression method %d: a stored%s member expected", r->name, name,
                       method, r->methods == MQ_ZIP_DEFLATED ? " or deflated" : "");
    if (deflated && plain / MOST_RATIO > packed)
        return mq_fail(r->error, MQ_BAD_INPUT,
                       "zip: %s: member %s: %llu bytes cannot come from %llu deflated ones", r->name, name,
                       (unsigned long long)plain, (unsigned long long)packed);
    if (offset > dir->offset || dir->offset - offset < LOCAL_SIZE ||
        little(r->bytes + offset, 4) != SIGN_LOCAL)
        return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: member %s: no local header at byte %llu", r->name,
                       name, (unsigned long long)offset);
    const uint8_t *local = r->bytes + offset;
    uint64_t local_name = little(local + 26, 2),
             start = offset + LOCAL_SIZE + local_name + little(local + 28, 2);
    if (start > dir->offset || packed > dir->offset - start)
        return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: member %s: %llu bytes at %llu reach past byte %llu",
                       r->name, name, (unsigned long long)packed, (unsigned long long)start,
                       (unsigned long long)dir->offset);
    if (local_name != name_size || memcmp(local + LOCAL_SIZE, raw_name, name_size) != 0)
        return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: member %s has another name in its local header",
                       r->name, name);
    *out = (mq_zip_member){.name = name,
                           .data = r->bytes + start,
                           .size = packed,
                           .deflated = deflated,
                           .plain_size = plain,
                           .header = offset,
                           .crc = (uint32_t)little(entry + 16, 4)};
    return MQ_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const mq_zip_member *const *)a)->name, (*(const mq_zip_member *const *)b)->name);
}

static int compare_offsets(const void *a, const void *b) {
    size_t x = (*(const mq_zip_member *const *)a)->header, y = (*(const mq_zip_member *const *)b)->header;
    return (x > y) - (x < y);
}

/* Names are unique, members do not share bytes (so that the checksums read each byte once), contents are
 * whole. */
static mq_status check_members(const reader *r) {
    mq_zip *zip = r->zip;
    if (zip->count == 0) return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: no members", r->name);
    qsort(zip->by_name, zip->count, sizeof *zip->by_name, compare_names);
    qsort(zip->by_offset, zip->count, sizeof *zip->by_offset, compare_offsets);
    for (size_t i = 1; i < zip->count; i++) {
        const mq_zip_member *before = zip->by_offset[i - 1], *after = zip->by_offset[i];
        if (strcmp(zip->by_name[i - 1]->name, zip->by_name[i]->name) == 0)
            return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: two members are named %s", r->name,
                           zip->by_name[i]->name);
        if ((size_t)(before->data - r->bytes) + before->size > after->header)
            return mq_fail(r->error, MQ_BAD_INPUT, "zip: %s: members %s and %s overlap", r->name,
                           before->name, after->name);
    }
    for (size_t i = 0; i < zip->count; i++) {
        const mq_zip_member *m = &zip->members[i];
        if (m->deflated) continue;
        uint32_t found = (uint32_t)crc32_z(0, m->data, m->size);
        if (found != m->crc)
            return mq_fail(r->error, MQ_BAD_INPUT,
                           "zip: %s: member %s is damaged: CRC-32 %08x, %08x expected", r->name, m->name,
                           found, m->crc);
    }
    return MQ_OK;
}

static mq_status read_directory(const reader *r) {
    directory dir = {0};
    MQ_TRY(find_directory(r, &dir));
    mq_zip *zip = r->zip;
    size_t count = dir.count;
    MQ_TRY(mq_arena_alloc(zip->arena, count, sizeof *zip->members, "zip members", &zip->members, r->error));
    MQ_TRY(mq_arena_alloc(zip->arena, count, sizeof *zip->by_name, "zip members", &zip->by_name, r->error));
    MQ_TRY(
        mq_arena_alloc(zip->arena, count, sizeof *zip->by_offset, "zip members", &zip->by_offset, r->error));
    const uint8_t *entry = r->bytes + dir.offset;
    uint64_t left = dir.size;
    for (size_t i = 0; i < count; i++) {
        if (left < CENTRAL_SIZE || little(entry, 4) != SIGN_CENTRAL)
            return mq_fail(r->error, MQ_BAD_INPUT,
                           "zip: %s: entry %zu of the directory is cut off or damaged", r->name, i);
        size_t name_size = little(entry + 28, 2), extra_size = little(entry + 30, 2);
        size_t whole = CENTRAL_SIZE + name_size + extra_size + little(entry + 32, 2);
        if (whole > left || name_size == 0 || name_size > MAX_NAME)
            return mq_fail(r->error, MQ_BAD_INPUT,
                           "zip: %s: entry %zu of the directory is cut off or damaged", r->name, i);
        MQ_TRY(read_member(r, &dir, entry, name_size, extra_size, &zip->members[i]));
        zip->by_name[i] = zip->by_offset[i] = &zip->members[i];
        zip->count++;
        entry += whole;
        left -= whole;
    }
    return check_members(r);
}

mq_status mq_zip_parse(const char *name, const uint8_t *bytes, size_t size, mq_zip_methods methods,
                       mq_zip **out, mq_error *error) {
    *out = NULL;
    reader r = {.name = name, .bytes = bytes, .size = size, .methods = methods, .error = error};
    mq_status status;
    MQ_TRY_GOTO(mq_alloc(1, sizeof *r.zip, "a zip archive", &r.zip, error), done);
    MQ_TRY_GOTO(mq_arena_create(&r.zip->arena, error), done);
    MQ_TRY_GOTO(read_directory(&r), done);
    *out = r.zip;
    return MQ_OK;
done:
    mq_zip_free(r.zip);
    return status;
}

/* zlib counts in 32 bits: both sides go in pieces. Whether all of it became exactly the plain bytes. */
static bool inflate_all(z_stream *z, const mq_zip_member *m, uint8_t *out) {
    const size_t most = 1u << 30;
    size_t read = 0, written = 0;
    int state = Z_OK;
    while (state == Z_OK) {
        size_t in = m->size - read < most ? m->size - read : most;
        size_t room = m->plain_size - written < most ? m->plain_size - written : most;
        z->next_in = (z_const Bytef *)m->data + read;
        z->avail_in = (uInt)in;
        z->next_out = out + written;
        z->avail_out = (uInt)room;
        state = inflate(z, Z_NO_FLUSH);
        read += in - z->avail_in;
        written += room - z->avail_out;
    }
    return state == Z_STREAM_END && read == m->size && written == m->plain_size;
}

mq_status mq_zip_inflate(const char *name, const mq_zip_member *member, uint8_t **out, mq_error *error) {
    z_stream z = {0};
    MQ_TRY(mq_alloc(member->plain_size + 1, 1, "a member of a zip archive", out, error));
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) { /* raw deflate: zip has its own header */
        mq_free(*out);
        return mq_fail_memory(error, "zlib", 0);
    }
    bool whole = inflate_all(&z, member, *out);
    inflateEnd(&z);
    uint32_t found = whole ? (uint32_t)crc32_z(0, *out, member->plain_size) : 0;
    if (whole && found == member->crc) return MQ_OK;
    mq_free(*out);
    *out = NULL;
    if (!whole)
        return mq_fail(error, MQ_BAD_INPUT, "zip: %s: member %s is damaged: it does not inflate to %zu bytes",
                       name, member->name, member->plain_size);
    return mq_fail(error, MQ_BAD_INPUT, "zip: %s: member %s is damaged: CRC-32 %08x, %08x expected", name,
                   member->name, found, member->crc);
}

void mq_zip_free(mq_zip *zip) {
    if (!zip) return;
    mq_arena_destroy(zip->arena);
    mq_free(zip);
}

size_t mq_zip_count(const mq_zip *zip) {
    return zip->count;
}

const mq_zip_member *mq_zip_at(const mq_zip *zip, size_t index) {
    return &zip->members[index];
}

const mq_zip_member *mq_zip_find(const mq_zip *zip, const char *name) {
    size_t low = 0, high = zip->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, zip->by_name[middle]->name);
        if (order == 0) return zip->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
