/* helper_faults.h - the program under faults.c, folders compared whole, and the flows that write files. */
#ifndef MIXQ_TESTS_RELIABILITY_HELPER_FAULTS_H
#define MIXQ_TESTS_RELIABILITY_HELPER_FAULTS_H

#include "cli_run.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"

enum { FAULT_KINDS = 13, FAULT_KILLED = 1000 + SIGKILL };

/* What faults.c counted. */
typedef struct fault_report {
    bool there; /* not after SIGKILL */
    long calls[FAULT_KINDS], changes, ticks, blocks, files;
} fault_report;
extern const char *const fault_kinds[FAULT_KINDS];

/* Whether MIXQ_DEEP is set: all trials instead of some. */
bool fault_deep(void);
/* Runs `mixq line` with MIXQ_FAULT=fault; report may be NULL. Without faults.c (sanitizers): skips the test.
 */
cli_result *fault_run(void **state, const char *fault, const char *line, fault_report *report);
void fault_needed(void);

/* The same line many times, loaded once. */
typedef struct fault_server {
    pid_t pid;
    int ask, answer;
} fault_server;
void fault_server_start(void **state, const char *line, fault_server *out);
cli_result *fault_server_run(void **state, const fault_server *server, const char *fault,
                             fault_report *report);
void fault_server_stop(const fault_server *server);

/* SHA-256 over names and bytes of a file, or of the regular files below a folder; hidden leftovers (.partial,
 * .tmp) are left out. "-": nothing there, or an empty folder. */
void tree_digest(void **state, const char *name, char out[MQ_DIGEST_TEXT]);
/* Hidden leftovers below the test's folder. */
int leftovers(void **state);
/* cp -a; the target is removed before. `from` NULL: only that. */
void tree_copy(void **state, const char *from, const char *to);

/* A command that writes: its line with --out and such, the files and folders it makes, and how their readers
 * are asked whether they take them. */
typedef struct flow {
    const char *name, *line;
    const char *old;    /* the line that made what stood there before, NULL: cannot be replaced */
    const char *out[3]; /* paths; ends with NULL */
    const char
        *reader; /* must refuse what is neither the old nor the new result; NULL: nothing such is allowed */
} flow;
extern const flow flows[];
extern const int flow_count;

/* cmocka set-up: tiny.yaml, data/, boxes/ and what the flows read: run/, run3/, net/, small/. */
int flows_make(void **state);

#endif
