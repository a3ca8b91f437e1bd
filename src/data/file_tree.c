/* file_tree.c - walking folders in an order that does not depend on the file system. */
#include "data/file_tree.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

typedef struct name_list {
    char **name; /* in the walk's arena */
    size_t count, room;
} name_list;

static mq_status append(name_list *list, char *name, mq_error *error) {
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        MQ_TRY(mq_resize(list->count, room, sizeof *list->name, "names of files", &list->name, error));
        list->room = room;
    }
    list->name[list->count++] = name;
    return MQ_OK;
}

/* Natural order; names that only differ in leading zeros by their bytes. */
static int compare(const void *a, const void *b) {
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = mq_natural_compare(x, y);
    return order ? order : strcmp(x, y);
}

static bool ends_with_one(const char *name, const char *const *endings) {
    size_t length = strlen(name);
    for (; *endings; endings++) {
        size_t n = strlen(*endings);
        if (length > n && strcasecmp(name + length - n, *endings) == 0) return true;
    }
    return false;
}

/* The names in root/below that are not hidden, sorted. */
static mq_status read_folder(mq_file_tree *tree, const char *path, name_list *list, mq_error *error) {
    DIR *dir = opendir(path);
    if (!dir) return mq_fail_errno(error, "cannot read", path);
    mq_status status = MQ_OK;
    for (struct dirent *entry; status == MQ_OK && (entry = readdir(dir));) {
        char *name;
        if (entry->d_name[0] == '.') continue;
        status = mq_arena_strdup(tree->arena, entry->d_name, &name, error);
        if (status == MQ_OK) status = append(list, name, error);
    }
    closedir(dir);
    if (list->count) qsort(list->name, list->count, sizeof *list->name, compare);
    return status;
}

static mq_status walk(mq_file_tree *tree, const char *root, const char *below, int depth,
                      const char *const *endings, mq_error *error) {
    char folder[MQ_PATH], path[MQ_PATH];
    name_list list = {0};
    mq_status status = mq_path_join(root, below, folder, error);
    if (status == MQ_OK && depth > MQ_TREE_DEPTH)
        status =
            mq_fail(error, MQ_BAD_INPUT, "%s: more than %d folders within each other (a link in a circle?)",
                    folder, MQ_TREE_DEPTH);
    if (status == MQ_OK) status = read_folder(tree, folder, &list, error);
    for (size_t i = 0; i < list.count && status == MQ_OK; i++) {
        struct stat info;
        char *relative;
        status = mq_path_join(folder, list.name[i], path, error);
        if (status != MQ_OK || stat(path, &info) != 0) continue; /* a link to nowhere */
        if (!S_ISDIR(info.st_mode) && !(S_ISREG(info.st_mode) && ends_with_one(list.name[i], endings)))
            continue;
        status =
            mq_arena_printf(tree->arena, &relative, error, "%s%s%s", below, *below ? "/" : "", list.name[i]);
        if (status != MQ_OK) break;
        if (S_ISDIR(info.st_mode)) {
            status = walk(tree, root, relative, depth + 1, endings, error);
        } else {
            name_list files = {tree->path, tree->count, tree->room};
            status = append(&files, relative, error);
            tree->path = files.name;
            tree->count = files.count;
            tree->room = files.room;
        }
    }
    mq_free((void *)list.name);
    return status;
}

mq_status mq_file_tree_open(const char *root, const char *const *endings, mq_file_tree *out,
                            mq_error *error) {
    *out = (mq_file_tree){0};
    mq_status status = mq_arena_create(&out->arena, error);
    if (status == MQ_OK) status = walk(out, root, "", 0, endings, error);
    if (status != MQ_OK) mq_file_tree_close(out);
    return status;
}

void mq_file_tree_close(mq_file_tree *tree) {
    mq_free((void *)tree->path);
    mq_arena_destroy(tree->arena);
    *tree = (mq_file_tree){0};
}
