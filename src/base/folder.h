/* folder.h - whole folders: listing, copying single files, removing, and replacing one by another. */
#ifndef MIXQ_BASE_FOLDER_H
#define MIXQ_BASE_FOLDER_H

#include <stddef.h>

#include "base/status.h"

/* The regular files below dir, as sorted paths relative to it. Release with mq_folder_list_free. */
typedef struct mq_folder_list {
    char **name;
    size_t count;
} mq_folder_list;

mq_status mq_folder_files(const char *dir, mq_folder_list *out, mq_error *error) MQ_MUST_CHECK;
void mq_folder_list_free(mq_folder_list *list);

/* Copies a file, atomically; folders of the target exist. */
mq_status mq_file_copy(const char *from, const char *to, mq_error *error) MQ_MUST_CHECK;

/* Removes a folder with all that is in it; links are removed, not followed. None there is fine. */
mq_status mq_folder_remove(const char *dir, mq_error *error);

/* The same with what is in it; the folder itself stays. */
mq_status mq_folder_clear(const char *dir, mq_error *error) MQ_MUST_CHECK;

/* Makes `fresh` the folder `dir`, in whose place nothing, an empty folder or the old one stands; the old one
 * is removed once the new one is in place. Both on one file system; they change places in one step where it
 * can do that. */
mq_status mq_folder_replace(const char *fresh, const char *dir, mq_error *error) MQ_MUST_CHECK;

#endif
