/* json.h - JSON through jansson, with errors that say where.
 *
 * Files we write are JSON with a fixed key order (jansson keeps insertion order) and no dates. Readers treat
 * input as hostile: a size limit, typed getters that name the path ("layers[3].kernel") on failure. */
#ifndef MIXQ_IO_JSON_H
#define MIXQ_IO_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Parses text of `size` bytes; `name` (a path) stands in messages with line and column. Release: json_decref.
 */
mq_status mq_json_parse(const char *name, const char *text, size_t size, json_t **out,
                        mq_error *error) MQ_MUST_CHECK;
mq_status mq_json_load(const char *path, json_t **out, mq_error *error) MQ_MUST_CHECK;
/* Atomic, two-space indent, newline at the end. */
/* For programs, before any other use of JSON: values are made by many small allocations, and one that fails
 * leaves a key out. With this mq_json_save, mq_json_line and mq_json_complete say so. */
void mq_json_watch_memory(void);
mq_status mq_json_complete(const char *what, mq_error *error) MQ_MUST_CHECK;
mq_status mq_json_save(const char *path, const json_t *value, mq_error *error) MQ_MUST_CHECK;
/* One line, release with free(); NULL when out of memory. */
char *mq_json_line(const json_t *value);

/* Typed members of an object. `where` names the object in messages, for example "net.json: layers[3]".
 * A missing key or a wrong type fails with MQ_BAD_INPUT: "where: key: got ..., expected ...". Strings and
 * children are borrowed from the object. */
mq_status mq_json_int(const json_t *object, const char *where, const char *key, int64_t low, int64_t high,
                      int64_t *out, mq_error *error) MQ_MUST_CHECK;
mq_status mq_json_double(const json_t *object, const char *where, const char *key, double *out,
                         mq_error *error) MQ_MUST_CHECK; /* finite; an integer is fine */
mq_status mq_json_bool(const json_t *object, const char *where, const char *key, bool *out,
                       mq_error *error) MQ_MUST_CHECK;
mq_status mq_json_string(const json_t *object, const char *where, const char *key, const char **out,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_json_array(const json_t *object, const char *where, const char *key, json_t **out,
                        mq_error *error) MQ_MUST_CHECK;
mq_status mq_json_object(const json_t *object, const char *where, const char *key, json_t **out,
                         mq_error *error) MQ_MUST_CHECK;
/* Fails when the object has a key outside allowed[] (ends with NULL), naming it and the nearest allowed one.
 */
mq_status mq_json_keys(const json_t *object, const char *where, const char *const *allowed,
                       mq_error *error) MQ_MUST_CHECK;

#endif
