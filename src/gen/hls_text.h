/* hls_text.h - writing generated files: a failure is kept until the file is closed. */
#ifndef MIXQ_GEN_HLS_TEXT_H
#define MIXQ_GEN_HLS_TEXT_H

#include <stdint.h>

#include "base/file.h"

typedef struct mq_hls_text {
    mq_outfile *file;
    mq_status status;
    mq_error *error;
} mq_hls_text;

/* DIR/NAME, atomic; what fails is told by mq_hls_close. */
mq_hls_text mq_hls_open(const char *dir, const char *name, mq_error *error);
void mq_hls_say(mq_hls_text *t, const char *format, ...) MQ_PRINTF(2, 3);
/* A comment of lines of at most 118 characters, all but the first indented by `indent` more. */
void mq_hls_comment(mq_hls_text *t, int indent, const char *format, ...) MQ_PRINTF(3, 4);
void mq_hls_bytes(mq_hls_text *t, const void *bytes, size_t size);
mq_status mq_hls_close(mq_hls_text *t) MQ_MUST_CHECK;

#endif
