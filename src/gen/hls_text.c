/* hls_text.c - writing generated files. */
#include "gen/hls_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 4096, WIDTH = 118 };

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

void mq_hls_comment(mq_hls_text *t, int indent, const char *format, ...) {
    char text[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int used = 2;
    mq_hls_say(t, "//");
    for (char *at = text; *at;) { /* word by word; leading spaces of a word stay with it */
        size_t n = strspn(at, " "), length = n + strcspn(at + n, " ");
        if (used + 1 + (int)length > WIDTH && used > 2) {
            mq_hls_say(t, "\n//%*s", indent, "");
            used = 2 + indent;
            at += n;
            length -= n;
        }
        mq_hls_say(t, "%s%.*s", used == 2 ? " " : "", (int)length, at);
        used += (int)length + (used == 2);
        at += length;
    }
    mq_hls_say(t, "\n");
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
