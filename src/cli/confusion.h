/* confusion.h - which class was taken for which. */
#ifndef MIXQ_CLI_CONFUSION_H
#define MIXQ_CLI_CONFUSION_H

#include "data/dataset.h"
#include "io/json.h"

/* found [set->count]: the classes that a network with `outputs` classes says. */
typedef struct confusion {
    const mq_dataset *set;
    int classes;   /* of the set and the network, the larger */
    size_t *count; /* [true class][found class]; owned */
} confusion;

mq_status confusion_make(const mq_dataset *set, const int32_t *found, int outputs, confusion *out,
                         mq_error *error) MQ_MUST_CHECK;
void confusion_free(confusion *c);
/* {"classes": [names], "matrix": [[...], ...]}; a new reference, NULL = out of memory. */
json_t *confusion_json(const confusion *c);
/* A table of up to 20 classes; of more, the pairs that are confused most. */
void confusion_print(const confusion *c);

#endif
