/* hls_text.c - writing generated files. */
#include "gen/hls_text.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE = 4096 };

mq_hls_text mq_hls_open(const char *dir, const char *name, mq_error *error) {
    mq_hls_text t = {.error = error};
    char path[MQ_PATH];
    t.status = mq_path_join(dir, name, path, error);
    if (t.status == MQ_OK) t.status = mq_outfile_open(path, &t.file, error);
    if (t.status == MQ_OK) mq_outfile_unsynced(t.file);
    return t;
}

void mq_hls_bytes(mq_hls_text *t, const void *bytes, size_t size) {
    if (t->status == MQ_OK) t->status = mq_outfile_write(t->file, bytes, size, t->error);
}

void mq_hls_say(mq_hls_text *t, const char *format, ...) {
    char text[LINE];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (t->status != MQ_OK) return;
    if (n < 0 || n >= LINE)
        t->status = mq_fail(t->error, MQ_INTERNAL, "generated text: a piece of %d characters", n);
    else
        mq_hls_bytes(t, text, (size_t)n);
}

mq_status mq_hls_close(mq_hls_text *t) {
    if (t->status == MQ_OK) {
        t->status = mq_outfile_commit(t->file, t->error);
    } else {
        mq_outfile_abort(t->file);
    }
    t->file = NULL;
    return t->status;
}
