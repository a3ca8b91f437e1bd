/* digest.c - SHA-256 through libmd. */
#include "base/digest.h"

#include <sys/types.h>
#include <sha2.h>
#include <stdint.h>

#include "base/memory.h"

struct mq_digest {
    SHA2_CTX context;
};

void mq_sha256(const void *bytes, size_t size, char out[MQ_DIGEST_TEXT]) {
    SHA2_CTX context;
    SHA256Init(&context);
    SHA256Update(&context, bytes, size);
    SHA256End(&context, out);
}

mq_status mq_digest_begin(mq_digest **out, mq_error *error) {
    MQ_TRY(mq_alloc(1, sizeof **out, "a digest", out, error));
    SHA256Init(&(*out)->context);
    return MQ_OK;
}

void mq_digest_add(mq_digest *digest, const void *bytes, size_t size) {
    SHA256Update(&digest->context, bytes, size);
}

void mq_digest_end(mq_digest *digest, char out[MQ_DIGEST_TEXT]) {
    out[0] = 0;
    if (digest) SHA256End(&digest->context, out);
    mq_free(digest);
}
