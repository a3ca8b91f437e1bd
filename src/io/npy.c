/* npy.c - NumPy's array files (numpy.lib.format, versions 1.0 and 2.0): magic, version, header length, a
 * Python dictionary as text, raw data. Only the dictionary NumPy itself writes is understood: its three keys
 * once each, in any order, in simple literals. */
#include "io/npy.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/one_line.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "array data is used as it lies in the file");

static const size_t MAX_FILE = (size_t)4 << 30;
static const uint8_t MAGIC[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

enum { MAX_HEADER = 1 << 16, PREFIX_1 = 10, PREFIX_2 = 12, DESCR_TEXT = 16 };

static const struct {
    const char *descr;
    mq_dtype dtype;
} TYPES[] = {
    /* The first of each type is the one we write. */
    {"|u1", MQ_U8},  {"|b1", MQ_U8},  {"|i1", MQ_I8},  {"<i2", MQ_I16}, {"<i4", MQ_I32},
    {"<i8", MQ_I64}, {"<f4", MQ_F32}, {"<f8", MQ_F64}, {"<u1", MQ_U8},  {"<i1", MQ_I8},
};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

/* The dictionary's text while it is read. */
typedef struct cursor {
    const char *path;
    const char *at, *end;
    mq_error *error;
} cursor;

static mq_status fail_header(const cursor *c, const char *expected) {
    int left = (int)(c->end - c->at < 20 ? c->end - c->at : 20);
    return mq_one_line(c->error, mq_fail(c->error, MQ_BAD_INPUT, "%s: npy header: got \"%.*s\", expected %s",
                                         c->path, left, c->at, expected));
}

static bool skip(cursor *c, char wanted) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n')) c->at++;
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

/* 'text' or "text" without escapes. */
static mq_status read_text(cursor *c, char out[DESCR_TEXT]) {
    char quote = '\'';
    if (!skip(c, quote)) {
        quote = '"';
        if (!skip(c, quote)) return fail_header(c, "a quoted text");
    }
    const char *close = memchr(c->at, quote, (size_t)(c->end - c->at));
    if (!close || close - c->at >= DESCR_TEXT || memchr(c->at, '\\', (size_t)(close - c->at)))
        return fail_header(c, "a short quoted text");
    memcpy(out, c->at, (size_t)(close - c->at));
    out[close - c->at] = 0;
    c->at = close + 1;
    return MQ_OK;
}

static bool read_word(cursor *c, const char *word) {
    while (c->at < c->end && *c->at == ' ') c->at++;
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

/* (), (3,), (3, 4) ... */
static mq_status read_shape(cursor *c, mq_shape *out) {
    *out = (mq_shape){0};
    if (!skip(c, '(')) return fail_header(c, "a shape in parentheses");
    while (!skip(c, ')')) {
        if (out->rank == MQ_DIMS) return fail_header(c, "at most 6 dimensions");
        if (c->at == c->end || *c->at < '0' || *c->at > '9') return fail_header(c, "a dimension, 0 or more");
        int64_t dim = 0;
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
            if (__builtin_mul_overflow(dim, 10, &dim) || __builtin_add_overflow(dim, *c->at - '0', &dim))
                return fail_header(c, "a dimension that fits 63 bits");
        out->dim[out->rank++] = dim;
        bool comma = skip(c, ',');
        if (!comma && out->rank == 1) return fail_header(c, "a comma after the first dimension");
        if (!comma && skip(c, ')')) return MQ_OK;
        if (!comma) return fail_header(c, "a comma or )");
    }
    return MQ_OK;
}

static mq_status read_type(cursor *c, mq_dtype *dtype, bool *boolean) {
    char descr[DESCR_TEXT];
    MQ_TRY(read_text(c, descr));
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(TYPES[i].descr, descr) != 0) continue;
        *dtype = TYPES[i].dtype;
        *boolean = descr[1] == 'b';
        return MQ_OK;
    }
    return mq_one_line(
        c->error, mq_fail(c->error, MQ_BAD_INPUT,
                          "%s: npy type: got %s, expected little-endian b1, u1, i1, i2, i4, i8, f4 or f8",
                          c->path, descr));
}

static mq_status read_header(cursor *c, mq_tensor *out, bool *boolean) {
    bool type = false, order = false, shape = false;
    if (!skip(c, '{')) return fail_header(c, "a dictionary");
    while (!skip(c, '}')) {
        char key[DESCR_TEXT];
        MQ_TRY(read_text(c, key));
        if (!skip(c, ':')) return fail_header(c, ":");
        if (strcmp(key, "descr") == 0 && !type) {
            MQ_TRY(read_type(c, &out->dtype, boolean));
            type = true;
        } else if (strcmp(key, "fortran_order") == 0 && !order) {
            if (read_word(c, "True"))
                return mq_fail(c->error, MQ_BAD_INPUT, "%s: npy order: got Fortran order, expected C order",
                               c->path);
            if (!read_word(c, "False")) return fail_header(c, "False");
            order = true;
        } else if (strcmp(key, "shape") == 0 && !shape) {
            MQ_TRY(read_shape(c, &out->shape));
            shape = true;
        } else {
            return fail_header(c, "descr, fortran_order and shape, once each");
        }
        if (skip(c, ',')) continue;
        if (!skip(c, '}')) return fail_header(c, ", or }");
        break;
    }
    if (!type || !order || !shape) return fail_header(c, "descr, fortran_order and shape, once each");
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n')) c->at++;
    return c->at == c->end ? MQ_OK : fail_header(c, "the end of the header");
}

mq_status mq_npy_parse(const char *path, const uint8_t *bytes, size_t size, mq_tensor *out, mq_error *error) {
    *out = (mq_tensor){0};
    if (size < PREFIX_1 || memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: not a .npy file: wrong first bytes", path);
    int major = bytes[6], minor = bytes[7];
    if ((major != 1 && major != 2) || minor != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: npy version: got %d.%d, expected 1.0 or 2.0", path, major,
                       minor);
    size_t prefix = major == 1 ? PREFIX_1 : PREFIX_2;
    size_t length = bytes[8] | (size_t)bytes[9] << 8;
    if (major == 2 && size >= PREFIX_2) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (size < prefix || length > size - prefix || length > MAX_HEADER)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: npy header of %zu bytes in a file of %zu: cut short or too long", path, length,
                       size);
    cursor c = {.path = path, .at = (const char *)bytes + prefix, .error = error};
    c.end = c.at + length;
    bool boolean = false;
    mq_tensor found = {0};
    MQ_TRY(read_header(&c, &found, &boolean));
    const uint8_t *data = bytes + prefix + length;
    size_t have = size - prefix - length, want;
    if (!mq_shape_count(&found.shape, &want) || mq_mul_overflow(want, mq_dtype_size(found.dtype), &want) ||
        want != have) {
        char text[MQ_SHAPE_TEXT];
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %zu bytes of data, expected the size of %s %s", path,
                       have, mq_dtype_name(found.dtype), mq_shape_text(&found.shape, text));
    }
    for (size_t i = 0; boolean && i < have; i++)
        if (data[i] > 1)
            return mq_fail(error, MQ_BAD_INPUT, "%s: element %zu: got %d in a bool array, expected 0 or 1",
                           path, i, data[i]);
    MQ_TRY(mq_tensor_create(found.dtype, found.shape, out, error));
    if (have) memcpy(out->data, data, have);
    return MQ_OK;
}

mq_status mq_npy_load(const char *path, mq_tensor *out, mq_error *error) {
    *out = (mq_tensor){0};
    uint8_t *bytes;
    size_t size;
    MQ_TRY(mq_file_read(path, MAX_FILE, &bytes, &size, error));
    mq_status status = mq_npy_parse(path, bytes, size, out, error);
    mq_free(bytes);
    return status;
}

/* "(3, 4)" as Python prints it. */
static void shape_text(const mq_shape *shape, char *out, size_t size) {
    int used = snprintf(out, size, "(");
    for (int i = 0; i < shape->rank; i++)
        used += snprintf(out + used, size - (size_t)used, i ? ", %" PRId64 : "%" PRId64, shape->dim[i]);
    snprintf(out + used, size - (size_t)used, shape->rank == 1 ? ",)" : ")");
}

mq_status mq_npy_header(const char *name, const mq_tensor *tensor, uint8_t out[MQ_NPY_HEADER], size_t *size,
                        mq_error *error) {
    size_t type = 0;
    while (type < TYPE_COUNT && TYPES[type].dtype != tensor->dtype) type++;
    if (type == TYPE_COUNT)
        return mq_fail(error, MQ_INTERNAL, "cannot write: %s: NumPy has no %s", name,
                       mq_dtype_name(tensor->dtype));
    char shape[MQ_DIMS * 22 + 4], text[256];
    shape_text(&tensor->shape, shape, sizeof shape);
    int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                          TYPES[type].descr, shape);
    /* Spaces and a newline so that the data starts on a multiple of 64. */
    int total = (PREFIX_1 + length + 1 + 63) / 64 * 64 - PREFIX_1;
    uint8_t prefix[PREFIX_1] = {[6] = 1, [8] = (uint8_t)total, [9] = (uint8_t)(total >> 8)};
    memcpy(prefix, MAGIC, sizeof MAGIC);
    memcpy(out, prefix, PREFIX_1);
    snprintf((char *)out + PREFIX_1, MQ_NPY_HEADER - PREFIX_1, "%-*s\n", total - 1, text);
    *size = (size_t)(PREFIX_1 + total);
    return MQ_OK;
}

mq_status mq_npy_save(const char *path, const mq_tensor *tensor, mq_error *error) {
    uint8_t header[MQ_NPY_HEADER];
    size_t size;
    mq_outfile *file;
    MQ_TRY(mq_npy_header(path, tensor, header, &size, error));
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_status status = mq_outfile_write(file, header, size, error);
    if (status == MQ_OK) status = mq_outfile_write(file, tensor->data, mq_tensor_bytes(tensor), error);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}
