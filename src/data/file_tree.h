/* file_tree.h - the files of a folder and the folders in it that have a certain ending. */
#ifndef MIXQ_DATA_FILE_TREE_H
#define MIXQ_DATA_FILE_TREE_H

#include <stddef.h>

#include "base/memory.h"
#include "base/status.h"

enum { MQ_TREE_DEPTH = 16 }; /* folders within each other at most */

typedef struct mq_file_tree {
    size_t count;
    char **path; /* [count] below the root, "boat1/000001.jpg"; folder by folder in natural order ("2" before
                    "10") */
    size_t room;
    mq_arena *arena;
} mq_file_tree;

/* Lists the regular files below `root` whose name ends with one of `endings` (lower case, ends with NULL;
 * case does not matter). Links are followed; hidden names are left out. MQ_BAD_INPUT: a folder that cannot be
 * read, or deeper than MQ_TREE_DEPTH. */
mq_status mq_file_tree_open(const char *root, const char *const *endings, mq_file_tree *out,
                            mq_error *error) MQ_MUST_CHECK;
void mq_file_tree_close(mq_file_tree *tree); /* {0} is fine */

#endif
