/* status.c - filling mq_error. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line of printable text, whatever a hostile file has put into the arguments. */
static void clean(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

mq_status mq_fail(mq_error *error, mq_status status, const char *format, ...) {
    if (!error) return status;
    va_list args;
    va_start(args, format);
    /* An argument may be the old text of the same error, so write elsewhere first. */
    char text[MQ_ERROR_TEXT];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    clean(text);
    memcpy(error->text, text, sizeof text);
    error->status = status;
    return status;
}

mq_status mq_fail_memory(mq_error *error, const char *what, size_t bytes) {
    return mq_fail(error, MQ_INTERNAL, "out of memory: %s needs %zu bytes", what, bytes);
}

mq_status mq_fail_errno(mq_error *error, const char *what, const char *path) {
    int code = errno;
    return mq_fail(error, MQ_BAD_INPUT, "%s: %s: %s", what, path, strerror(code));
}

mq_status mq_fail_context(mq_error *error, mq_status status, const char *format, ...) {
    if (!error) return status;
    char prefix[MQ_ERROR_TEXT / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    char text[MQ_ERROR_TEXT];
    snprintf(text, sizeof text, "%s", error->text);
    snprintf(error->text, sizeof error->text, "%.500s: %.500s", prefix, text);
    error->status = status;
    return status;
}

mq_status mq_input_status(mq_status status) {
    return status == MQ_OK || status == MQ_INTERNAL || status == MQ_INTERRUPTED ? status : MQ_BAD_INPUT;
}
