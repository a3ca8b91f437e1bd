/* yaml.c - from libyaml's events to a small tree. The subset is what a description needs: maps with text
 * keys, lists, scalars. Anchors, aliases, tags and merge keys are refused because they make a file mean more
 * than one reads in it (and aliases let a small file grow without bound). */
#include "io/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/one_line.h"

enum { MAX_DEPTH = 32, MAX_BYTES = 1 << 20 };

/* What a node is allocated as: a member also remembers where its key stands. */
typedef struct member {
    mq_yaml_node node; /* first, so that the public pointer is this one */
    int key_line, key_column;
} member;

struct mq_yaml {
    mq_arena *arena;
    const char *name;
    const mq_yaml_node *root;
};

/* A list or map whose end has not been met. */
typedef struct frame {
    mq_yaml_node *node;
    size_t first;    /* its children so far: pending[first ..] of the builder */
    const char *key; /* a key was read, its value comes next */
    int key_line, key_column;
} frame;

typedef struct builder {
    mq_yaml *yaml;
    frame frames[MAX_DEPTH];
    int depth;
    mq_yaml_node **pending; /* children of all open frames, outer ones first */
    size_t pending_count, pending_room;
    mq_error *error;
} builder;

static mq_status fail_at(const builder *b, yaml_mark_t mark, const char *what) {
    return mq_one_line(b->error, mq_fail(b->error, MQ_BAD_INPUT, "%s:%zu:%zu: %s", b->yaml->name,
                                         mark.line + 1, mark.column + 1, what));
}

/* Text of an event into the arena. An escape ("\0") could hide a NUL in it. */
static mq_status take_text(builder *b, const yaml_event_t *event, const char **out) {
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    if (memchr(text, 0, size)) return fail_at(b, event->start_mark, "a zero character inside a text");
    char *copy;
    MQ_TRY(mq_arena_alloc(b->yaml->arena, size + 1, 1, "YAML text", &copy, b->error));
    memcpy(copy, text, size);
    *out = copy;
    return MQ_OK;
}

/* Makes a node and gives it to the open list or map, or to the document. */
static mq_status add_node(builder *b, const yaml_event_t *event, mq_yaml_kind kind, mq_yaml_node **out) {
    member *fresh;
    MQ_TRY(mq_arena_alloc(b->yaml->arena, 1, sizeof *fresh, "a YAML node", &fresh, b->error));
    fresh->node = (mq_yaml_node){.kind = kind,
                                 .line = (int)event->start_mark.line + 1,
                                 .column = (int)event->start_mark.column + 1,
                                 .file = b->yaml->name};
    *out = &fresh->node;
    if (b->depth == 0) {
        b->yaml->root = &fresh->node;
        return MQ_OK;
    }
    frame *top = &b->frames[b->depth - 1];
    fresh->node.key = top->key;
    fresh->key_line = top->key_line;
    fresh->key_column = top->key_column;
    top->key = NULL;
    if (b->pending_count == b->pending_room) {
        size_t room = b->pending_room ? 2 * b->pending_room : 64;
        MQ_TRY(mq_resize(b->pending_room, room, sizeof *b->pending, "YAML nodes", &b->pending, b->error));
        b->pending_room = room;
    }
    b->pending[b->pending_count++] = &fresh->node;
    return MQ_OK;
}

static bool expects_key(const builder *b) {
    const frame *top = b->depth ? &b->frames[b->depth - 1] : NULL;
    return top && top->node->kind == MQ_YAML_MAP && !top->key;
}

static mq_status on_key(builder *b, const yaml_event_t *event) {
    frame *top = &b->frames[b->depth - 1];
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (event->data.scalar.length == 0)
        return fail_at(b, event->start_mark, "got an empty key, expected a name");
    if (plain && strcmp((const char *)event->data.scalar.value, "<<") == 0)
        return fail_at(b, event->start_mark, "got a merge key (<<), which is not supported");
    top->key_line = (int)event->start_mark.line + 1;
    top->key_column = (int)event->start_mark.column + 1;
    return take_text(b, event, &top->key);
}

static mq_status on_scalar(builder *b, const yaml_event_t *event) {
    if (expects_key(b)) return on_key(b, event);
    mq_yaml_node *node;
    MQ_TRY(add_node(b, event, MQ_YAML_SCALAR, &node));
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE; /* a block (| or >) is text as well */
    return take_text(b, event, &node->text);
}

static mq_status on_start(builder *b, const yaml_event_t *event, mq_yaml_kind kind) {
    if (expects_key(b)) return fail_at(b, event->start_mark, "got a list or map as a key, expected a name");
    if (b->depth == MAX_DEPTH)
        return fail_at(b, event->start_mark, "nested too deep: expected at most 32 levels");
    mq_yaml_node *node;
    MQ_TRY(add_node(b, event, kind, &node));
    b->frames[b->depth++] = (frame){.node = node, .first = b->pending_count};
    return MQ_OK;
}

static int by_key(const void *a, const void *b) {
    const member *left = *(const member *const *)a, *right = *(const member *const *)b;
    int order = strcmp(left->node.key, right->node.key);
    if (order) return order;
    if (left->key_line != right->key_line) return left->key_line < right->key_line ? -1 : 1;
    return left->key_column - right->key_column;
}

/* Sorts pending[first ..], which the arena already has a copy of. */
static mq_status check_unique(builder *b, size_t first) {
    size_t count = b->pending_count - first;
    if (count < 2) return MQ_OK;
    mq_yaml_node **list = b->pending + first;
    qsort(list, count, sizeof *list, by_key);
    for (size_t i = 1; i < count; i++) {
        const member *before = (const member *)list[i - 1], *here = (const member *)list[i];
        if (strcmp(before->node.key, here->node.key) == 0)
            return mq_one_line(b->error, mq_fail(b->error, MQ_BAD_INPUT,
                                                 "%s:%d:%d: duplicate key \"%.60s\", first "
                                                 "given on line %d",
                                                 b->yaml->name, here->key_line, here->key_column,
                                                 here->node.key, before->key_line));
    }
    return MQ_OK;
}

static mq_status on_end(builder *b) {
    frame *top = &b->frames[b->depth - 1];
    mq_yaml_node *node = top->node;
    size_t count = b->pending_count - top->first;
    MQ_TRY(mq_arena_alloc(b->yaml->arena, count, sizeof *node->child, "YAML nodes", &node->child, b->error));
    if (count) memcpy(node->child, b->pending + top->first, count * sizeof *node->child);
    node->count = count;
    if (node->kind == MQ_YAML_MAP) MQ_TRY(check_unique(b, top->first));
    b->pending_count = top->first;
    b->depth--;
    return MQ_OK;
}

static mq_status on_event(builder *b, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end)
            return fail_at(b, event->start_mark, "got a %TAG directive, which is not supported");
        if (b->yaml->root) return fail_at(b, event->start_mark, "got a second document, expected one");
        return MQ_OK;
    case YAML_ALIAS_EVENT:
        return fail_at(b, event->start_mark, "got an alias (*name), which is not supported");
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor) break;
        if (event->data.scalar.tag)
            return fail_at(b, event->start_mark, "got a tag (!name), which is not supported");
        return on_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor) break;
        if (event->data.sequence_start.tag)
            return fail_at(b, event->start_mark, "got a tag (!name), which is not supported");
        return on_start(b, event, MQ_YAML_LIST);
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor) break;
        if (event->data.mapping_start.tag)
            return fail_at(b, event->start_mark, "got a tag (!name), which is not supported");
        return on_start(b, event, MQ_YAML_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    default:
        return MQ_OK;
    }
    return fail_at(b, event->start_mark, "got an anchor (&name), which is not supported");
}

/* libyaml's own complaint. Encoding errors carry an offset instead of a mark. */
static mq_status fail_parser(const builder *b, const yaml_parser_t *parser, const char *text, size_t size) {
    if (parser->error == YAML_MEMORY_ERROR) return mq_fail_memory(b->error, "a YAML file", size);
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) {
        size_t line = 0, start = 0;
        size_t end = parser->problem_offset < size ? parser->problem_offset : size;
        for (size_t i = 0; i < end; i++) {
            if (text[i] != '\n') continue;
            line++;
            start = i + 1;
        }
        mark = (yaml_mark_t){.line = line, .column = end - start};
    }
    char what[256];
    snprintf(what, sizeof what, "not valid YAML: %.100s%s%.100s",
             parser->problem ? parser->problem : "unknown error", parser->context ? ", " : "",
             parser->context ? parser->context : "");
    return fail_at(b, mark, what);
}

static mq_status build(builder *b, const char *text, size_t size) {
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark; UTF-8 all the same */
        text += 3;
        size -= 3;
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) return mq_fail_memory(b->error, "the YAML parser", sizeof parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    mq_status status = MQ_OK;
    bool more = true;
    while (more && status == MQ_OK) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            status = fail_parser(b, &parser, text, size);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        status = on_event(b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (status == MQ_OK && !b->yaml->root)
        status = mq_fail(b->error, MQ_BAD_INPUT, "%s:1:1: got an empty file, expected a YAML document",
                         b->yaml->name);
    return status;
}

mq_status mq_yaml_parse(const char *name, const char *text, size_t size, mq_yaml **out, mq_error *error) {
    *out = NULL;
    if (size > MAX_BYTES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: YAML too large: got %zu bytes, expected at most %d", name,
                       size, MAX_BYTES);
    mq_yaml *yaml;
    builder *b = NULL;
    char *copy;
    MQ_TRY(mq_alloc(1, sizeof *yaml, "a YAML tree", &yaml, error));
    mq_status status = mq_arena_create(&yaml->arena, error);
    if (status != MQ_OK) goto done;
    MQ_TRY_GOTO(mq_arena_strdup(yaml->arena, name, &copy, error), done);
    yaml->name = copy;
    MQ_TRY_GOTO(mq_alloc(1, sizeof *b, "a YAML reader", &b, error), done);
    b->yaml = yaml;
    b->error = error;
    status = build(b, text, size);
    mq_free(b->pending);
done:
    mq_free(b);
    if (status != MQ_OK) {
        mq_yaml_free(yaml);
        return status;
    }
    *out = yaml;
    return MQ_OK;
}

mq_status mq_yaml_load(const char *path, mq_yaml **out, mq_error *error) {
    *out = NULL;
    uint8_t *text;
    size_t size;
    MQ_TRY(mq_file_read(path, MAX_BYTES, &text, &size, error));
    mq_status status = mq_yaml_parse(path, (const char *)text, size, out, error);
    mq_free(text);
    return status;
}

void mq_yaml_free(mq_yaml *yaml) {
    if (!yaml) return;
    mq_arena_destroy(yaml->arena);
    mq_free(yaml);
}

const mq_yaml_node *mq_yaml_root(const mq_yaml *yaml) {
    return yaml->root;
}

const mq_yaml_node *mq_yaml_get(const mq_yaml_node *map, const char *key) {
    if (!map || map->kind != MQ_YAML_MAP) return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->child[i]->key, key) == 0) return map->child[i];
    return NULL;
}

mq_status mq_yaml_keys(const mq_yaml_node *node, const char *const *allowed, mq_error *error) {
    if (node->kind != MQ_YAML_MAP)
        return mq_yaml_fail(node, error, "got %s, expected a map",
                            node->kind == MQ_YAML_LIST ? "a list" : "a scalar");
    for (size_t c = 0; c < node->count; c++) {
        const member *child = (const member *)node->child[c];
        size_t i = 0;
        while (allowed[i] && strcmp(allowed[i], child->node.key) != 0) i++;
        if (allowed[i]) continue;
        const char *nearest = mq_nearest(child->node.key, allowed);
        return mq_one_line(error, mq_fail(error, MQ_BAD_INPUT, "%s:%d:%d: unknown key \"%.60s\"%s%s%s",
                                          node->file, child->key_line, child->key_column, child->node.key,
                                          nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                                          nearest ? "\"?" : ""));
    }
    return MQ_OK;
}
