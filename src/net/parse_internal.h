/* parse_internal.h - what parse.c and parse_layers.c share. */
#ifndef MIXQ_NET_PARSE_INTERNAL_H
#define MIXQ_NET_PARSE_INTERNAL_H

#include "io/yaml.h"
#include "net/net.h"

enum { MQ_PARSE_MAX_ELEMENTS = 1 << 30 }; /* of an image or a result */

typedef struct mq_parser {
    mq_net *net;
    int counter[MQ_OPS]; /* nodes of each operator, for default names */
    mq_error *error;
} mq_parser;

/* Appends a node with one input (or none yet when input < 0). at: where a message points to. */
mq_status mq_parse_node(mq_parser *p, const mq_yaml_node *at, mq_op op, const char *name, int input,
                        mq_node **out);
/* One item of `layers`: a word, or a map of one word to its attributes. */
mq_status mq_parse_layer(mq_parser *p, const mq_yaml_node *item);

#endif
