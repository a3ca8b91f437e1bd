/* dump_index.h - DIR/dump.json: which layers a dump holds, in the network's order (docs/formats.md). */
#ifndef MIXQ_SIM_DUMP_INDEX_H
#define MIXQ_SIM_DUMP_INDEX_H

#include "base/memory.h"
#include "inet/inet.h"

#define MQ_DUMP_INDEX "dump.json"

typedef struct mq_dump_layers {
    int count;
    char name[MQ_INET_MAX_NODES][MQ_INET_MAX_NAME];
} mq_dump_layers;

mq_status mq_dump_index_save(const char *dir, const mq_inet *net, size_t images,
                             mq_error *error) MQ_MUST_CHECK;
mq_status mq_dump_index_remove(const char *dir, mq_error *error) MQ_MUST_CHECK; /* where there is one */
/* NULL in *out where the folder has no dump.json; else release with mq_free. Names are safe file names. */
mq_status mq_dump_layers_load(const char *dir, mq_dump_layers **out, mq_error *error) MQ_MUST_CHECK;

#endif
