/* pickle.c - the stack machine. Each opcode makes at most one value, and sizes and counts are checked against
 * what is left of the bytes before anything is allocated, so memory is bounded by the pickle's size. */
#include "io/pickle.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_PICKLE = 4 << 20, /* bytes: names and shapes only, the numbers are in other members */
    MAX_STACK = 1 << 16,
    MAX_MEMO = 1 << 20,
    MAX_KEY = 20 /* characters of a storage's key */
};

/* The opcodes we know, by their byte. */
enum {
    OP_MARK = '(',
    OP_EMPTY_TUPLE = ')',
    OP_STOP = '.',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    OP_SETITEMS = 'u',
    OP_EMPTY_DICT = '}',
    OP_PROTO = 0x80,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a
};

static const char *const GLOBALS[MQ_PICKLE_GLOBALS] = {
    [MQ_PICKLE_ORDERED_DICT] = "collections\nOrderedDict\n",
    [MQ_PICKLE_REBUILD_TENSOR] = "torch._utils\n_rebuild_tensor_v2\n",
    [MQ_PICKLE_FLOAT_STORAGE] = "torch\nFloatStorage\n",
    [MQ_PICKLE_LONG_STORAGE] = "torch\nLongStorage\n",
};

typedef struct machine {
    const char *name;
    const uint8_t *bytes;
    size_t size, at, op_at; /* at: the next byte; op_at: the opcode being run */
    mq_arena *arena;
    mq_pickle_value **stack;
    size_t depth, stack_room;
    mq_pickle_value **memo;
    size_t memo_room;
    mq_error *error;
} machine;

static mq_status fail_at(machine *m, const char *format, ...) MQ_PRINTF(2, 3);
static mq_status fail_at(machine *m, const char *format, ...) {
    char text[MQ_ERROR_TEXT / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mq_fail(m->error, MQ_BAD_INPUT, "%s: byte %zu: %s", m->name, m->op_at, text);
}

const char *mq_pickle_kind_name(mq_pickle_kind kind) {
    static const char *const names[] = {"a mark",  "None",     "a boolean", "an integer",
                                        "a float", "a string", "a tuple",   "a list",
                                        "a dict",  "a global", "a storage", "a tensor"};
    return names[kind];
}

const mq_pickle_value *mq_pickle_get(const mq_pickle_value *dict, const char *key) {
    const mq_pickle_value *found = NULL;
    for (const mq_pickle_cell *c = dict->first; c; c = c->next)
        if (c->key->kind == MQ_PICKLE_TEXT && strcmp(c->key->text, key) == 0) found = c->value;
    return found;
}

/* ---- bytes ---- */

static mq_status take(machine *m, size_t n, const uint8_t **out) {
    if (n > m->size - m->at) return fail_at(m, "cut off: %zu bytes left, %zu expected", m->size - m->at, n);
    *out = m->bytes + m->at;
    m->at += n;
    return MQ_OK;
}

static mq_status take_number(machine *m, int n, uint64_t *out) {
    const uint8_t *p = NULL;
    MQ_TRY(take(m, (size_t)n, &p));
    *out = 0;
    for (int i = n - 1; i >= 0; i--) *out = *out << 8 | p[i];
    return MQ_OK;
}

/* ---- stack and memo ---- */

static mq_status push(machine *m, mq_pickle_value *value) {
    if (m->depth == m->stack_room) {
        if (m->depth == MAX_STACK) return fail_at(m, "more than %d values on the stack", MAX_STACK);
        size_t room = m->stack_room ? 2 * m->stack_room : 256;
        MQ_TRY(mq_resize(m->stack_room, room, sizeof *m->stack, "a pickle's stack", &m->stack, m->error));
        m->stack_room = room;
    }
    m->stack[m->depth++] = value;
    return MQ_OK;
}

static mq_status push_new(machine *m, mq_pickle_value value, mq_pickle_value **out) {
    mq_pickle_value *node;
    MQ_TRY(mq_arena_alloc(m->arena, 1, sizeof *node, "a pickle's value", &node, m->error));
    *node = value;
    if (out) *out = node;
    return push(m, node);
}

static mq_status pop(machine *m, mq_pickle_value **out) {
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == MQ_PICKLE_MARK)
        return fail_at(m, "nothing on the stack");
    *out = m->stack[--m->depth];
    return MQ_OK;
}

static mq_status pop_kind(machine *m, mq_pickle_kind kind, mq_pickle_value **out) {
    MQ_TRY(pop(m, out));
    if ((*out)->kind != kind)
        return fail_at(m, "%s on the stack, %s expected", mq_pickle_kind_name((*out)->kind),
                       mq_pickle_kind_name(kind));
    return MQ_OK;
}

/* The values above the last mark, which goes with them: stack[first .. first+count). */
static mq_status pop_mark(machine *m, size_t *first, size_t *count) {
    size_t i = m->depth;
    while (i > 0 && m->stack[i - 1]->kind != MQ_PICKLE_MARK) i--;
    if (i == 0) return fail_at(m, "no mark on the stack");
    *first = i;
    *count = m->depth - i;
    m->depth = i - 1;
    return MQ_OK;
}

static mq_status put(machine *m, uint64_t index) {
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == MQ_PICKLE_MARK)
        return fail_at(m, "nothing to remember");
    if (index >= MAX_MEMO)
        return fail_at(m, "memo place %llu, at most %d expected", (unsigned long long)index, MAX_MEMO);
    if (index >= m->memo_room) {
        size_t room = m->memo_room ? m->memo_room : 1024;
        while (room <= index) room *= 2;
        MQ_TRY(mq_resize(m->memo_room, room, sizeof *m->memo, "a pickle's memo", &m->memo, m->error));
        m->memo_room = room;
    }
    m->memo[index] = m->stack[m->depth - 1];
    return MQ_OK;
}

static mq_status get(machine *m, uint64_t index) {
    if (index >= m->memo_room || !m->memo[index])
        return fail_at(m, "memo place %llu is empty", (unsigned long long)index);
    return push(m, m->memo[index]);
}

/* ---- values ---- */

static mq_status push_int(machine *m, int64_t value) {
    return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_INT, .integer = value}, NULL);
}

static mq_status push_long(machine *m) {
    uint64_t n = 0, bits = 0;
    MQ_TRY(take_number(m, 1, &n));
    if (n > 8) return fail_at(m, "an integer of %d bytes, at most 8 expected", (int)n);
    MQ_TRY(take_number(m, (int)n, &bits));
    if (n && n < 8 && bits >> (8 * n - 1)) bits |= ~(uint64_t)0 << (8 * n);
    return push_int(m, (int64_t)bits);
}

static mq_status push_float(machine *m) {
    const uint8_t *p = NULL;
    MQ_TRY(take(m, 8, &p));
    uint64_t bits = 0;
    double value;
    for (int i = 0; i < 8; i++) bits = bits << 8 | p[i];
    memcpy(&value, &bits, sizeof value);
    return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_FLOAT, .real = value}, NULL);
}

static mq_status push_text(machine *m) {
    uint64_t n = 0;
    const uint8_t *p = NULL;
    char *text;
    MQ_TRY(take_number(m, 4, &n));
    MQ_TRY(take(m, n, &p));
    if (memchr(p, 0, n)) return fail_at(m, "a string with a zero byte");
    MQ_TRY(mq_arena_alloc(m->arena, n + 1, 1, "a pickle's string", &text, m->error));
    memcpy(text, p, n);
    return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_TEXT, .text = text}, NULL);
}

/* "module\nname\n" */
static mq_status push_global(machine *m) {
    size_t length = 0, lines = 0;
    while (lines < 2) {
        if (length == m->size - m->at) return fail_at(m, "cut off inside a global's name");
        lines += m->bytes[m->at + length++] == '\n';
    }
    const char *text = (const char *)m->bytes + m->at;
    m->at += length;
    for (int i = 0; i < MQ_PICKLE_GLOBALS; i++)
        if (strlen(GLOBALS[i]) == length && memcmp(GLOBALS[i], text, length) == 0)
            return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_GLOBAL, .global = (mq_pickle_global)i},
                            NULL);
    char shown[64];
    size_t n = length < sizeof shown ? length : sizeof shown;
    for (size_t i = 0; i < n; i++) shown[i] = (char)(text[i] < 0x20 || text[i] > 0x7e ? ' ' : text[i]);
    shown[n - 1] = 0;
    return fail_at(m, "global '%s' is not allowed: only dicts and tensors are read, nothing is executed",
                   shown);
}

static mq_status push_tuple(machine *m, size_t first, size_t count) {
    const mq_pickle_value **item;
    MQ_TRY(mq_arena_alloc(m->arena, count, sizeof *item, "a pickle's tuple", &item, m->error));
    for (size_t i = 0; i < count; i++) item[i] = m->stack[first + i];
    return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_TUPLE, .count = count, .item = item}, NULL);
}

static mq_status short_tuple(machine *m, size_t count) {
    mq_pickle_value *dropped;
    for (size_t i = 0; i < count; i++) MQ_TRY(pop(m, &dropped));
    return push_tuple(m, m->depth, count);
}

/* Adds to a list (key NULL) or dict. */
static mq_status add_cell(machine *m, mq_pickle_value *to, const mq_pickle_value *key,
                          const mq_pickle_value *value) {
    if (key && key->kind != MQ_PICKLE_TEXT && key->kind != MQ_PICKLE_INT)
        return fail_at(m, "%s as a key, a string or an integer expected", mq_pickle_kind_name(key->kind));
    mq_pickle_cell *cell;
    MQ_TRY(mq_arena_alloc(m->arena, 1, sizeof *cell, "a pickle's item", &cell, m->error));
    *cell = (mq_pickle_cell){.key = key, .value = value};
    if (to->last)
        to->last->next = cell;
    else
        to->first = cell;
    to->last = cell;
    to->count++;
    return MQ_OK;
}

/* The container under the items that were just taken off the stack. */
static mq_status container(machine *m, mq_pickle_kind kind, mq_pickle_value **out) {
    MQ_TRY(pop_kind(m, kind, out));
    return push(m, *out);
}

static mq_status set_items(machine *m, bool marked) {
    size_t first = 0, count = 2;
    mq_pickle_value *dict = NULL;
    if (marked) {
        MQ_TRY(pop_mark(m, &first, &count));
    } else {
        mq_pickle_value *dropped;
        MQ_TRY(pop(m, &dropped));
        MQ_TRY(pop(m, &dropped));
        first = m->depth;
    }
    if (count % 2) return fail_at(m, "%zu keys and values: pairs expected", count);
    /* container() leaves the stack's top where it was, below the items. */
    MQ_TRY(container(m, MQ_PICKLE_DICT, &dict));
    for (size_t i = 0; i < count; i += 2)
        MQ_TRY(add_cell(m, dict, m->stack[first + i], m->stack[first + i + 1]));
    return MQ_OK;
}

static mq_status append_items(machine *m, bool marked) {
    size_t first = 0, count = 1;
    mq_pickle_value *list = NULL;
    if (marked) {
        MQ_TRY(pop_mark(m, &first, &count));
    } else {
        mq_pickle_value *dropped;
        MQ_TRY(pop(m, &dropped));
        first = m->depth;
    }
    MQ_TRY(container(m, MQ_PICKLE_LIST, &list));
    for (size_t i = 0; i < count; i++) MQ_TRY(add_cell(m, list, NULL, m->stack[first + i]));
    return MQ_OK;
}

/* ('storage', class, key, location, element count); the location (cpu, cuda:0) does not matter to the bytes.
 */
static mq_status push_storage(machine *m) {
    mq_pickle_value *id = NULL;
    MQ_TRY(pop_kind(m, MQ_PICKLE_TUPLE, &id));
    static const mq_pickle_kind kinds[] = {MQ_PICKLE_TEXT, MQ_PICKLE_GLOBAL, MQ_PICKLE_TEXT, MQ_PICKLE_TEXT,
                                           MQ_PICKLE_INT};
    bool fits = id->count == 5;
    for (size_t i = 0; i < 5 && fits; i++) fits = id->item[i]->kind == kinds[i];
    if (!fits || strcmp(id->item[0]->text, "storage") != 0)
        return fail_at(m, "a persistent id that is not ('storage', class, key, location, count)");
    mq_pickle_global class = id->item[1]->global;
    if (class != MQ_PICKLE_FLOAT_STORAGE && class != MQ_PICKLE_LONG_STORAGE)
        return fail_at(m, "a storage of another class than FloatStorage or LongStorage");
    const char *key = id->item[2]->text;
    size_t length = strlen(key);
    if (length == 0 || length > MAX_KEY || strspn(key, "0123456789") != length)
        return fail_at(m, "storage key '%.40s': a number expected", key);
    if (id->item[4]->integer < 0)
        return fail_at(m, "a storage of %lld elements", (long long)id->item[4]->integer);
    mq_pickle_storage *storage;
    MQ_TRY(mq_arena_alloc(m->arena, 1, sizeof *storage, "a pickle's storage", &storage, m->error));
    *storage = (mq_pickle_storage){.dtype = class == MQ_PICKLE_FLOAT_STORAGE ? MQ_F32 : MQ_I64,
                                   .key = key,
                                   .count = (size_t)id->item[4]->integer};
    return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_STORAGE, .storage = storage}, NULL);
}

/* Shape and strides, and that the elements lie inside the storage, each at most once on average: a stride of
 * 0 would make a small file ask for a huge tensor. */
static mq_status read_layout(machine *m, const mq_pickle_value *shape, const mq_pickle_value *strides,
                             mq_pickle_tensor *t) {
    if (shape->count > MQ_DIMS || shape->count != strides->count)
        return fail_at(m, "a tensor of %zu dimensions with %zu strides, at most %d expected", shape->count,
                       strides->count, MQ_DIMS);
    t->shape.rank = (int)shape->count;
    size_t last = t->offset;
    bool empty = false, fits = true;
    for (size_t i = 0; i < shape->count; i++) {
        const mq_pickle_value *dim = shape->item[i], *stride = strides->item[i];
        if (dim->kind != MQ_PICKLE_INT || dim->integer < 0 || stride->kind != MQ_PICKLE_INT ||
            stride->integer < 0)
            return fail_at(m, "a tensor's shape and strides must be integers from 0");
        t->shape.dim[i] = dim->integer;
        t->stride[i] = (size_t)stride->integer;
        size_t span;
        if (dim->integer == 0)
            empty = true;
        else if (mq_mul_overflow((size_t)dim->integer - 1, t->stride[i], &span) ||
                 mq_add_overflow(last, span, &last))
            fits = false;
    }
    size_t count;
    if (!mq_shape_count(&t->shape, &count) || count > t->storage->count ||
        (!empty && (!fits || last >= t->storage->count)))
        return fail_at(m, "a tensor reaches outside its storage of %zu elements", t->storage->count);
    return MQ_OK;
}

static mq_status rebuild_tensor(machine *m, const mq_pickle_value *args) {
    static const mq_pickle_kind kinds[] = {MQ_PICKLE_STORAGE, MQ_PICKLE_INT,  MQ_PICKLE_TUPLE,
                                           MQ_PICKLE_TUPLE,   MQ_PICKLE_BOOL, MQ_PICKLE_DICT};
    bool fits = args->count == 6 || args->count == 7;
    for (size_t i = 0; i < 6 && fits; i++) fits = args->item[i]->kind == kinds[i];
    if (!fits)
        return fail_at(m,
                       "_rebuild_tensor_v2 expects (storage, offset, shape, strides, requires_grad, hooks)");
    if (args->item[1]->integer < 0)
        return fail_at(m, "a tensor at offset %lld of its storage", (long long)args->item[1]->integer);
    mq_pickle_tensor *t;
    MQ_TRY(mq_arena_alloc(m->arena, 1, sizeof *t, "a pickle's tensor", &t, m->error));
    t->storage = args->item[0]->storage;
    t->offset = (size_t)args->item[1]->integer;
    MQ_TRY(read_layout(m, args->item[2], args->item[3], t));
    return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_TENSOR, .tensor = t}, NULL);
}

/* A call of one of the two functions on the list. */
static mq_status reduce(machine *m) {
    mq_pickle_value *args = NULL, *function = NULL;
    MQ_TRY(pop_kind(m, MQ_PICKLE_TUPLE, &args));
    MQ_TRY(pop_kind(m, MQ_PICKLE_GLOBAL, &function));
    if (function->global == MQ_PICKLE_REBUILD_TENSOR) return rebuild_tensor(m, args);
    if (function->global != MQ_PICKLE_ORDERED_DICT) return fail_at(m, "a storage class is not to be called");
    if (args->count) return fail_at(m, "OrderedDict of %zu arguments, none expected", args->count);
    return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_DICT}, NULL);
}

/* Attributes of an OrderedDict (its _metadata) say nothing about tensors: dropped. */
static mq_status build(machine *m) {
    mq_pickle_value *state = NULL, *dict = NULL;
    MQ_TRY(pop_kind(m, MQ_PICKLE_DICT, &state));
    return container(m, MQ_PICKLE_DICT, &dict);
}

static mq_status run(machine *m, uint8_t op) {
    static mq_pickle_value mark = {.kind = MQ_PICKLE_MARK}, none = {.kind = MQ_PICKLE_NONE};
    static mq_pickle_value no = {.kind = MQ_PICKLE_BOOL, .integer = 0},
                           yes = {.kind = MQ_PICKLE_BOOL, .integer = 1};
    uint64_t n = 0;
    size_t first = 0, count = 0;
    switch (op) {
    case OP_MARK:
        return push(m, &mark);
    case OP_NONE:
        return push(m, &none);
    case OP_NEWTRUE:
        return push(m, &yes);
    case OP_NEWFALSE:
        return push(m, &no);
    case OP_BININT:
        MQ_TRY(take_number(m, 4, &n));
        return push_int(m, (int32_t)(uint32_t)n);
    case OP_BININT1:
        MQ_TRY(take_number(m, 1, &n));
        return push_int(m, (int64_t)n);
    case OP_BININT2:
        MQ_TRY(take_number(m, 2, &n));
        return push_int(m, (int64_t)n);
    case OP_LONG1:
        return push_long(m);
    case OP_BINFLOAT:
        return push_float(m);
    case OP_BINUNICODE:
        return push_text(m);
    case OP_EMPTY_DICT:
        return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_DICT}, NULL);
    case OP_EMPTY_LIST:
        return push_new(m, (mq_pickle_value){.kind = MQ_PICKLE_LIST}, NULL);
    case OP_EMPTY_TUPLE:
        return push_tuple(m, m->depth, 0);
    case OP_TUPLE1:
        return short_tuple(m, 1);
    case OP_TUPLE2:
        return short_tuple(m, 2);
    case OP_TUPLE3:
        return short_tuple(m, 3);
    case OP_TUPLE:
        MQ_TRY(pop_mark(m, &first, &count));
        return push_tuple(m, first, count);
    case OP_APPEND:
        return append_items(m, false);
    case OP_APPENDS:
        return append_items(m, true);
    case OP_SETITEM:
        return set_items(m, false);
    case OP_SETITEMS:
        return set_items(m, true);
    case OP_GLOBAL:
        return push_global(m);
    case OP_REDUCE:
        return reduce(m);
    case OP_BUILD:
        return build(m);
    case OP_BINPERSID:
        return push_storage(m);
    case OP_BINPUT:
        MQ_TRY(take_number(m, 1, &n));
        return put(m, n);
    case OP_LONG_BINPUT:
        MQ_TRY(take_number(m, 4, &n));
        return put(m, n);
    case OP_BINGET:
        MQ_TRY(take_number(m, 1, &n));
        return get(m, n);
    case OP_LONG_BINGET:
        MQ_TRY(take_number(m, 4, &n));
        return get(m, n);
    default:
        return fail_at(m, "opcode 0x%02x is not allowed", op);
    }
}

static mq_status run_all(machine *m, const mq_pickle_value **out) {
    if (m->size > MAX_PICKLE)
        return mq_fail(m->error, MQ_BAD_INPUT, "%s: %zu bytes, at most %d expected", m->name, m->size,
                       MAX_PICKLE);
    if (m->size < 2 || m->bytes[0] != OP_PROTO || m->bytes[1] != 2)
        return fail_at(m, "not a pickle of protocol 2");
    m->at = 2;
    for (;;) {
        m->op_at = m->at;
        const uint8_t *op = NULL;
        MQ_TRY(take(m, 1, &op));
        if (*op == OP_STOP) break;
        MQ_TRY(run(m, *op));
    }
    mq_pickle_value *top = NULL;
    MQ_TRY(pop(m, &top));
    if (m->depth) return fail_at(m, "%zu values left on the stack at the end, 1 expected", m->depth + 1);
    if (m->at != m->size) return fail_at(m, "%zu bytes after the end", m->size - m->at);
    *out = top;
    return MQ_OK;
}

mq_status mq_pickle_read(const char *name, const uint8_t *bytes, size_t size, mq_arena *arena,
                         const mq_pickle_value **out, mq_error *error) {
    *out = NULL;
    machine m = {.name = name, .bytes = bytes, .size = size, .arena = arena, .error = error};
    mq_status status = run_all(&m, out);
    mq_free(m.stack);
    mq_free(m.memo);
    return status;
}
