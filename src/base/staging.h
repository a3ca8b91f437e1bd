/* staging.h - a hidden folder in which a result of several files grows until it is moved into its place.
 *
 * It is locked while its writer lives: a second writer is refused, and what a killed one left is removed by
 * the next. Nothing reads such folders. */
#ifndef MIXQ_BASE_STAGING_H
#define MIXQ_BASE_STAGING_H

#include "base/file.h"

typedef struct mq_staging {
    char path[MQ_PATH];
    int lock; /* -1: closed */
} mq_staging;

/* Makes it, empty; its parents too. MQ_USAGE: another process is writing there. */
mq_status mq_staging_open(const char *path, mq_staging *out, mq_error *error) MQ_MUST_CHECK;
/* DIR/.partial, for results that are moved file by file into a folder that may hold others. */
mq_status mq_staging_inside(const char *dir, mq_staging *out, mq_error *error) MQ_MUST_CHECK;
/* .NAME.partial beside PARENT/NAME, for folders that are moved or exchanged whole. */
mq_status mq_staging_beside(const char *dir, mq_staging *out, mq_error *error) MQ_MUST_CHECK;
/* Removes what is left of it; a closed one (lock -1) is fine. */
void mq_staging_close(mq_staging *stage);

#endif
