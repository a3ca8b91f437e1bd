/* golden_files.h - finds files below the folder of golden numbers (MIXQ_GOLDEN, default ../shared/golden), so
 * that a test runs on whatever cases a folder holds. */
#ifndef MIXQ_TESTS_GOLDEN_FILES_H
#define MIXQ_TESTS_GOLDEN_FILES_H

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static inline const char *golden_root(void) {
    const char *root = getenv("MIXQ_GOLDEN");
    return root && *root ? root : MIXQ_SOURCE_DIR "/../shared/golden";
}

enum { GOLDEN_PATH = 4096 };

/* folder/name; 0 when too long. */
static inline int golden_path(char path[GOLDEN_PATH], const char *folder, const char *name) {
    size_t n = strlen(folder), m = strlen(name);
    if (n + m + 2 > GOLDEN_PATH) return 0;
    memmove(path, folder, n);
    path[n] = '/';
    memcpy(path + n + 1, name, m + 1);
    return 1;
}

/* Calls fn(folder, context) for every folder, sorted, at most two levels deep, that holds a file `name`;
 * returns how many there were. */
static inline int golden_each_in(const char *folder, const char *name, int depth,
                                 void (*fn)(const char *, void *), void *context) {
    char path[GOLDEN_PATH];
    struct stat info;
    int found = 0;
    if (!golden_path(path, folder, name)) return 0;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        fn(folder, context);
        found++;
    }
    struct dirent **list;
    int n = depth > 0 ? scandir(folder, &list, NULL, alphasort) : 0;
    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.' && golden_path(path, folder, list[i]->d_name) &&
            stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            found += golden_each_in(path, name, depth - 1, fn, context);
        free(list[i]);
    }
    if (n > 0) free(list);
    return found;
}

static inline int golden_each(const char *name, void (*fn)(const char *, void *), void *context) {
    return golden_each_in(golden_root(), name, 2, fn, context);
}

#endif
