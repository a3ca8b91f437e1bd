/* hls_run.c - compiling, running and comparing the HLS bench. */
#include "gen/hls_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "gen/hls_beats.h"

extern char **environ;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The last lines of the log, on one line. */
static mq_status failed(const char *dir, const char *what, mq_error *error) {
    char path[MQ_PATH], tail[400] = "";
    uint8_t *text = NULL;
    size_t size = 0;
    mq_error none;
    if (mq_path_join(dir, "bench.log", path, error) == MQ_OK &&
        mq_file_read(path, 1 << 26, &text, &size, &none) == MQ_OK) {
        size_t from = size > sizeof tail - 1 ? size - (sizeof tail - 1) : 0;
        for (size_t i = 0; from + i < size; i++)
            tail[i] = text[from + i] == '\n' ? ' ' : (char)text[from + i];
        mq_free(text);
    }
    return mq_fail(error, MQ_CHECK_FAILED, "%s: %s: ... %s", dir, what, tail);
}

/* Runs a program in a group of its own, its words to DIR/bench.log; *code: its exit code, -1: killed. */
static mq_status execute(const char *dir, char *const argv[], bool append, double limit_s, int *code,
                         mq_error *error) {
    char log[MQ_PATH];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    MQ_TRY(mq_path_join(dir, "bench.log", log, error));
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log,
                                     O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    int failure = posix_spawnp(&pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failure) return mq_fail(error, MQ_BAD_INPUT, "%s: cannot be run: %s", argv[0], strerror(failure));
    double end = now() + limit_s;
    int status = 0;
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) break;
        if (got < 0 && errno != EINTR) return mq_fail(error, MQ_INTERNAL, "%s: %s", argv[0], strerror(errno));
        if (now() > end) {
            kill(-pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            *code = -1;
            return failed(dir, "out of time", error);
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return MQ_OK;
}

/* An empty folder DIR/dumps. */
static mq_status fresh_dumps(const char *dir, char out[MQ_PATH], mq_error *error) {
    MQ_TRY(mq_path_join(dir, "dumps", out, error));
    MQ_TRY(mq_make_dirs(out, error));
    DIR *folder = opendir(out);
    if (!folder) return mq_fail_errno(error, "cannot read", out);
    for (struct dirent *e; (e = readdir(folder));) {
        size_t n = strlen(e->d_name);
        if (n > 6 && strcmp(e->d_name + n - 6, ".beats") == 0) (void)unlinkat(dirfd(folder), e->d_name, 0);
    }
    closedir(folder);
    return MQ_OK;
}

mq_status mq_hls_run(const char *dir, const char *vectors, int jobs, double limit_s, bool *differs,
                     mq_hls_times *times, mq_error *error) {
    char parallel[16], bench[MQ_PATH], own[MQ_PATH], dumps[MQ_PATH];
    int code;
    snprintf(parallel, sizeof parallel, "-j%d", jobs > 0 ? jobs : 1);
    MQ_TRY(mq_path_join(dir, "bench", bench, error));
    MQ_TRY(mq_path_join(dir, "vectors", own, error));
    MQ_TRY(fresh_dumps(dir, dumps, error));
    double start = now();
    char *const make[] = {(char *)"make", (char *)"-s",    (char *)"-C", (char *)dir,
                          parallel,       (char *)"bench", NULL};
    MQ_TRY(execute(dir, make, false, limit_s, &code, error));
    if (code != 0) return failed(dir, "the bench does not compile", error);
    double compiled = now();
    char *const run[] = {bench, vectors ? (char *)vectors : own, dumps, NULL};
    MQ_TRY(execute(dir, run, true, limit_s, &code, error));
    if (code != 0 && code != 1) return failed(dir, "the bench does not end well", error);
    *differs = code == 1;
    if (times) *times = (mq_hls_times){compiled - start, now() - compiled};
    return MQ_OK;
}

/* ---- comparing ---- */

static void compare_frame(const mq_stream *s, const int64_t *got, const int64_t *expected, int node,
                          size_t image, mq_hls_difference *out) {
    for (int y = 0; y < s->h; y++)
        for (int x = 0; x < s->w; x++)
            for (int c = 0; c < s->c; c++) {
                size_t at = ((size_t)y * (size_t)s->w + (size_t)x) * (size_t)s->c + (size_t)c;
                if (got[at] == expected[at]) continue;
                if (out->node < 0) {
                    out->node = node, out->image = image, out->c = c, out->y = y, out->x = x;
                    out->got = got[at], out->expected = expected[at];
                }
                out->mismatches++;
            }
}

mq_status mq_hls_compare(const mq_hls_net *h, const char *dir, size_t images, const int64_t *const *codes,
                         mq_hls_difference *out, mq_error *error) {
    *out = (mq_hls_difference){.node = -1};
    mq_status status = MQ_OK;
    for (int i = 0; i < h->count && status == MQ_OK; i++) {
        const mq_hls_stage *s = &h->stage[i];
        char dumps[MQ_PATH], path[MQ_PATH], file[MQ_HLS_ID + 8];
        uint8_t *bytes;
        size_t size, frame = mq_frame_bytes(&s->out);
        int64_t *got;
        snprintf(file, sizeof file, "%s.beats", s->id);
        MQ_TRY(mq_path_join(dir, "dumps", dumps, error));
        MQ_TRY(mq_path_join(dumps, file, path, error));
        MQ_TRY(mq_file_read(path, (size_t)1 << 32, &bytes, &size, error));
        if (size != images * frame)
            status = mq_fail(error, MQ_CHECK_FAILED, "%s: %zu bytes, expected %zu frames of %zu", path, size,
                             images, frame);
        if (status == MQ_OK)
            status = mq_alloc((size_t)s->out.h * (size_t)s->out.w * (size_t)s->out.c, sizeof *got, "codes",
                              &got, error);
        for (size_t f = 0; f < images && status == MQ_OK; f++) {
            const int64_t *expected = codes[f * (size_t)h->net->node_count + (size_t)s->result];
            if (!expected) continue;
            mq_beats_unpack(&s->out, bytes + f * frame, got);
            compare_frame(&s->out, got, expected, s->result, f, out);
        }
        if (status == MQ_OK) mq_free(got);
        mq_free(bytes);
    }
    return status;
}
