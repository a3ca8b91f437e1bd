/* import_internal.h - shared by the two files of import only. */
#ifndef MIXQ_NET_IMPORT_INTERNAL_H
#define MIXQ_NET_IMPORT_INTERNAL_H

#include "net/import.h"

/* The last part of a published name. From COUNTER on they carry nothing we keep. */
typedef enum mq_import_leaf {
    MQ_IMPORT_WEIGHT,
    MQ_IMPORT_BIAS,
    MQ_IMPORT_MEAN,
    MQ_IMPORT_VAR,
    MQ_IMPORT_ALPHA_WEIGHT,
    MQ_IMPORT_ALPHA_ACTIVATION,
    MQ_IMPORT_COUNTER,
    MQ_IMPORT_SIZE_PRODUCT,
    MQ_IMPORT_MEMORY_SIZE,
    MQ_IMPORT_IN_WIDTH,
    MQ_IMPORT_LEAVES
} mq_import_leaf;

/* A published name taken apart. */
typedef struct mq_import_name {
    const char *path; /* the module, without wrappers: the name's first `length` characters */
    size_t length;
    int branch; /* of conv_list, or -1 */
    mq_import_leaf leaf;
} mq_import_name;

/* False when the last part of the name is not one of the framework's. */
bool mq_import_split(const char *name, mq_import_name *out);

/* The tensors of one of the two kinds of file. */
typedef struct mq_import_tensors {
    const mq_st_file *st; /* or NULL, then pt */
    const mq_pt_file *pt;
} mq_import_tensors;

static inline size_t mq_import_count(const mq_import_tensors *t) {
    return t->st ? mq_st_count(t->st) : mq_pt_count(t->pt);
}
static inline const mq_st_entry *mq_import_at(const mq_import_tensors *t, size_t index) {
    return t->st ? mq_st_at(t->st, index) : mq_pt_at(t->pt, index);
}

/* mq_import_map_file over either kind; where stands in messages. */
mq_status mq_import_map_tensors(const char *where, const mq_import_tensors *tensors, const char *prefix,
                                const mq_net *net, mq_mode mode, bool share, bool partial, mq_import_map *out,
                                mq_error *error) MQ_MUST_CHECK;

#endif
