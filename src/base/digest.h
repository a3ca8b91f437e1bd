/* digest.h - SHA-256 of bytes, as 64 lower-case hexadecimal digits. */
#ifndef MIXQ_BASE_DIGEST_H
#define MIXQ_BASE_DIGEST_H

#include <stddef.h>

#include "base/status.h"

enum { MQ_DIGEST_TEXT = 65 };

void mq_sha256(const void *bytes, size_t size, char out[MQ_DIGEST_TEXT]);

/* The same of bytes that come piece by piece. */
typedef struct mq_digest mq_digest;
mq_status mq_digest_begin(mq_digest **out, mq_error *error) MQ_MUST_CHECK;
void mq_digest_add(mq_digest *digest, const void *bytes, size_t size);
void mq_digest_end(mq_digest *digest, char out[MQ_DIGEST_TEXT]); /* releases it; NULL is fine and gives "" */

#endif
