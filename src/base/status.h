/* status.h - how every mixq function says whether it worked.
 *
 * Functions that can fail return a mq_status and fill an optional mq_error with one readable line: what went
 * wrong, where (file:line, layer, tensor), what was found and what was expected. The library never prints and
 * never exits; the command line turns the status into the exit code of the same number. */
#ifndef MIXQ_BASE_STATUS_H
#define MIXQ_BASE_STATUS_H

#include <stddef.h>

typedef enum mq_status {
    MQ_OK = 0,
    MQ_CHECK_FAILED = 1, /* a verification found a difference */
    MQ_USAGE = 2,        /* the caller's words: options, arguments, settings */
    MQ_BAD_INPUT = 3,    /* a file, a data set, a network or a checkpoint is not as it must be */
    MQ_INTERNAL = 4,     /* out of memory, a library call failed, a bug */
    MQ_INTERRUPTED = 130 /* the user asked to stop; what was to be saved is saved */
} mq_status;

enum { MQ_ERROR_TEXT = 1024 };

typedef struct mq_error {
    mq_status status;
    char text[MQ_ERROR_TEXT]; /* one line, no newline at the end; empty while nothing failed */
} mq_error;

#define MQ_MUST_CHECK   __attribute__((warn_unused_result))
#define MQ_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Fills *error (may be NULL) and returns status, so that a caller can `return mq_fail(...)`. */
mq_status mq_fail(mq_error *error, mq_status status, const char *format, ...) MQ_PRINTF(3, 4);

/* Out of memory while getting `bytes` bytes for `what`. Always MQ_INTERNAL. */
mq_status mq_fail_memory(mq_error *error, const char *what, size_t bytes);

/* A failed system call on a path: "what: path: reason". MQ_BAD_INPUT for a path that cannot be read or
 * written. */
mq_status mq_fail_errno(mq_error *error, const char *what, const char *path);

/* Puts "prefix: " before the text of an error that is already set; returns its status. */
mq_status mq_fail_context(mq_error *error, mq_status status, const char *format, ...) MQ_PRINTF(3, 4);

/* The status of a failure that text out of a file has caused, whatever the callee calls it: MQ_BAD_INPUT, but
 * for MQ_INTERNAL and MQ_INTERRUPTED, which stay. */
mq_status mq_input_status(mq_status status);

/* Forwards a failure to the caller. */
#define MQ_TRY(call)                                                                                         \
    do {                                                                                                     \
        mq_status mq_try_status_ = (call);                                                                   \
        if (mq_try_status_ != MQ_OK) return mq_try_status_;                                                  \
    } while (0)

/* The same in a function that cleans up under a label; needs a local `mq_status status`. */
#define MQ_TRY_GOTO(call, label)                                                                             \
    do {                                                                                                     \
        status = (call);                                                                                     \
        if (status != MQ_OK) goto label;                                                                     \
    } while (0)

#endif
