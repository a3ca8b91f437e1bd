/* analyzer.h - put before every file by tools/analyze.sh. The analysers follow one file at a time: this tells them what
 * functions of other files promise, so that what they still say is worth reading. Never part of a build. */
#ifndef MIXQ_TOOLS_ANALYZER_H
#define MIXQ_TOOLS_ANALYZER_H

#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"

/* A failure is one. */
#define mq_fail(error, status, ...)         ((void)mq_fail(error, status, __VA_ARGS__), (status))
#define mq_fail_context(error, status, ...) ((void)mq_fail_context(error, status, __VA_ARGS__), (status))
#define mq_fail_memory(...)                 ((void)mq_fail_memory(__VA_ARGS__), MQ_INTERNAL)
#define mq_fail_errno(...)                  ((void)mq_fail_errno(__VA_ARGS__), MQ_BAD_INPUT)

/* Memory that was got is there, zero, and to be given back. */
static inline mq_status analyzed_alloc(size_t count, size_t size, void *out) {
    *(void **)out = calloc(count ? count : 1, size ? size : 1);
    return *(void **)out ? MQ_OK : MQ_INTERNAL;
}
#define mq_alloc(count, size, what, out, error) ((void)(what), (void)(error), analyzed_alloc(count, size, out))
#define mq_free                                 free

#endif
