/* digest.c - SHA-256 through libmd. */
#include "base/digest.h"

#include <sys/types.h>
#include <sha2.h>
#include <stdint.h>

void mq_sha256(const void *bytes, size_t size, char out[MQ_DIGEST_TEXT]) {
    SHA2_CTX context;
    SHA256Init(&context);
    SHA256Update(&context, bytes, size);
    SHA256End(&context, out);
}
