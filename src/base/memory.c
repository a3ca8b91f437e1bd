/* memory.c - checked allocation and arenas. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

int mq_mul_overflow(size_t a, size_t b, size_t *out) {
    return __builtin_mul_overflow(a, b, out);
}

int mq_add_overflow(size_t a, size_t b, size_t *out) {
    return __builtin_add_overflow(a, b, out);
}

/* Bytes of count*size rounded up to the alignment; 0 on overflow. */
static size_t rounded_bytes(size_t count, size_t size) {
    size_t bytes;
    if (mq_mul_overflow(count, size, &bytes) || mq_add_overflow(bytes, MQ_ALIGN - 1, &bytes)) return 0;
    bytes &= ~(size_t)(MQ_ALIGN - 1);
    return bytes ? bytes : MQ_ALIGN;
}

/* Large blocks ask for huge pages: passes over them are then up to twice as fast. Only a wish. */
static void *aligned_memory(size_t bytes) {
    if (bytes < 2 * HUGE_PAGE) return aligned_alloc(MQ_ALIGN, bytes);
    void *memory = NULL; /* not aligned_alloc: C wants its sizes in whole alignments */
    if (posix_memalign(&memory, HUGE_PAGE, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (memory) (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

mq_status mq_alloc(size_t count, size_t size, const char *what, void *out, mq_error *error) {
    *(void **)out = NULL;
    size_t bytes = rounded_bytes(count, size);
    void *memory = bytes && bytes < PTRDIFF_MAX ? aligned_memory(bytes) : NULL;
    if (!memory) return mq_fail_memory(error, what, bytes);
    memset(memory, 0, bytes);
    *(void **)out = memory;
    return MQ_OK;
}

mq_status mq_resize(size_t old_count, size_t new_count, size_t size, const char *what, void *inout,
                    mq_error *error) {
    void *fresh;
    MQ_TRY(mq_alloc(new_count, size, what, &fresh, error));
    void *old = *(void **)inout;
    size_t kept = old_count < new_count ? old_count : new_count;
    if (old && kept) memcpy(fresh, old, kept * size);
    mq_free(old);
    *(void **)inout = fresh;
    return MQ_OK;
}

void mq_free(void *memory) {
    free(memory);
}

static atomic_bool was_short;

void *mq_noted_malloc(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory) was_short = true;
    return memory;
}

bool mq_memory_was_short(void) {
    return was_short;
}

mq_status mq_strdup(const char *text, char **out, mq_error *error) {
    size_t n = strlen(text) + 1;
    MQ_TRY(mq_alloc(n, 1, "a string", out, error));
    memcpy(*out, text, n);
    return MQ_OK;
}

typedef struct chunk {
    struct chunk *next;
    size_t size, used; /* bytes after the header */
    unsigned char pad[MQ_ALIGN - sizeof(void *) - 2 * sizeof(size_t)];
} chunk;

struct mq_arena {
    chunk *chunks; /* the newest first; only that one is filled further */
};

enum { CHUNK_BYTES = 64 * 1024 };

mq_status mq_arena_create(mq_arena **out, mq_error *error) {
    return mq_alloc(1, sizeof **out, "an arena", out, error);
}

void mq_arena_destroy(mq_arena *arena) {
    if (!arena) return;
    for (chunk *c = arena->chunks; c;) {
        chunk *next = c->next;
        mq_free(c);
        c = next;
    }
    mq_free(arena);
}

mq_status mq_arena_alloc(mq_arena *arena, size_t count, size_t size, const char *what, void *out,
                         mq_error *error) {
    *(void **)out = NULL;
    size_t bytes = rounded_bytes(count, size);
    /* Close to SIZE_MAX the chunk's header would wrap. */
    if (!bytes || bytes >= PTRDIFF_MAX) return mq_fail_memory(error, what, SIZE_MAX);
    chunk *c = arena->chunks;
    if (!c || c->size - c->used < bytes) {
        size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        MQ_TRY(mq_alloc(1, sizeof *c + room, what, &c, error));
        c->size = room;
        c->next = arena->chunks;
        arena->chunks = c;
    }
    *(void **)out = (unsigned char *)(c + 1) + c->used;
    c->used += bytes;
    return MQ_OK;
}

mq_status mq_arena_strdup(mq_arena *arena, const char *text, char **out, mq_error *error) {
    size_t n = strlen(text) + 1;
    MQ_TRY(mq_arena_alloc(arena, n, 1, "a string", out, error));
    memcpy(*out, text, n);
    return MQ_OK;
}

mq_status mq_arena_printf(mq_arena *arena, char **out, mq_error *error, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    mq_status status = n < 0 ? mq_fail(error, MQ_INTERNAL, "cannot format a string")
                             : mq_arena_alloc(arena, (size_t)n + 1, 1, "a string", out, error);
    if (status == MQ_OK) vsnprintf(*out, (size_t)n + 1, format, again);
    va_end(again);
    return status;
}
