/* npz_write.c - arrays into a zip archive: local header and data of each, then the directory. The date is the
 * earliest one that zip knows, so that the same arrays give the same bytes.
 * Source: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stop.h"
#include "io/npy.h"
#include "io/npz.h"

enum {
    LOCAL = 30,
    CENTRAL = 46,
    END = 22,
    NAME = 64,
    MOST_ARRAYS = 4096,
    VERSION = 20, /* deflate */
    DEFLATED = 8,
    FIRST_OF_JANUARY_1980 = 1 << 5 | 1,
    LEVEL = 6,
    PIECE = 1 << 20 /* deflated between two looks at whether to stop */
};

/* A member as the directory needs it. */
typedef struct entry {
    char name[NAME];
    uint32_t crc, packed, plain, offset;
} entry;

typedef struct archive {
    const char *path;
    mq_outfile *file;
    bool deflated;
    uint64_t at; /* bytes written */
    mq_error *error;
} archive;

static void put(uint8_t *p, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(value >> 8 * i);
}

static mq_status write_bytes(archive *a, const void *bytes, size_t size) {
    a->at += size;
    if (a->at > UINT32_MAX)
        return mq_fail(a->error, MQ_USAGE, "%s: more than 4 GiB: fewer or smaller arrays expected", a->path);
    return size ? mq_outfile_write(a->file, bytes, size, a->error) : MQ_OK;
}

/* What local header and directory say alike, from the version on. */
static void put_common(uint8_t *p, const archive *a, const entry *e) {
    put(p, VERSION, 2);
    put(p + 4, a->deflated ? DEFLATED : 0, 2);
    put(p + 8, FIRST_OF_JANUARY_1980, 2);
    put(p + 10, e->crc, 4);
    put(p + 14, e->packed, 4);
    put(p + 18, e->plain, 4);
    put(p + 22, strlen(e->name), 2);
}

/* Header and data into z, whose output has room for all of it. */
static mq_status deflate_into(const archive *a, z_stream *z, const uint8_t *header, size_t header_size,
                              const mq_tensor *tensor) {
    uint8_t *from = tensor->data;
    size_t left = mq_tensor_bytes(tensor);
    z->next_in = (z_const Bytef *)header;
    z->avail_in = (uInt)header_size;
    int state = deflate(z, Z_NO_FLUSH);
    while (state == Z_OK) {
        const size_t piece = left < PIECE ? left : PIECE;
        if (mq_stop_requested()) return mq_fail(a->error, MQ_INTERRUPTED, "%s: interrupted", a->path);
        z->next_in = from;
        z->avail_in = (uInt)piece;
        from += piece;
        left -= piece;
        state = deflate(z, left ? Z_NO_FLUSH : Z_FINISH);
    }
    return state == Z_STREAM_END ? MQ_OK : mq_fail(a->error, MQ_INTERNAL, "%s: zlib: %d", a->path, state);
}

/* One raw deflate stream of header and data; *out is owned. */
static mq_status deflate_all(const archive *a, const uint8_t *header, size_t header_size,
                             const mq_tensor *tensor, uint8_t **out, size_t *size) {
    z_stream z = {0};
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return mq_fail_memory(a->error, "zlib", 0);
    uLong bound = deflateBound(&z, (uLong)(header_size + mq_tensor_bytes(tensor)));
    mq_status status = mq_alloc(bound, 1, "a deflated array", out, a->error);
    if (status == MQ_OK) {
        z.next_out = *out;
        z.avail_out = (uInt)(bound < UINT32_MAX ? bound : UINT32_MAX);
        status = deflate_into(a, &z, header, header_size, tensor);
        *size = z.total_out;
    }
    deflateEnd(&z);
    return status;
}

static mq_status write_array(archive *a, const mq_npz_array *array, entry *e) {
    uint8_t header[MQ_NPY_HEADER], local[LOCAL] = {'P', 'K', 3, 4}, *packed = NULL;
    size_t header_size, data = mq_tensor_bytes(array->tensor), size = 0;
    MQ_TRY(mq_npy_header(a->path, array->tensor, header, &header_size, a->error));
    if (header_size + data > UINT32_MAX - a->at)
        return mq_fail(a->error, MQ_USAGE, "%s: more than 4 GiB: fewer or smaller arrays expected", a->path);
    snprintf(e->name, sizeof e->name, "%s.npy", array->name);
    e->offset = (uint32_t)a->at;
    e->plain = (uint32_t)(header_size + data);
    e->crc = (uint32_t)crc32_z(crc32_z(0, header, header_size), array->tensor->data, data);
    if (a->deflated) {
        mq_status status = deflate_all(a, header, header_size, array->tensor, &packed, &size);
        if (status != MQ_OK) {
            mq_free(packed);
            return status;
        }
    }
    e->packed = a->deflated ? (uint32_t)size : e->plain;
    put_common(local + 4, a, e);
    mq_status status = write_bytes(a, local, sizeof local);
    if (status == MQ_OK) status = write_bytes(a, e->name, strlen(e->name));
    if (a->deflated) {
        if (status == MQ_OK) status = write_bytes(a, packed, size);
    } else {
        if (status == MQ_OK) status = write_bytes(a, header, header_size);
        if (status == MQ_OK) status = write_bytes(a, array->tensor->data, data);
    }
    mq_free(packed);
    return status;
}

static mq_status write_directory(archive *a, const entry *entries, size_t count) {
    uint64_t start = a->at;
    for (size_t i = 0; i < count; i++) {
        uint8_t central[CENTRAL] = {'P', 'K', 1, 2, VERSION};
        put_common(central + 6, a, &entries[i]);
        put(central + 42, entries[i].offset, 4);
        MQ_TRY(write_bytes(a, central, sizeof central));
        MQ_TRY(write_bytes(a, entries[i].name, strlen(entries[i].name)));
    }
    uint8_t end[END] = {'P', 'K', 5, 6};
    put(end + 8, count, 2);
    put(end + 10, count, 2);
    put(end + 12, a->at - start, 4);
    put(end + 16, start, 4);
    return write_bytes(a, end, sizeof end);
}

static bool good_name(const char *name) {
    for (const char *c = name; *c; c++)
        if (!isalpha((unsigned char)*c) && (c == name || (!isdigit((unsigned char)*c) && *c != '_')))
            return false;
    return name[0] && strlen(name) < NAME - 4;
}

mq_status mq_npz_save(const char *path, const mq_npz_array *arrays, size_t count, bool deflated,
                      mq_error *error) {
    entry *entries;
    archive a = {.path = path, .deflated = deflated, .error = error};
    for (size_t i = 0; i < count; i++)
        if (!good_name(arrays[i].name) || count > MOST_ARRAYS)
            return mq_fail(error, MQ_INTERNAL, "%s: array '%s', %zu arrays: not to be written", path,
                           arrays[i].name, count);
    MQ_TRY(mq_alloc(count, sizeof *entries, "a directory", &entries, error));
    mq_status status = mq_outfile_open(path, &a.file, error);
    for (size_t i = 0; i < count && status == MQ_OK; i++) status = write_array(&a, &arrays[i], &entries[i]);
    if (status == MQ_OK) status = write_directory(&a, entries, count);
    if (status == MQ_OK)
        status = mq_outfile_commit(a.file, error);
    else
        mq_outfile_abort(a.file);
    mq_free(entries);
    return status;
}
