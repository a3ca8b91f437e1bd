/* file.h - reading whole files with a limit, and writing files that appear complete or not at all.
 *
 * An mq_outfile writes to a hidden temporary name in the same folder; commit flushes, syncs, renames over the
 * target and syncs the folder. A target that is not a regular file is refused; links are followed. Until then
 * (and after a crash) the old file is untouched. A killed process leaves ".NAME.PID.tmp" behind, which
 * nothing reads; the next write of NAME removes it. */
#ifndef MIXQ_BASE_FILE_H
#define MIXQ_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { MQ_PATH = 4096 };

/* dir + "/" + name into out[MQ_PATH]; fails when too long. */
mq_status mq_path_join(const char *dir, const char *name, char *out, mq_error *error) MQ_MUST_CHECK;
/* Both are true of what cannot be looked at for a reason other than that nothing is there. */
bool mq_path_exists(const char *path);
bool mq_path_is_dir(const char *path);
/* False also when there is no such folder, true when it cannot be read. Unfinished results (base/staging.h)
 * do not count. */
#define MQ_PARTIAL ".partial"
bool mq_dir_has_entries(const char *path);
/* Makes a folder and its parents; an existing folder is fine. */
mq_status mq_make_dirs(const char *path, mq_error *error) MQ_MUST_CHECK;

/* The whole file plus a terminating 0 (not counted); release with mq_free. Larger than limit bytes: refused.
 */
mq_status mq_file_read(const char *path, size_t limit, uint8_t **out, size_t *size,
                       mq_error *error) MQ_MUST_CHECK;
/* Writes a small file atomically. */
mq_status mq_file_write(const char *path, const void *bytes, size_t size, mq_error *error) MQ_MUST_CHECK;

typedef struct mq_outfile mq_outfile;
mq_status mq_outfile_open(const char *path, mq_outfile **out, mq_error *error) MQ_MUST_CHECK;
mq_status mq_outfile_write(mq_outfile *file, const void *bytes, size_t size, mq_error *error) MQ_MUST_CHECK;
mq_status mq_outfile_printf(mq_outfile *file, mq_error *error, const char *format, ...)
    MQ_PRINTF(3, 4) MQ_MUST_CHECK;
/* For files by the thousand that are easily made again: commit does not wait until they are on the disk. */
void mq_outfile_unsynced(mq_outfile *file);
/* Makes the file visible under its name. The handle is gone whether this works or not. */
mq_status mq_outfile_commit(mq_outfile *file, mq_error *error) MQ_MUST_CHECK;
/* Removes the temporary files of killed writers of `name` (NULL: of any file) from a folder; a living
 * writer's are locked and stay. */
void mq_remove_leftovers(const char *folder, const char *name);
/* Throws away what was written; NULL is fine. */
void mq_outfile_abort(mq_outfile *file);

/* Appends one line (a newline is added) to a log file such as metrics.jsonl: all of it, or nothing when it
 * fails. */
mq_status mq_file_append_line(const char *path, const char *line, mq_error *error) MQ_MUST_CHECK;

#endif
