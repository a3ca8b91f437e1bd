/* rtl_text.h - Verilog in the making, and memory files. For this folder only. */
#ifndef MIXQ_GEN_RTL_TEXT_H
#define MIXQ_GEN_RTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A text that grows; a failure is kept until mq_rtl_text_save. Starts as {0}. */
typedef struct mq_rtl_text {
    char *text;
    size_t used, size;
    mq_status status;
    mq_error error;
} mq_rtl_text;

void mq_rtl_say(mq_rtl_text *t, const char *format, ...) MQ_PRINTF(2, 3);
/* Writes it to DIR/<name> and releases it. */
mq_status mq_rtl_text_save(mq_rtl_text *t, const char *dir, const char *name, mq_error *error) MQ_MUST_CHECK;
void mq_rtl_text_free(mq_rtl_text *t);

/* Words of `bits` bits for $readmemh; filled word by word from the lowest bit. */
typedef struct mq_rtl_memory {
    int bits, depth;
    uint8_t *bit; /* [depth][bits], one a byte; owned */
} mq_rtl_memory;

mq_status mq_rtl_memory_make(int64_t bits, int64_t depth, const char *what, mq_rtl_memory *out,
                             mq_error *error) MQ_MUST_CHECK;
void mq_rtl_memory_free(mq_rtl_memory *m);
/* The low bits of value at `at` of a word, and the place behind. */
int mq_rtl_put(mq_rtl_memory *m, int word, int at, int64_t value, int bits);
/* DIR/mem/<name>. The folder is made. */
mq_status mq_rtl_memory_save(const mq_rtl_memory *m, const char *dir, const char *name,
                             mq_error *error) MQ_MUST_CHECK;

#endif
