/* staging.c - hidden folders of unfinished results. */
#include "base/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"

enum { ATTEMPTS = 100 };

/* Locked, and still the folder of that name: its last writer may have removed it in between. */
static bool hold(const char *path, int *fd, mq_status *status, mq_error *error) {
    struct stat held, named;
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) {
        if (errno == ENOENT) return false;
        *status = mq_fail_errno(error, "cannot write", path);
        return true;
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) { /* else a system without locks */
        *status = mq_fail(error, MQ_USAGE, "%s: another process is writing there", path);
        return true;
    }
    if (fstat(*fd, &held) == 0 && stat(path, &named) == 0 && held.st_dev == named.st_dev &&
        held.st_ino == named.st_ino)
        return true;
    close(*fd);
    *fd = -1;
    return false;
}

mq_status mq_staging_open(const char *path, mq_staging *out, mq_error *error) {
    mq_status status = MQ_OK;
    out->lock = -1;
    if (snprintf(out->path, sizeof out->path, "%s", path) >= MQ_PATH)
        return mq_fail(error, MQ_BAD_INPUT, "path too long: %.80s...", path);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        MQ_TRY(mq_make_dirs(path, error));
        if (!hold(path, &out->lock, &status, error)) continue;
        if (status == MQ_OK) status = mq_folder_clear(path, error);
        if (status != MQ_OK && out->lock >= 0) {
            close(out->lock);
            out->lock = -1;
        }
        return status;
    }
    return mq_fail(error, MQ_BAD_INPUT, "cannot write: %s: others remove it again and again", path);
}

mq_status mq_staging_inside(const char *dir, mq_staging *out, mq_error *error) {
    char path[MQ_PATH];
    out->lock = -1;
    MQ_TRY(mq_path_join(dir, MQ_PARTIAL, path, error));
    return mq_staging_open(path, out, error);
}

mq_status mq_staging_beside(const char *dir, mq_staging *out, mq_error *error) {
    char clean[MQ_PATH], path[MQ_PATH];
    size_t n = strlen(dir);
    out->lock = -1;
    if (n == 0 || n >= MQ_PATH) return mq_fail(error, MQ_USAGE, "--out: empty or too long");
    memcpy(clean, dir, n + 1);
    while (n > 1 && clean[n - 1] == '/') clean[--n] = 0;
    const char *slash = strrchr(clean, '/'), *name = slash ? slash + 1 : clean;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return mq_fail(error, MQ_USAGE, "--out %s: the name of a folder expected", dir);
    int folder = slash ? (int)(slash - clean) + 1 : 0;
    if (snprintf(path, MQ_PATH, "%.*s.%s" MQ_PARTIAL, folder, clean, name) >= MQ_PATH - 8)
        return mq_fail(error, MQ_BAD_INPUT, "path too long: %.80s...", dir);
    return mq_staging_open(path, out, error);
}

void mq_staging_close(mq_staging *stage) {
    if (stage->lock < 0) return;
    mq_folder_remove(stage->path, NULL);
    close(stage->lock);
    stage->lock = -1;
}
