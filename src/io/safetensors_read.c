/* safetensors_read.c - reading a safetensors file (github.com/huggingface/safetensors, "Format") that may be
 * damaged or hostile: nothing of it is used before its place, size and type have been checked.
 *
 * The format does not align tensors, so the data is copied once into a block where every tensor starts on a
 * cache line. The parsed header stays alive: names and metadata are borrowed from it. */
#include "io/safetensors.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/json.h"
#include "io/one_line.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor data is used as it lies in the file");

static const uint64_t MAX_HEADER = (uint64_t)16 << 20;
static const size_t MAX_FILE = (size_t)4 << 30;

enum { LENGTH_BYTES = 8, WHERE_TEXT = 512 };

struct mq_st_file {
    char *path;
    json_t *header;
    json_t *meta; /* borrowed from header, may be NULL */
    size_t count;
    mq_st_entry *entry;          /* [count] in order of data */
    const mq_st_entry **by_name; /* [count] sorted by name */
    uint8_t *data;
};

/* A tensor of the header with its place in the file's data section. */
typedef struct place {
    mq_st_entry entry;
    size_t begin, end;
    size_t index; /* in the header: orders empty tensors at the same place */
    bool boolean;
} place;

static bool find_dtype(const char *name, mq_dtype *out) {
    static const struct {
        const char *name;
        mq_dtype dtype;
    } KNOWN[] = {{"BOOL", MQ_U8}, {"U8", MQ_U8},     {"I8", MQ_I8},   {"I16", MQ_I16}, {"I32", MQ_I32},
                 {"I64", MQ_I64}, {"BF16", MQ_BF16}, {"F32", MQ_F32}, {"F64", MQ_F64}};
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        if (strcmp(KNOWN[i].name, name) != 0) continue;
        *out = KNOWN[i].dtype;
        return true;
    }
    return false;
}

static mq_status read_shape(const char *where, const json_t *list, mq_shape *out, mq_error *error) {
    size_t rank = json_array_size(list);
    if (rank > MQ_DIMS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: shape: got %zu dimensions, expected at most %d", where, rank,
                       MQ_DIMS);
    out->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(list, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return mq_fail(error, MQ_BAD_INPUT, "%s: shape[%zu]: expected an integer, 0 or more", where, i);
        out->dim[i] = json_integer_value(dim);
    }
    return MQ_OK;
}

/* Bytes begin..end of the data section, which has `size` bytes. */
static mq_status read_offsets(const char *where, const json_t *list, size_t size, place *out,
                              mq_error *error) {
    const json_t *begin = json_array_get(list, 0), *end = json_array_get(list, 1);
    if (json_array_size(list) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return mq_fail(error, MQ_BAD_INPUT, "%s: data_offsets: expected two integers", where);
    json_int_t low = json_integer_value(begin), high = json_integer_value(end);
    if (low < 0 || high < low || (uint64_t)high > size)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: data_offsets: got [%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                       "], expected two ascending places in the file's %zu bytes of data",
                       where, low, high, size);
    out->begin = (size_t)low;
    out->end = (size_t)high;
    return MQ_OK;
}

static mq_status read_place(const char *path, const char *name, const json_t *info, size_t size, place *out,
                            mq_error *error) {
    static const char *const KEYS[] = {"dtype", "shape", "data_offsets", NULL};
    char where[WHERE_TEXT];
    snprintf(where, sizeof where, "%s: %.200s", path, name);
    mq_tensor *tensor = &out->entry.tensor;
    const char *dtype = NULL;
    json_t *shape = NULL, *offsets = NULL;
    MQ_TRY(mq_json_keys(info, where, KEYS, error));
    MQ_TRY(mq_json_string(info, where, "dtype", &dtype, error));
    MQ_TRY(mq_json_array(info, where, "shape", &shape, error));
    MQ_TRY(mq_json_array(info, where, "data_offsets", &offsets, error));
    if (!find_dtype(dtype, &tensor->dtype))
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: dtype: got %.40s, expected one of BOOL, U8, I8, I16, I32, I64, BF16, F32, F64",
                       where, dtype);
    MQ_TRY(read_shape(where, shape, &tensor->shape, error));
    MQ_TRY(read_offsets(where, offsets, size, out, error));
    size_t bytes;
    if (!mq_shape_count(&tensor->shape, &bytes) ||
        mq_mul_overflow(bytes, mq_dtype_size(tensor->dtype), &bytes) || bytes != out->end - out->begin) {
        char text[MQ_SHAPE_TEXT];
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %zu bytes of data, expected the size of %s %s", where,
                       out->end - out->begin, dtype, mq_shape_text(&tensor->shape, text));
    }
    out->boolean = strcmp(dtype, "BOOL") == 0;
    out->entry.name = name;
    return MQ_OK;
}

static int by_data(const void *a, const void *b) {
    const place *left = a, *right = b;
    if (left->begin != right->begin) return left->begin < right->begin ? -1 : 1;
    if (left->end != right->end) return left->end < right->end ? -1 : 1;
    return left->index < right->index ? -1 : 1;
}

static int by_name(const void *a, const void *b) {
    const mq_st_entry *left = *(const mq_st_entry *const *)a, *right = *(const mq_st_entry *const *)b;
    return strcmp(left->name, right->name);
}

static mq_status check_meta(const char *path, const json_t *meta, mq_error *error) {
    if (!json_is_object(meta))
        return mq_fail(error, MQ_BAD_INPUT, "%s: __metadata__: expected an object of strings", path);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)meta, key, value) {
        if (!json_is_string(value))
            return mq_fail(error, MQ_BAD_INPUT, "%s: __metadata__: %.200s: expected a string", path, key);
    }
    return MQ_OK;
}

/* The tensors of the header, sorted by their data, which they must cover without gap or overlap. */
static mq_status read_places(mq_st_file *file, size_t size, place **out, mq_error *error) {
    MQ_TRY(mq_alloc(json_object_size(file->header), sizeof **out, "a safetensors header", out, error));
    place *places = *out;
    const char *name;
    json_t *info;
    json_object_foreach(file->header, name, info) {
        if (strcmp(name, "__metadata__") == 0) {
            MQ_TRY(check_meta(file->path, info, error));
            file->meta = info;
            continue;
        }
        places[file->count].index = file->count;
        MQ_TRY(read_place(file->path, name, info, size, &places[file->count], error));
        file->count++;
    }
    qsort(places, file->count, sizeof *places, by_data);
    size_t covered = 0;
    for (size_t i = 0; i < file->count; i++) {
        if (places[i].begin != covered)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %.200s: data starts at byte %zu, expected %zu: %s",
                           file->path, places[i].entry.name, places[i].begin, covered,
                           places[i].begin < covered ? "it overlaps another tensor"
                                                     : "there is a gap before it");
        covered = places[i].end;
    }
    if (covered != size)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: got %zu bytes of data, expected %zu: the tensors end before the file", file->path,
                       size, covered);
    return MQ_OK;
}

/* Moves the data to aligned memory and fills the entries. */
static mq_status take_data(mq_st_file *file, const place *places, const uint8_t *section, mq_error *error) {
    /* Cannot wrap: the sizes sum to the section's, and a tensor takes over 60 bytes of a header of 16 MiB. */
    size_t total = 0;
    for (size_t i = 0; i < file->count; i++)
        total += (places[i].end - places[i].begin + MQ_ALIGN - 1) / MQ_ALIGN * MQ_ALIGN;
    MQ_TRY(mq_alloc(total, 1, file->path, &file->data, error));
    MQ_TRY(mq_alloc(file->count, sizeof *file->entry, "safetensors entries", &file->entry, error));
    MQ_TRY(mq_alloc(file->count, sizeof *file->by_name, "safetensors entries", &file->by_name, error));
    size_t used = 0;
    for (size_t i = 0; i < file->count; i++) {
        size_t bytes = places[i].end - places[i].begin;
        uint8_t *to = file->data + used;
        if (bytes) memcpy(to, section + places[i].begin, bytes);
        used += (bytes + MQ_ALIGN - 1) / MQ_ALIGN * MQ_ALIGN;
        for (size_t j = 0; places[i].boolean && j < bytes; j++)
            if (to[j] > 1)
                return mq_fail(error, MQ_BAD_INPUT,
                               "%s: %.200s: element %zu: got %d in a BOOL tensor, expected 0 or 1",
                               file->path, places[i].entry.name, j, to[j]);
        file->entry[i] = places[i].entry;
        file->entry[i].tensor.data = to;
        file->by_name[i] = &file->entry[i];
    }
    qsort(file->by_name, file->count, sizeof *file->by_name, by_name);
    return MQ_OK;
}

static mq_status parse(mq_st_file *file, const uint8_t *bytes, size_t size, mq_error *error) {
    if (size < LENGTH_BYTES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: not a safetensors file: got %zu bytes, expected at least 8",
                       file->path, size);
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    size_t rest = size - LENGTH_BYTES;
    if (length > MAX_HEADER || length > rest)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: not a safetensors file or cut short: header of %" PRIu64
                       " bytes, expected at most %zu",
                       file->path, length, rest < MAX_HEADER ? rest : (size_t)MAX_HEADER);
    const char *text = (const char *)bytes + LENGTH_BYTES;
    if (length == 0 || text[0] != '{')
        return mq_fail(error, MQ_BAD_INPUT, "%s: not a safetensors file: the header does not start with {",
                       file->path);
    MQ_TRY(mq_json_parse(file->path, text, (size_t)length, &file->header, error));
    place *places = NULL;
    mq_status status = read_places(file, rest - (size_t)length, &places, error);
    if (status == MQ_OK) status = take_data(file, places, bytes + LENGTH_BYTES + length, error);
    mq_free(places);
    return status;
}

mq_status mq_st_parse(const char *name, const void *bytes, size_t size, mq_st_file **out, mq_error *error) {
    *out = NULL;
    mq_st_file *file;
    MQ_TRY(mq_alloc(1, sizeof *file, "a safetensors file", &file, error));
    mq_status status = mq_strdup(name, &file->path, error);
    if (status == MQ_OK) status = parse(file, bytes, size, error);
    if (status != MQ_OK) {
        mq_st_free(file);
        return mq_one_line(error, status);
    }
    *out = file;
    return MQ_OK;
}

mq_status mq_st_load(const char *path, mq_st_file **out, mq_error *error) {
    *out = NULL;
    uint8_t *bytes;
    size_t size;
    MQ_TRY(mq_file_read(path, MAX_FILE, &bytes, &size, error));
    mq_status status = mq_st_parse(path, bytes, size, out, error);
    mq_free(bytes);
    return status;
}

void mq_st_free(mq_st_file *file) {
    if (!file) return;
    json_decref(file->header);
    mq_free(file->path);
    mq_free(file->entry);
    mq_free(file->by_name);
    mq_free(file->data);
    mq_free(file);
}

size_t mq_st_count(const mq_st_file *file) {
    return file->count;
}

const mq_st_entry *mq_st_at(const mq_st_file *file, size_t index) {
    return &file->entry[index];
}

const mq_st_entry *mq_st_find(const mq_st_file *file, const char *name) {
    const mq_st_entry key = {.name = name}, *wanted = &key;
    const mq_st_entry **found = bsearch(&wanted, file->by_name, file->count, sizeof *file->by_name, by_name);
    return found ? *found : NULL;
}

mq_status mq_st_require(const mq_st_file *file, const char *name, mq_dtype dtype, const mq_shape *shape,
                        const mq_st_entry **out, mq_error *error) {
    *out = NULL;
    const mq_st_entry *entry = mq_st_find(file, name);
    bool right =
        entry && entry->tensor.dtype == dtype && (!shape || mq_shape_equal(&entry->tensor.shape, shape));
    if (!right) {
        char got[MQ_SHAPE_TEXT], expected[MQ_SHAPE_TEXT];
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %s%s%s, expected %s %s", file->path, name,
                       entry ? mq_dtype_name(entry->tensor.dtype) : "nothing", entry ? " " : "",
                       entry ? mq_shape_text(&entry->tensor.shape, got) : "", mq_dtype_name(dtype),
                       shape ? mq_shape_text(shape, expected) : "of any shape");
    }
    *out = entry;
    return MQ_OK;
}

const char *mq_st_meta(const mq_st_file *file, const char *key) {
    return json_string_value(json_object_get(file->meta, key));
}

const char *mq_st_path(const mq_st_file *file) {
    return file->path;
}
