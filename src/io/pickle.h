/* pickle.h - the pickle inside a PyTorch checkpoint, read as data.
 *
 * A pickle is a program for a stack machine that may call any Python function. Nothing is called here: the
 * machine knows the opcodes that torch.save writes for dicts, lists, tuples, numbers, strings and tensors
 * (protocol 2), and four globals; every other opcode or global is refused with its place. The values form
 * a graph that may share nodes or even contain itself, so readers of it must not recurse without a bound.
 * Source: CPython's Lib/pickletools.py (the opcodes), torch/serialization.py (persistent ids). */
#ifndef MIXQ_IO_PICKLE_H
#define MIXQ_IO_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "tensor/tensor.h"

typedef enum mq_pickle_kind {
    MQ_PICKLE_MARK, /* on the stack only */
    MQ_PICKLE_NONE,
    MQ_PICKLE_BOOL,
    MQ_PICKLE_INT,
    MQ_PICKLE_FLOAT,
    MQ_PICKLE_TEXT,
    MQ_PICKLE_TUPLE,
    MQ_PICKLE_LIST,
    MQ_PICKLE_DICT, /* also OrderedDict */
    MQ_PICKLE_GLOBAL,
    MQ_PICKLE_STORAGE,
    MQ_PICKLE_TENSOR
} mq_pickle_kind;

typedef enum mq_pickle_global {
    MQ_PICKLE_ORDERED_DICT,
    MQ_PICKLE_REBUILD_TENSOR,
    MQ_PICKLE_FLOAT_STORAGE,
    MQ_PICKLE_LONG_STORAGE,
    MQ_PICKLE_GLOBALS
} mq_pickle_global;

typedef struct mq_pickle_value mq_pickle_value;

/* One item of a list (key NULL) or dict (key a TEXT or INT), in order of writing. */
typedef struct mq_pickle_cell {
    const mq_pickle_value *key, *value;
    struct mq_pickle_cell *next;
} mq_pickle_cell;

typedef struct mq_pickle_storage {
    mq_dtype dtype;
    const char *key; /* its bytes are the archive's member data/<key> */
    size_t count;    /* elements */
} mq_pickle_storage;

typedef struct mq_pickle_tensor {
    const mq_pickle_storage *storage;
    size_t offset;          /* elements; every element lies inside the storage */
    size_t stride[MQ_DIMS]; /* elements */
    mq_shape shape;
} mq_pickle_tensor;

struct mq_pickle_value {
    mq_pickle_kind kind;
    size_t count; /* items of a TUPLE, LIST or DICT */
    union {
        int64_t integer; /* INT, BOOL */
        double real;
        const char *text;
        const mq_pickle_value **item; /* TUPLE */
        struct {
            mq_pickle_cell *first, *last;
        };
        mq_pickle_global global;
        const mq_pickle_storage *storage;
        const mq_pickle_tensor *tensor;
    };
};

const char *mq_pickle_kind_name(mq_pickle_kind kind); /* "a dict", "an integer" ... */

/* The value left by STOP. Everything lives in the arena. name stands in messages, which give the byte. */
mq_status mq_pickle_read(const char *name, const uint8_t *bytes, size_t size, mq_arena *arena,
                         const mq_pickle_value **out, mq_error *error) MQ_MUST_CHECK;

/* The value of a text key in a dict; the last one written, as in Python; NULL when absent. */
const mq_pickle_value *mq_pickle_get(const mq_pickle_value *dict, const char *key);

#endif
