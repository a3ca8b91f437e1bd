/* process.c - spawn, wait, end. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stop.h"

enum { POLL_NS = 20 * 1000 * 1000, POLLS_PER_SECOND = 50, MOST_LOG = 1 << 28 };

bool mq_program_found(const char *name) {
    const char *path = getenv("PATH");
    char file[MQ_PATH];
    while (path && *path) {
        size_t n = strcspn(path, ":");
        if (n && snprintf(file, sizeof file, "%.*s/%s", (int)n, path, name) < MQ_PATH &&
            access(file, X_OK) == 0 && !mq_path_is_dir(file))
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

/* Starts it in a process group of its own; an errno. */
static int start(const mq_process *p, int log, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code) return code;
    code = posix_spawnattr_init(&attributes);
    if (code == 0) {
        code = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (!code) code = posix_spawn_file_actions_adddup2(&actions, log, 1);
        if (!code) code = posix_spawn_file_actions_adddup2(&actions, log, 2);
        if (!code && p->folder) code = posix_spawn_file_actions_addchdir_np(&actions, p->folder);
        sigset_t ignored; /* here, not there */
        sigemptyset(&ignored);
        sigaddset(&ignored, SIGPIPE);
        sigaddset(&ignored, SIGXFSZ);
        if (!code)
            code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
        if (!code) code = posix_spawnattr_setsigdefault(&attributes, &ignored);
        if (!code) code = posix_spawnattr_setpgroup(&attributes, 0);
        if (!code)
            code = posix_spawnp(pid, p->words[0], &actions, &attributes, (char *const *)(uintptr_t)p->words,
                                environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void end(pid_t pid) {
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

mq_status mq_process_run(const mq_process *p, int *code, mq_error *error) {
    const char *name = p->words[0];
    const double began = now();
    int state = 0, log = open(p->log ? p->log : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    *code = -1;
    if (log < 0) return mq_fail_errno(error, "cannot write", p->log);
    pid_t pid;
    int failed = start(p, log, &pid);
    close(log);
    if (failed) return mq_fail(error, MQ_INTERNAL, "%s: cannot be started: %s", name, strerror(failed));
    for (long polls = 1;; polls++) {
        pid_t done = waitpid(pid, &state, WNOHANG);
        if (done == pid) break;
        if (done < 0 && errno != EINTR) return mq_fail(error, MQ_INTERNAL, "%s: lost", name);
        if (mq_stop_requested()) {
            end(pid);
            return mq_fail(error, MQ_INTERRUPTED, "interrupted");
        }
        double seconds = now() - began;
        if (p->seconds > 0 && seconds > p->seconds) {
            end(pid);
            return mq_fail(error, MQ_CHECK_FAILED, "%s: not done after %.0f s", name, p->seconds);
        }
        if (p->waiting && polls % POLLS_PER_SECOND == 0) p->waiting(p->context, seconds);
        nanosleep(&(struct timespec){0, POLL_NS}, NULL);
    }
    *code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    return MQ_OK;
}

void mq_log_tail(const char *path, char *out, int size) {
    uint8_t *text;
    size_t length;
    int n = 0;
    out[0] = 0;
    if (mq_file_read(path, MOST_LOG, &text, &length, NULL) != MQ_OK) return;
    while (length && text[length - 1] == '\n') length--;
    size_t from = length > (size_t)size / 2 ? length - (size_t)size / 2 : 0;
    for (size_t i = from; i < length && n < size - 4; i++) {
        if (text[i] == '\n')
            n += snprintf(out + n, 4, " | ");
        else
            out[n++] = text[i] < 32 ? ' ' : (char)text[i];
    }
    out[n] = 0;
    mq_free(text);
}
