/* export_copy.h - an export inside a build folder. */
#ifndef MIXQ_GEN_EXPORT_COPY_H
#define MIXQ_GEN_EXPORT_COPY_H

#include "inet/inet.h"

/* Copies the network as it was exported, byte by byte, with its certificate and its vectors, what there is of
 * them, from the export folder `source` to the folder `dir`, which is there. */
mq_status mq_export_copy(const char *source, const mq_inet *net, const char *dir,
                         mq_error *error) MQ_MUST_CHECK;

#endif
