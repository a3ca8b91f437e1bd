/* work_folder.h - where other programs write while a command runs: --work DIR, which stays, or a folder of
 * its own under TMPDIR, which is removed. */
#ifndef MIXQ_CLI_WORK_FOLDER_H
#define MIXQ_CLI_WORK_FOLDER_H

#include <stdbool.h>

#include "base/file.h"

typedef struct work_folder {
    char path[MQ_PATH];
    bool kept;
} work_folder;

/* named: the value of --work, or NULL. */
mq_status work_folder_open(const char *named, work_folder *out, mq_error *error) MQ_MUST_CHECK;
void work_folder_close(work_folder *folder);

#endif
