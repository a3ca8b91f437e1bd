/* file.c - whole-file reads and atomic writes. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

mq_status mq_path_join(const char *dir, const char *name, char *out, mq_error *error) {
    size_t n = strlen(dir);
    const char *slash = n && dir[n - 1] == '/' ? "" : "/";
    int length = snprintf(out, MQ_PATH, "%s%s%s", dir, slash, name);
    if (length < 0 || length >= MQ_PATH)
        return mq_fail(error, MQ_BAD_INPUT, "path too long: %.80s...: at most %d characters", dir,
                       MQ_PATH - 1);
    return MQ_OK;
}

/* What cannot be looked at may be there: who then opens it learns why not. */
static bool nothing_there(void) {
    return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
}

bool mq_path_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 || !nothing_there();
}

bool mq_path_is_dir(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? S_ISDIR(info.st_mode) : !nothing_there();
}

bool mq_dir_has_entries(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return !nothing_there();
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(dir));)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                strcmp(entry->d_name, MQ_PARTIAL) != 0;
    closedir(dir);
    return found;
}

mq_status mq_make_dirs(const char *path, mq_error *error) {
    char part[MQ_PATH];
    size_t n = strlen(path);
    if (n == 0 || n >= MQ_PATH)
        return mq_fail(error, MQ_BAD_INPUT, "cannot make a folder: empty or too long path");
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && !(errno == EEXIST && mq_path_is_dir(part)))
            return mq_fail_errno(error, "cannot make a folder", part);
    }
    return MQ_OK;
}

mq_status mq_file_read(const char *path, size_t limit, uint8_t **out, size_t *size, mq_error *error) {
    *out = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mq_fail_errno(error, "cannot read", path);
    mq_status status = MQ_OK;
    struct stat info;
    if (fstat(fd, &info) != 0) {
        status = mq_fail_errno(error, "cannot read", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = mq_fail(error, MQ_BAD_INPUT, "cannot read: %s: not a regular file", path);
    } else if ((uint64_t)info.st_size > limit) {
        status = mq_fail(error, MQ_BAD_INPUT, "file too large: %s: %lld bytes, at most %zu expected", path,
                         (long long)info.st_size, limit);
    } else {
        size_t total = (size_t)info.st_size, done = 0;
        status = mq_alloc(total + 1, 1, path, out, error);
        while (status == MQ_OK && done < total) {
            ssize_t n = read(fd, *out + done, total - done);
            if (n > 0) {
                done += (size_t)n;
            } else if (n == 0) {
                status =
                    mq_fail(error, MQ_BAD_INPUT, "cannot read: %s: it shrank to %zu of %zu bytes while read",
                            path, done, total);
            } else if (errno != EINTR) {
                status = mq_fail_errno(error, "cannot read", path);
            }
        }
        *size = done;
    }
    close(fd);
    if (status != MQ_OK) {
        mq_free(*out);
        *out = NULL;
        *size = 0;
    }
    return status;
}

struct mq_outfile {
    int fd;
    bool unsynced;
    char path[MQ_PATH], temporary[MQ_PATH];
    size_t used;
    uint8_t buffer[1 << 16];
};

/* Renaming over a device or a pipe would replace it, and over a link would lose it: only regular files are
 * replaced, links are followed. */
static mq_status find_target(const char *path, char target[MQ_PATH], mq_error *error) {
    struct stat info;
    if (strlen(path) >= MQ_PATH)
        return mq_fail(error, MQ_BAD_INPUT, "cannot write: %.200s: not a usable file name", path);
    strcpy(target, path);
    if (stat(path, &info) != 0) return MQ_OK;
    if (!S_ISREG(info.st_mode))
        return mq_fail(error, MQ_BAD_INPUT, "cannot write: %s: not a regular file", path);
    char *real = realpath(path, NULL);
    if (real && strlen(real) < MQ_PATH) strcpy(target, real);
    free(real);
    return MQ_OK;
}

/* Makes the temporary file. The lock on it says that its writer lives; mq_remove_leftovers takes what nobody
 * holds, and may be faster than the lock: then once more. -1 with errno. */
static int open_temporary(const char *path) {
    for (int attempt = 0; attempt < 100; attempt++) {
        struct stat info;
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0) return -1;
        bool held = flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; /* or a system without locks */
        if (held && fstat(fd, &info) == 0 && info.st_nlink > 0) return fd;
        close(fd);
    }
    errno = EBUSY;
    return -1;
}

mq_status mq_outfile_open(const char *name, mq_outfile **out, mq_error *error) {
    *out = NULL;
    char path[MQ_PATH];
    MQ_TRY(find_target(name, path, error));
    mq_outfile *file;
    MQ_TRY(mq_alloc(1, sizeof *file, path, &file, error));
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path) + 1 : 0;
    int n = snprintf(file->temporary, MQ_PATH, "%.*s.%s.%ld.tmp", dir, path, path + dir, (long)getpid());
    if (n < 0 || n >= MQ_PATH || strlen(path) >= MQ_PATH || !path[dir]) {
        mq_free(file);
        return mq_fail(error, MQ_BAD_INPUT, "cannot write: %.200s: not a usable file name", path);
    }
    strcpy(file->path, path);
    file->fd = open_temporary(file->temporary);
    if (file->fd < 0) {
        mq_status status = mq_fail_errno(error, "cannot write", path);
        mq_free(file);
        return status;
    }
    *out = file;
    return MQ_OK;
}

static mq_status flush_bytes(mq_outfile *file, const uint8_t *bytes, size_t size, mq_error *error) {
    while (size) {
        ssize_t n = write(file->fd, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return mq_fail_errno(error, "cannot write", file->path);
        bytes += n;
        size -= (size_t)n;
    }
    return MQ_OK;
}

mq_status mq_outfile_write(mq_outfile *file, const void *bytes, size_t size, mq_error *error) {
    if (size >= sizeof file->buffer - file->used) {
        MQ_TRY(flush_bytes(file, file->buffer, file->used, error));
        file->used = 0;
        if (size >= sizeof file->buffer) return flush_bytes(file, bytes, size, error);
    }
    if (size) memcpy(file->buffer + file->used, bytes, size);
    file->used += size;
    return MQ_OK;
}

mq_status mq_outfile_printf(mq_outfile *file, mq_error *error, const char *format, ...) {
    char small[512], *text = small;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    mq_status status = MQ_OK;
    if (n >= (int)sizeof small) {
        status = mq_alloc((size_t)n + 1, 1, "a line", &text, error);
        if (status == MQ_OK) vsnprintf(text, (size_t)n + 1, format, again);
    }
    va_end(again);
    if (status == MQ_OK && n > 0) status = mq_outfile_write(file, text, (size_t)n, error);
    if (text != small) mq_free(text);
    return status;
}

void mq_outfile_unsynced(mq_outfile *file) {
    file->unsynced = true;
}

/* ".NAME.DIGITS.tmp"; any NAME when that is NULL. */
static bool is_temporary(const char *entry, const char *name) {
    size_t length = strlen(entry);
    if (entry[0] != '.' || length < sizeof ".x.1.tmp" - 1 || strcmp(entry + length - 4, ".tmp") != 0)
        return false;
    size_t digits = length - 4;
    while (digits > 0 && entry[digits - 1] >= '0' && entry[digits - 1] <= '9') digits--;
    if (digits == length - 4 || digits < 3 || entry[digits - 1] != '.') return false;
    return !name || (strlen(name) == digits - 2 && strncmp(entry + 1, name, digits - 2) == 0);
}

void mq_remove_leftovers(const char *folder, const char *name) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (!is_temporary(entry->d_name, name)) continue;
        int fd = openat(dirfd(dir), entry->d_name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(dir), entry->d_name, 0);
        close(fd);
    }
    closedir(dir);
}

/* Makes the rename itself durable. Some file systems refuse to sync a folder; that is not an error of ours.
 */
static void sync_folder(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)!fsync(fd);
    close(fd);
}

mq_status mq_outfile_commit(mq_outfile *file, mq_error *error) {
    mq_status status = MQ_OK;
    if (mq_memory_was_short()) status = mq_fail_memory(error, file->path, 0); /* it may lack a part */
    if (status == MQ_OK) status = flush_bytes(file, file->buffer, file->used, error);
    if (status == MQ_OK && !file->unsynced && fsync(file->fd) != 0)
        status = mq_fail_errno(error, "cannot write", file->path);
    int lock = fcntl(file->fd, F_DUPFD_CLOEXEC, 0); /* held until it has its name; -1: so be it */
    int closed = close(file->fd);
    file->fd = -1;
    if (status == MQ_OK && closed != 0) status = mq_fail_errno(error, "cannot write", file->path);
    if (status == MQ_OK && rename(file->temporary, file->path) != 0)
        status = mq_fail_errno(error, "cannot write", file->path);
    if (status != MQ_OK) {
        unlink(file->temporary);
    } else if (!file->unsynced) {
        const char *slash = strrchr(file->path, '/');
        char dir[MQ_PATH];
        snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - file->path) + 1 : 1,
                 slash ? file->path : ".");
        sync_folder(dir);
        mq_remove_leftovers(dir, slash ? slash + 1 : file->path);
    }
    if (lock >= 0) close(lock);
    mq_free(file);
    return status;
}

void mq_outfile_abort(mq_outfile *file) {
    if (!file) return;
    close(file->fd);
    unlink(file->temporary);
    mq_free(file);
}

mq_status mq_file_write(const char *path, const void *bytes, size_t size, mq_error *error) {
    mq_outfile *file;
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_status status = mq_outfile_write(file, bytes, size, error);
    if (status != MQ_OK) {
        mq_outfile_abort(file);
        return status;
    }
    return mq_outfile_commit(file, error);
}

mq_status mq_file_append_line(const char *path, const char *line, mq_error *error) {
    size_t n = strlen(line), done = 0;
    char *text;
    struct stat before;
    MQ_TRY(mq_alloc(n + 2, 1, "a line", &text, error));
    memcpy(text, line, n);
    text[n] = '\n';
    mq_status status = MQ_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || fstat(fd, &before) != 0) status = mq_fail_errno(error, "cannot write", path);
    while (status == MQ_OK && done < n + 1) {
        ssize_t written = write(fd, text + done, n + 1 - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno != EINTR)
            status = mq_fail_errno(error, "cannot write", path);
    }
    /* no half lines */
    if (status != MQ_OK && done > 0 && ftruncate(fd, before.st_size) != 0) status = MQ_BAD_INPUT;
    if (fd >= 0 && close(fd) != 0 && status == MQ_OK) status = mq_fail_errno(error, "cannot write", path);
    mq_free(text);
    return status;
}
