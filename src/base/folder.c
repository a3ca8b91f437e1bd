/* folder.c - walks over folders. */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

enum { OPEN_FOLDERS = 16, MOST_DEPTH = 32 };

static mq_status add(mq_folder_list *list, const char *name, mq_error *error) {
    if ((list->count & (list->count - 1)) == 0) /* grows at powers of two */
        MQ_TRY(mq_resize(list->count, list->count ? 2 * list->count : 1, sizeof *list->name, "files",
                         &list->name, error));
    MQ_TRY(mq_strdup(name, &list->name[list->count], error));
    list->count++;
    return MQ_OK;
}

/* prefix: path of this folder relative to the root, "" or ending with '/'. */
static mq_status walk(const char *root, const char *prefix, int depth, mq_folder_list *list,
                      mq_error *error) {
    char path[MQ_PATH], name[MQ_PATH];
    struct stat info;
    mq_status status = MQ_OK;
    MQ_TRY(mq_path_join(root, prefix, path, error));
    if (depth > MOST_DEPTH) return mq_fail(error, MQ_BAD_INPUT, "%s: folders too deep", path);
    DIR *dir = opendir(path);
    if (!dir) return mq_fail_errno(error, "cannot read", path);
    while (status == MQ_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry && errno) status = mq_fail_errno(error, "cannot read", path);
        if (!entry) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (snprintf(name, sizeof name, "%s%s", prefix, entry->d_name) >= MQ_PATH - 1) continue;
        status = mq_path_join(root, name, path, error);
        if (status == MQ_OK && lstat(path, &info) != 0) status = mq_fail_errno(error, "cannot read", path);
        if (status != MQ_OK) break;
        if (S_ISREG(info.st_mode)) status = add(list, name, error);
        if (S_ISDIR(info.st_mode)) {
            strcat(name, "/");
            status = walk(root, name, depth + 1, list, error);
        }
    }
    closedir(dir);
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

mq_status mq_folder_files(const char *dir, mq_folder_list *out, mq_error *error) {
    *out = (mq_folder_list){0};
    mq_status status = walk(dir, "", 0, out, error);
    if (status != MQ_OK) {
        mq_folder_list_free(out);
        return status;
    }
    if (out->count) qsort(out->name, out->count, sizeof *out->name, by_name);
    return MQ_OK;
}

void mq_folder_list_free(mq_folder_list *list) {
    for (size_t i = 0; i < list->count; i++) mq_free(list->name[i]);
    mq_free(list->name);
    *list = (mq_folder_list){0};
}

mq_status mq_file_copy(const char *from, const char *to, mq_error *error) {
    uint8_t buffer[1 << 16];
    mq_outfile *file = NULL;
    mq_status status = MQ_OK;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mq_fail_errno(error, "cannot read", from);
    status = mq_outfile_open(to, &file, error);
    while (status == MQ_OK) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = mq_fail_errno(error, "cannot read", from);
        if (n <= 0) break;
        status = mq_outfile_write(file, buffer, (size_t)n, error);
    }
    close(fd);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    return remove(path);
}

mq_status mq_folder_remove(const char *dir, mq_error *error) {
    struct stat info;
    if (lstat(dir, &info) != 0) return MQ_OK;
    if (nftw(dir, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0)
        return mq_fail_errno(error, "cannot remove", dir);
    return MQ_OK;
}

mq_status mq_folder_clear(const char *dir, mq_error *error) {
    char path[MQ_PATH];
    mq_status status = MQ_OK;
    DIR *entries = opendir(dir);
    if (!entries) return mq_fail_errno(error, "cannot read", dir);
    for (const struct dirent *entry; status == MQ_OK && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        status = mq_path_join(dir, entry->d_name, path, error);
        if (status == MQ_OK) status = mq_folder_remove(path, error);
    }
    closedir(entries);
    return status;
}

mq_status mq_folder_replace(const char *fresh, const char *dir, mq_error *error) {
    char old[MQ_PATH];
    if (rename(fresh, dir) == 0) return MQ_OK; /* nothing there, or an empty folder */
    if (errno != ENOTEMPTY && errno != EEXIST) return mq_fail_errno(error, "cannot write", dir);
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, dir, RENAME_EXCHANGE) == 0)
        return mq_folder_remove(fresh, error);
    if (errno != EINVAL && errno != ENOSYS) return mq_fail_errno(error, "cannot replace", dir);
    /* a file system that cannot exchange: for a moment neither stands there */
    if (snprintf(old, sizeof old, "%s.old", fresh) >= MQ_PATH)
        return mq_fail(error, MQ_BAD_INPUT, "path too long: %.80s...", fresh);
    MQ_TRY(mq_folder_remove(old, error));
    if (rename(dir, old) != 0) return mq_fail_errno(error, "cannot replace", dir);
    if (rename(fresh, dir) != 0) {
        mq_status status = mq_fail_errno(error, "cannot write", dir);
        if (rename(old, dir) != 0) return mq_fail_context(error, status, "the old folder is now %s", old);
        return status;
    }
    return mq_folder_remove(old, error);
}
