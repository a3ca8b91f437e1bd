/* inet_files.h - names and limits shared by the writer and the reader of integer networks. */
#ifndef MIXQ_INET_INET_FILES_H
#define MIXQ_INET_INET_FILES_H

#include "inet/inet.h"

#define MQ_INET_FORMAT       "mixq-integer-network"
#define MQ_INET_NET_FILE     "net.json"
#define MQ_INET_WEIGHTS_FILE "weights.safetensors"
#define MQ_INET_MAX_FILE     ((size_t)1 << 31)

extern const char *const mq_inet_task_names[]; /* by mq_inet_task */

/* SHA-256 of a file's bytes. */
mq_status mq_inet_hash_file(const char *path, char out[MQ_DIGEST_TEXT], mq_error *error) MQ_MUST_CHECK;

#endif
