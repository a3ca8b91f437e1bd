/* plain_c_layers.h - what plain_c*.c share: the writer, and how the network lies in C. For these files only.
 */
#ifndef MIXQ_GEN_PLAIN_C_LAYERS_H
#define MIXQ_GEN_PLAIN_C_LAYERS_H

#include "base/file.h"
#include "inet/inet.h"

/* Smallest first. */
typedef enum plain_type { PLAIN_U8, PLAIN_I8, PLAIN_I16, PLAIN_I32, PLAIN_I64, PLAIN_TYPES } plain_type;

typedef struct plain_type_row {
    const char *c, *mark; /* "uint8_t", "u8" */
    int bytes;
    int64_t low, high;
} plain_type_row;
extern const plain_type_row plain_types[PLAIN_TYPES];
plain_type plain_type_of(int64_t low, int64_t high);

typedef struct plain_node {
    char name[MQ_INET_MAX_NAME + 16]; /* unique in C */
    plain_type type; /* of its codes; of a CONV's or LINEAR's accumulator, partial sums too */
    bool fused;      /* CONV, LINEAR: requantised by all its readers as soon as it is summed;
                      * REQUANT: by its layer */
    int buffer;      /* its codes' place, -1: none */
    int thresholds;  /* REQUANT: channels with stored thresholds */
    plain_type threshold_type;
} plain_node;

typedef struct plain_buffer {
    plain_type type;
    size_t count; /* elements */
    int owner;    /* node that wrote it last, while buffers are given out */
} plain_buffer;

typedef struct plain_net {
    const mq_inet *net;
    char name[MQ_INET_MAX_NAME + 16], capital[MQ_INET_MAX_NAME + 16];
    plain_node *node; /* [node_count] */
    plain_buffer *buffer;
    int buffers;
    size_t filter;                                          /* weights of the largest filter */
    size_t weights;                                         /* bytes */
    bool dot[PLAIN_TYPES][2], reached[PLAIN_TYPES], affine; /* helpers that are needed; dot: 32, 64 bits */
} plain_net;

/* A file being written; after the first failure nothing more happens. */
typedef struct plain_writer {
    mq_outfile *file;
    mq_status status;
    mq_error *error;
} plain_writer;

void plain_say(plain_writer *w, const char *format, ...) MQ_PRINTF(2, 3);

/* A table of numbers, as many in a line as fit: "static const T name[...] = {\n ... };\n". rows > 0 writes a
 * table of two dimensions. */
void plain_table(plain_writer *w, plain_type type, const char *name, const char *suffix, const int64_t *value,
                 size_t rows, size_t columns);

/* A LINEAR or CONV, both as a convolution. */
mq_inet_conv plain_conv(const mq_inet *net, const mq_inet_node *node);
/* Largest of |bias| + sum |weight|*|code| over the outputs: bounds every partial sum. False: beyond 63 bits.
 */
bool plain_bound(const mq_inet *net, const mq_inet_node *node, int64_t *out);

/* The tables and the function of node n; nothing for a fused REQUANT. MQ_INTERNAL: no memory. */
mq_status plain_layer(const plain_net *p, int n, plain_writer *w) MQ_MUST_CHECK;

#endif
