/* temp_dir.h - a folder of its own for a test, removed with all that is in it. */
#ifndef MIXQ_TESTS_BASE_TEMP_DIR_H
#define MIXQ_TESTS_BASE_TEMP_DIR_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct temp_dir {
    char path[64];
    char joined[512];
} temp_dir;

/* cmocka set-up: *state becomes a temp_dir. */
static inline int temp_dir_make(void **state) {
    temp_dir *dir = calloc(1, sizeof *dir);
    if (!dir) return -1;
    strcpy(dir->path, "/tmp/mixq-test-XXXXXX");
    *state = dir;
    return mkdtemp(dir->path) ? 0 : -1;
}

static inline int temp_dir_remove_one(const char *path, const struct stat *info, int kind,
                                      struct FTW *place) {
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

/* cmocka tear-down. */
static inline int temp_dir_remove(void **state) {
    temp_dir *dir = *state;
    int failed = nftw(dir->path, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
    return failed;
}

/* The path of a file in it; valid until the next call. */
static inline const char *temp_dir_path(void **state, const char *name) {
    temp_dir *dir = *state;
    snprintf(dir->joined, sizeof dir->joined, "%s/%s", dir->path, name);
    return dir->joined;
}

/* Entries in it, hidden ones too. */
static inline int temp_dir_count(void **state) {
    temp_dir *dir = *state;
    DIR *folder = opendir(dir->path);
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (folder) closedir(folder);
    return count;
}

#endif
