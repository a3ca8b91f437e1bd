/* json.c - jansson behind typed getters: the library parses and prints (RFC 8259, UTF-8 checked, depth at
 * most 2048, no NUL in strings); this file adds the size limit, unique keys, places in messages and atomic
 * writes. */
#include "io/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/one_line.h"

/* A parsed value takes up to about 80 bytes of memory per byte of text, so this bounds memory too. */
static const size_t MAX_BYTES = (size_t)16 << 20;

mq_status mq_json_parse(const char *name, const char *text, size_t size, json_t **out, mq_error *error) {
    *out = NULL;
    if (size > MAX_BYTES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: JSON too large: got %zu bytes, expected at most %zu", name,
                       size, MAX_BYTES);
    json_error_t at;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    /* without memory the library reports what it likes, or drops a byte of a string and nothing */
    if (mq_memory_was_short() || (!*out && json_error_code(&at) == json_error_out_of_memory)) {
        json_decref(*out);
        *out = NULL;
        return mq_fail_memory(error, name, size);
    }
    if (*out) return MQ_OK;
    return mq_one_line(error, mq_fail(error, MQ_BAD_INPUT, "%s:%d:%d: not valid JSON: %s", name, at.line,
                                      at.column, at.text));
}

mq_status mq_json_load(const char *path, json_t **out, mq_error *error) {
    *out = NULL;
    uint8_t *text;
    size_t size;
    MQ_TRY(mq_file_read(path, MAX_BYTES, &text, &size, error));
    mq_status status = mq_json_parse(path, (const char *)text, size, out, error);
    mq_free(text);
    return status;
}

typedef struct sink {
    mq_outfile *file;
    mq_error *error;
    mq_status status;
} sink;

static int write_piece(const char *bytes, size_t size, void *context) {
    sink *to = context;
    to->status = mq_outfile_write(to->file, bytes, size, to->error);
    return to->status == MQ_OK ? 0 : -1;
}

void mq_json_watch_memory(void) {
    json_set_alloc_funcs(mq_noted_malloc, free);
}

mq_status mq_json_complete(const char *what, mq_error *error) {
    return mq_memory_was_short() ? mq_fail_memory(error, what, 0) : MQ_OK;
}

mq_status mq_json_save(const char *path, const json_t *value, mq_error *error) {
    sink to = {.error = error};
    MQ_TRY(mq_json_complete(path, error));
    MQ_TRY(mq_outfile_open(path, &to.file, error));
    if (json_dump_callback(value, write_piece, &to, JSON_INDENT(2)) != 0 && to.status == MQ_OK)
        to.status = mq_fail(error, MQ_INTERNAL,
                            "cannot write: %s: not a JSON object or array, or out of memory", path);
    if (to.status == MQ_OK) to.status = mq_json_complete(path, error);
    if (to.status == MQ_OK) to.status = mq_outfile_write(to.file, "\n", 1, error);
    if (to.status == MQ_OK) return mq_outfile_commit(to.file, error);
    mq_outfile_abort(to.file);
    return to.status;
}

char *mq_json_line(const json_t *value) {
    return mq_memory_was_short() ? NULL : json_dumps(value, JSON_ENCODE_ANY);
}

enum { GOT_TEXT = 96 };

static const char *describe(const json_t *value, char text[GOT_TEXT]) {
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    case JSON_STRING:
        snprintf(text, GOT_TEXT, "\"%.60s\"", json_string_value(value));
        return text;
    case JSON_INTEGER:
        snprintf(text, GOT_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return text;
    case JSON_REAL:
        snprintf(text, GOT_TEXT, "%.17g", json_real_value(value));
        return text;
    }
    return "something unknown";
}

static mq_status wrong(const json_t *object, const char *where, const char *key, const char *expected,
                       mq_error *error) {
    char got[GOT_TEXT];
    if (!json_is_object(object))
        return mq_one_line(error, mq_fail(error, MQ_BAD_INPUT, "%s: got %s, expected an object", where,
                                          describe(object, got)));
    return mq_one_line(error, mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %s, expected %s", where, key,
                                      describe(json_object_get(object, key), got), expected));
}

mq_status mq_json_int(const json_t *object, const char *where, const char *key, int64_t low, int64_t high,
                      int64_t *out, mq_error *error) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > high) {
        char expected[GOT_TEXT];
        snprintf(expected, sizeof expected, "an integer in %" PRId64 "..%" PRId64, low, high);
        return wrong(object, where, key, expected, error);
    }
    *out = json_integer_value(value);
    return MQ_OK;
}

mq_status mq_json_double(const json_t *object, const char *where, const char *key, double *out,
                         mq_error *error) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return wrong(object, where, key, "a finite number", error);
    *out = json_number_value(value);
    return MQ_OK;
}

mq_status mq_json_bool(const json_t *object, const char *where, const char *key, bool *out, mq_error *error) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_boolean(value)) return wrong(object, where, key, "true or false", error);
    *out = json_is_true(value);
    return MQ_OK;
}

mq_status mq_json_string(const json_t *object, const char *where, const char *key, const char **out,
                         mq_error *error) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) return wrong(object, where, key, "a string", error);
    *out = json_string_value(value);
    return MQ_OK;
}

mq_status mq_json_array(const json_t *object, const char *where, const char *key, json_t **out,
                        mq_error *error) {
    json_t *value = json_object_get(object, key);
    if (!json_is_array(value)) return wrong(object, where, key, "an array", error);
    *out = value;
    return MQ_OK;
}

mq_status mq_json_object(const json_t *object, const char *where, const char *key, json_t **out,
                         mq_error *error) {
    json_t *value = json_object_get(object, key);
    if (!json_is_object(value)) return wrong(object, where, key, "an object", error);
    *out = value;
    return MQ_OK;
}

mq_status mq_json_keys(const json_t *object, const char *where, const char *const *allowed, mq_error *error) {
    if (!json_is_object(object)) return wrong(object, where, "", "", error);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        size_t i = 0;
        while (allowed[i] && strcmp(allowed[i], key) != 0) i++;
        if (allowed[i]) continue;
        const char *nearest = mq_nearest(key, allowed);
        return mq_one_line(error, mq_fail(error, MQ_BAD_INPUT, "%s: unknown key \"%.60s\"%s%s%s", where, key,
                                          nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                                          nearest ? "\"?" : ""));
    }
    return MQ_OK;
}
