/* log.c - forwarding lines and progress to the sink. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static mq_log_sink current_sink;

void mq_log_set(const mq_log_sink *sink) {
    current_sink = sink ? *sink : (mq_log_sink){0};
}

void mq_log(mq_log_level level, const char *format, ...) {
    if (!current_sink.line) return;
    char text[MQ_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    current_sink.line(current_sink.context, level, text);
}

void mq_progress(const char *what, uint64_t done, uint64_t total, const char *format, ...) {
    if (!current_sink.progress) return;
    char note[256];
    va_list args;
    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
    current_sink.progress(current_sink.context, what, done, total, note);
}
