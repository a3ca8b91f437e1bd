/* process.h - running another program: found on PATH, in a folder, its output in a log file, with a limit in
 * time. It runs in a process group of its own, so that what it started ends with it. */
#ifndef MIXQ_BASE_PROCESS_H
#define MIXQ_BASE_PROCESS_H

#include <stdbool.h>

#include "base/status.h"

/* Whether `name` is a program on PATH. */
bool mq_program_found(const char *name);

typedef struct mq_process {
    const char *const
        *words;         /* program (searched on PATH unless it has a '/') and arguments; ends with NULL */
    const char *folder; /* to run in; NULL: here */
    const char *log;    /* gets stdout and stderr; NULL: thrown away */
    double seconds;     /* limit, 0: none */
    void (*waiting)(void *context, double seconds); /* called about once a second while it runs; or NULL */
    void *context;
} mq_process;

/* *code: its exit code, or 128 + the signal that ended it. MQ_CHECK_FAILED when the time is over,
 * MQ_INTERRUPTED when the user asks to stop; it is ended then. MQ_INTERNAL when it cannot be started. */
mq_status mq_process_run(const mq_process *process, int *code, mq_error *error) MQ_MUST_CHECK;

/* The last lines of a log, at most `size` bytes, newlines turned into " | ". */
void mq_log_tail(const char *path, char *out, int size);

#endif
