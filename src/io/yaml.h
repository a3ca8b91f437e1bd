/* yaml.h - a typed reader of YAML files (libyaml underneath) for network and device descriptions.
 *
 * The file is read into a small tree; every node knows its line and column, every message is
 * "file:line:column: what: got ..., expected ...". Aliases, duplicate keys, several documents, depth over 32
 * and files over 1 MiB are refused. Scalars stay text until a typed getter reads them. */
#ifndef MIXQ_IO_YAML_H
#define MIXQ_IO_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum mq_yaml_kind { MQ_YAML_SCALAR, MQ_YAML_LIST, MQ_YAML_MAP } mq_yaml_kind;

typedef struct mq_yaml_node {
    mq_yaml_kind kind;
    int line, column;            /* from 1 */
    const char *file;            /* the document's name, for messages */
    const char *key;             /* its key when it is a member of a map, else NULL */
    const char *text;            /* scalar text, else NULL */
    bool quoted;                 /* scalar written in quotes */
    size_t count;                /* children of a list or map */
    struct mq_yaml_node **child; /* in file order */
} mq_yaml_node;

typedef struct mq_yaml mq_yaml;

/* name: used in messages (a path, or "models/vgg_tiny.yaml (built in)"). */
mq_status mq_yaml_parse(const char *name, const char *text, size_t size, mq_yaml **out,
                        mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_load(const char *path, mq_yaml **out, mq_error *error) MQ_MUST_CHECK;
void mq_yaml_free(mq_yaml *yaml);
const mq_yaml_node *mq_yaml_root(const mq_yaml *yaml); /* borrowed until mq_yaml_free */

/* Fills *error with "file:line:column: ..." and returns MQ_BAD_INPUT. */
mq_status mq_yaml_fail(const mq_yaml_node *node, mq_error *error, const char *format, ...) MQ_PRINTF(3, 4);

/* Member of a map, or NULL. */
const mq_yaml_node *mq_yaml_get(const mq_yaml_node *map, const char *key);
/* Fails when node is not a map, or has a key outside allowed[] (ends with NULL): names it and the nearest. */
mq_status mq_yaml_keys(const mq_yaml_node *node, const char *const *allowed, mq_error *error) MQ_MUST_CHECK;

/* Typed values of a scalar node. */
mq_status mq_yaml_int(const mq_yaml_node *node, int64_t low, int64_t high, int64_t *out,
                      mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_double(const mq_yaml_node *node, double low, double high, double *out,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_bool(const mq_yaml_node *node, bool *out, mq_error *error) MQ_MUST_CHECK; /* true, false */
mq_status mq_yaml_text(const mq_yaml_node *node, const char **out,
                       mq_error *error) MQ_MUST_CHECK; /* not empty */
/* One of words[] (ends with NULL): its index; else names the nearest. */
mq_status mq_yaml_choice(const mq_yaml_node *node, const char *const *words, int *out,
                         mq_error *error) MQ_MUST_CHECK;

/* The same for a member: absent keeps *out (optional) or fails naming the map's place (required). */
mq_status mq_yaml_opt_int(const mq_yaml_node *map, const char *key, int64_t low, int64_t high, int64_t *out,
                          mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_req_int(const mq_yaml_node *map, const char *key, int64_t low, int64_t high, int64_t *out,
                          mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_opt_double(const mq_yaml_node *map, const char *key, double low, double high, double *out,
                             mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_opt_bool(const mq_yaml_node *map, const char *key, bool *out,
                           mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_opt_text(const mq_yaml_node *map, const char *key, const char **out,
                           mq_error *error) MQ_MUST_CHECK;
mq_status mq_yaml_req_text(const mq_yaml_node *map, const char *key, const char **out,
                           mq_error *error) MQ_MUST_CHECK;

#endif
