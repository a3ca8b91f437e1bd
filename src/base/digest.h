/* digest.h - SHA-256 of bytes, as 64 lower-case hexadecimal digits. */
#ifndef MIXQ_BASE_DIGEST_H
#define MIXQ_BASE_DIGEST_H

#include <stddef.h>

enum { MQ_DIGEST_TEXT = 65 };

void mq_sha256(const void *bytes, size_t size, char out[MQ_DIGEST_TEXT]);

#endif
