/* work_folder.c - see work_folder.h. */
#include "cli/work_folder.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/folder.h"

mq_status work_folder_open(const char *named, work_folder *out, mq_error *error) {
    const char *temporary = getenv("TMPDIR");
    *out = (work_folder){.kept = named != NULL};
    if (named) {
        if (snprintf(out->path, sizeof out->path, "%s", named) >= MQ_PATH)
            return mq_fail(error, MQ_USAGE, "--work: path too long");
        return mq_make_dirs(named, error);
    }
    if (snprintf(out->path, sizeof out->path, "%s/mixq-XXXXXX",
                 temporary && *temporary ? temporary : "/tmp") >= MQ_PATH)
        return mq_fail(error, MQ_BAD_INPUT, "TMPDIR: path too long");
    if (!mkdtemp(out->path)) return mq_fail_errno(error, "cannot make a folder", out->path);
    return MQ_OK;
}

void work_folder_close(work_folder *f) {
    if (!f->kept && f->path[0]) mq_folder_remove(f->path, NULL);
    f->path[0] = 0;
}
