/* inet_load_internal.h - what inet_load.c and inet_load_kinds.c share. */
#ifndef MIXQ_INET_INET_LOAD_INTERNAL_H
#define MIXQ_INET_INET_LOAD_INTERNAL_H

#include <jansson.h>

#include "inet/inet.h"
#include "io/safetensors.h"

typedef struct mq_inet_reader {
    mq_inet *net;
    mq_st_file *weights;
    size_t used;        /* tensors that a node asked for */
    mq_arena *unpacked; /* codes of packed weights; mq_inet_add copies them */
} mq_inet_reader;

/* An integer member that int holds. where: of the object, for messages. */
mq_status mq_inet_read_int(const json_t *object, const char *where, const char *key, int *out,
                           mq_error *error);
/* Attributes and tensors of a node whose kind is known; in: the edge of its first input, NULL without one.
 * The tensors belong to the reader. */
mq_status mq_inet_read_attributes(mq_inet_reader *r, const json_t *a, const char *where,
                                  const mq_inet_edge *in, mq_inet_node *node, mq_error *error);

#endif
