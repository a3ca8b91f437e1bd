/* yaml_values.c - reading a scalar node as a number, word or text. Numbers are the decimal forms of YAML 1.1
 * only: octal, hexadecimal and base 60, where 010 is 8 and 1:30 is 90, surprise more than they help. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "io/one_line.h"
#include "io/yaml.h"

mq_status mq_yaml_fail(const mq_yaml_node *node, mq_error *error, const char *format, ...) {
    char what[MQ_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return mq_one_line(
        error, mq_fail(error, MQ_BAD_INPUT, "%s:%d:%d: %s", node->file, node->line, node->column, what));
}

static bool is_null(const mq_yaml_node *node) {
    static const char *const WORDS[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != MQ_YAML_SCALAR || node->quoted) return false;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strcmp(node->text, WORDS[i]) == 0) return true;
    return false;
}

/* "file:line:column: key: got ..., expected ..." */
static mq_status wrong(const mq_yaml_node *node, const char *expected, mq_error *error) {
    char got[96];
    if (node->kind != MQ_YAML_SCALAR)
        snprintf(got, sizeof got, "%s", node->kind == MQ_YAML_LIST ? "a list" : "a map");
    else if (is_null(node))
        snprintf(got, sizeof got, "nothing");
    else
        snprintf(got, sizeof got, node->quoted ? "the text \"%.60s\"" : "%.60s", node->text);
    return mq_yaml_fail(node, error, "%.60s%sgot %s, expected %s", node->key ? node->key : "",
                        node->key ? ": " : "", got, expected);
}

/* The text of a plain scalar written with these characters only, else NULL. */
static const char *plain(const mq_yaml_node *node, const char *characters) {
    if (node->kind != MQ_YAML_SCALAR || node->quoted) return NULL;
    return node->text[strspn(node->text, characters)] ? NULL : node->text;
}

/* 0 alone or a first digit that is not 0: 010 means 8 to some readers. */
static bool leading_zero(const char *text) {
    if (*text == '-' || *text == '+') text++;
    return text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

mq_status mq_yaml_int(const mq_yaml_node *node, int64_t low, int64_t high, int64_t *out, mq_error *error) {
    const char *text = plain(node, "+-0123456789");
    int64_t value;
    if (!text || leading_zero(text) || !mq_parse_int(text, &value) || value < low || value > high) {
        char expected[96];
        snprintf(expected, sizeof expected, "an integer in %" PRId64 "..%" PRId64, low, high);
        return wrong(node, expected, error);
    }
    *out = value;
    return MQ_OK;
}

mq_status mq_yaml_double(const mq_yaml_node *node, double low, double high, double *out, mq_error *error) {
    const char *text = plain(node, "+-.0123456789eE");
    double value;
    if (!text || leading_zero(text) || !mq_parse_double(text, &value) || value < low || value > high) {
        char expected[96];
        snprintf(expected, sizeof expected, "a number in %g..%g", low, high);
        return wrong(node, expected, error);
    }
    *out = value;
    return MQ_OK;
}

mq_status mq_yaml_bool(const mq_yaml_node *node, bool *out, mq_error *error) {
    if (node->kind != MQ_YAML_SCALAR || node->quoted ||
        (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
        return wrong(node, "true or false", error);
    *out = node->text[0] == 't';
    return MQ_OK;
}

mq_status mq_yaml_text(const mq_yaml_node *node, const char **out, mq_error *error) {
    if (node->kind != MQ_YAML_SCALAR || is_null(node) || !*node->text) return wrong(node, "a text", error);
    *out = node->text;
    return MQ_OK;
}

mq_status mq_yaml_choice(const mq_yaml_node *node, const char *const *words, int *out, mq_error *error) {
    const char *text = NULL;
    MQ_TRY(mq_yaml_text(node, &text, error));
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) != 0) continue;
        *out = i;
        return MQ_OK;
    }
    char expected[512];
    int used = snprintf(expected, sizeof expected, "one of");
    for (int i = 0; words[i] && used < (int)sizeof expected; i++)
        used += snprintf(expected + used, sizeof expected - (size_t)used, "%s %s", i ? "," : "", words[i]);
    const char *nearest = mq_nearest(text, words);
    if (nearest && used < (int)sizeof expected)
        snprintf(expected + used, sizeof expected - (size_t)used, "; did you mean \"%s\"?", nearest);
    return wrong(node, expected, error);
}

/* Finds a member; *out is NULL when it is absent and need not be there. */
static mq_status find(const mq_yaml_node *map, const char *key, bool required, const mq_yaml_node **out,
                      mq_error *error) {
    *out = NULL;
    if (map->kind != MQ_YAML_MAP) return wrong(map, "a map", error);
    *out = mq_yaml_get(map, key);
    if (!*out && required)
        return mq_yaml_fail(map, error, "%.60s%smissing key \"%s\"", map->key ? map->key : "",
                            map->key ? ": " : "", key);
    return MQ_OK;
}

mq_status mq_yaml_opt_int(const mq_yaml_node *map, const char *key, int64_t low, int64_t high, int64_t *out,
                          mq_error *error) {
    const mq_yaml_node *node;
    MQ_TRY(find(map, key, false, &node, error));
    return node ? mq_yaml_int(node, low, high, out, error) : MQ_OK;
}

mq_status mq_yaml_req_int(const mq_yaml_node *map, const char *key, int64_t low, int64_t high, int64_t *out,
                          mq_error *error) {
    const mq_yaml_node *node;
    MQ_TRY(find(map, key, true, &node, error));
    return mq_yaml_int(node, low, high, out, error);
}

mq_status mq_yaml_opt_double(const mq_yaml_node *map, const char *key, double low, double high, double *out,
                             mq_error *error) {
    const mq_yaml_node *node;
    MQ_TRY(find(map, key, false, &node, error));
    return node ? mq_yaml_double(node, low, high, out, error) : MQ_OK;
}

mq_status mq_yaml_opt_bool(const mq_yaml_node *map, const char *key, bool *out, mq_error *error) {
    const mq_yaml_node *node;
    MQ_TRY(find(map, key, false, &node, error));
    return node ? mq_yaml_bool(node, out, error) : MQ_OK;
}

mq_status mq_yaml_opt_text(const mq_yaml_node *map, const char *key, const char **out, mq_error *error) {
    const mq_yaml_node *node;
    MQ_TRY(find(map, key, false, &node, error));
    return node ? mq_yaml_text(node, out, error) : MQ_OK;
}

mq_status mq_yaml_req_text(const mq_yaml_node *map, const char *key, const char **out, mq_error *error) {
    const mq_yaml_node *node;
    MQ_TRY(find(map, key, true, &node, error));
    return mq_yaml_text(node, out, error);
}
