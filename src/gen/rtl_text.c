/* rtl_text.c - a growing text, and words in hexadecimal. */
#include "gen/rtl_text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"

void mq_rtl_say(mq_rtl_text *t, const char *format, ...) {
    if (t->status != MQ_OK) return;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && t->used + (size_t)n + 1 > t->size) {
        size_t size = 2 * (t->used + (size_t)n + 1);
        t->status = mq_resize(t->size, size, 1, "Verilog", &t->text, &t->error);
        if (t->status == MQ_OK) t->size = size;
    }
    if (n >= 0 && t->status == MQ_OK) {
        vsnprintf(t->text + t->used, (size_t)n + 1, format, again);
        t->used += (size_t)n;
    }
    va_end(again);
}

void mq_rtl_text_free(mq_rtl_text *t) {
    mq_free(t->text);
    *t = (mq_rtl_text){0};
}

mq_status mq_rtl_text_save(mq_rtl_text *t, const char *dir, const char *name, mq_error *error) {
    char path[MQ_PATH];
    mq_status status = t->status;
    if (status != MQ_OK && error) *error = t->error;
    if (status == MQ_OK) status = mq_make_dirs(dir, error);
    if (status == MQ_OK) status = mq_path_join(dir, name, path, error);
    if (status == MQ_OK) status = mq_file_write(path, t->text, t->used, error);
    mq_rtl_text_free(t);
    return status;
}

mq_status mq_rtl_memory_make(int64_t bits, int64_t depth, const char *what, mq_rtl_memory *out,
                             mq_error *error) {
    enum { MOST = 1 << 30 };
    *out = (mq_rtl_memory){0};
    if (bits < 1 || depth < 1 || bits > MOST / depth)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a memory of %lld words of %lld bits", what, (long long)depth,
                       (long long)bits);
    MQ_TRY(mq_alloc((size_t)(bits * depth), 1, what, &out->bit, error));
    out->bits = (int)bits;
    out->depth = (int)depth;
    return MQ_OK;
}

void mq_rtl_memory_free(mq_rtl_memory *m) {
    mq_free(m->bit);
    *m = (mq_rtl_memory){0};
}

int mq_rtl_put(mq_rtl_memory *m, int word, int at, int64_t value, int bits) {
    uint8_t *to = m->bit + (size_t)word * (size_t)m->bits + at;
    for (int i = 0; i < bits; i++) to[i] = (uint8_t)(value >> (i < 63 ? i : 63) & 1);
    return at + bits;
}

mq_status mq_rtl_memory_save(const mq_rtl_memory *m, const char *dir, const char *name, mq_error *error) {
    char folder[MQ_PATH], path[MQ_PATH];
    mq_outfile *file;
    size_t digits = (size_t)(m->bits + 3) / 4;
    MQ_TRY(mq_path_join(dir, "mem", folder, error));
    MQ_TRY(mq_make_dirs(folder, error));
    MQ_TRY(mq_path_join(folder, name, path, error));
    char *line;
    MQ_TRY(mq_alloc(digits + 1, 1, name, &line, error));
    mq_status status = mq_outfile_open(path, &file, error);
    if (status == MQ_OK) {
        mq_outfile_unsynced(file);
        for (int w = 0; w < m->depth && status == MQ_OK; w++) {
            const uint8_t *bit = m->bit + (size_t)w * (size_t)m->bits;
            for (size_t d = 0; d < digits; d++) {
                unsigned v = 0;
                for (size_t i = 0; i < 4 && 4 * d + i < (size_t)m->bits; i++)
                    v |= (unsigned)bit[4 * d + i] << i;
                line[digits - 1 - d] = "0123456789abcdef"[v];
            }
            line[digits] = '\n';
            status = mq_outfile_write(file, line, digits + 1, error);
        }
        if (status == MQ_OK)
            status = mq_outfile_commit(file, error);
        else
            mq_outfile_abort(file);
    }
    mq_free(line);
    return status;
}
