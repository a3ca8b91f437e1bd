/* analyzer.h - put before every file by tools/analyze.sh. The analysers follow one file at a time: this tells
 * them what functions of other files promise, so that what they still say is worth reading. Never part of a
 * build. */
#ifndef MIXQ_TOOLS_ANALYZER_H
#define MIXQ_TOOLS_ANALYZER_H

#include <stddef.h>

#include "base/memory.h"
#include "base/status.h"
#include "dnn/dnn_internal.h"
#include "io/one_line.h"
#include "io/yaml.h"
#include "qonnx/graph.h"

/* A failure is one. */
#define mq_fail(error, status, ...)         ((void)mq_fail(error, status, __VA_ARGS__), (status))
#define mq_fail_context(error, status, ...) ((void)mq_fail_context(error, status, __VA_ARGS__), (status))
#define mq_fail_memory(...)                 ((void)mq_fail_memory(__VA_ARGS__), MQ_INTERNAL)
#define mq_fail_errno(...)                  ((void)mq_fail_errno(__VA_ARGS__), MQ_BAD_INPUT)

#ifndef ANALYZER_WITHOUT_ROOMS
#define mq_one_line(error, status) ((void)(error), (status))
#define mq_yaml_fail(...)          ((void)mq_yaml_fail(__VA_ARGS__), MQ_BAD_INPUT)
#define mq_graph_fail(...)         ((void)mq_graph_fail(__VA_ARGS__), MQ_BAD_INPUT)
#define mq_dnn_fail(...)           ((void)mq_dnn_fail(__VA_ARGS__), MQ_INTERNAL)
#endif

/* Memory that was got is there. Who gives it back is not followed: leaks are for the sanitizers. */
#ifndef ANALYZER_WITHOUT_MEMORY
extern void *analyzer_memory(void) __attribute__((returns_nonnull));
extern int analyzer_memory_is_there(void);
static inline mq_status analyzer_alloc(void *out) {
    const int there = analyzer_memory_is_there();
    *(void **)out = there ? analyzer_memory() : NULL;
    return there ? MQ_OK : MQ_INTERNAL;
}
#define mq_alloc(count, size, what, out, error)                                                              \
    ((void)(count), (void)(size), (void)(what), (void)(error), analyzer_alloc(out))
#define mq_arena_alloc(arena, count, size, what, out, error)                                                 \
    ((void)(arena), (void)(count), (void)(size), (void)(what), (void)(error), analyzer_alloc(out))
#endif

#endif
