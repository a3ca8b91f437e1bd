/* memory.h - the only place that calls malloc: checked allocation, and arenas by lifetime.
 *
 * All memory is 64-byte aligned (a cache line, and an AVX-512 register) and zeroed. */
#ifndef MIXQ_BASE_MEMORY_H
#define MIXQ_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { MQ_ALIGN = 64 };

/* count * size zeroed bytes in *out; release with mq_free. count or size 0 gives a valid 1-byte block. */
mq_status mq_alloc(size_t count, size_t size, const char *what, void *out, mq_error *error) MQ_MUST_CHECK;
/* Grows or shrinks *inout (from mq_alloc or NULL), keeping min(old_count, new_count) items; new items are
 * zero. */
mq_status mq_resize(size_t old_count, size_t new_count, size_t size, const char *what, void *inout,
                    mq_error *error) MQ_MUST_CHECK;
void mq_free(void *memory);
/* A copy of a string; release with mq_free. */
mq_status mq_strdup(const char *text, char **out, mq_error *error) MQ_MUST_CHECK;

/* Plain malloc (neither aligned nor zeroed, freed by free) for a library whose callers do not look at every
 * failure: that one failed is remembered, and no file is written any more (base/file.h). */
void *mq_noted_malloc(size_t bytes);
bool mq_memory_was_short(void);

/* An arena: many small blocks that die together. */
typedef struct mq_arena mq_arena;
mq_status mq_arena_create(mq_arena **out, mq_error *error) MQ_MUST_CHECK;
void mq_arena_destroy(mq_arena *arena); /* NULL is fine */
mq_status mq_arena_alloc(mq_arena *arena, size_t count, size_t size, const char *what, void *out,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_arena_strdup(mq_arena *arena, const char *text, char **out, mq_error *error) MQ_MUST_CHECK;
/* Like snprintf into the arena. */
mq_status mq_arena_printf(mq_arena *arena, char **out, mq_error *error, const char *format, ...)
    MQ_PRINTF(4, 5) MQ_MUST_CHECK;

/* a*b and a+b that cannot wrap: 0 and *out set, or 1 on overflow. */
int mq_mul_overflow(size_t a, size_t b, size_t *out);
int mq_add_overflow(size_t a, size_t b, size_t *out);

#endif
