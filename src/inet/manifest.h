/* manifest.h - manifest.json: the files of an export or build folder and their SHA-256, so that any flipped
 * bit is found and named. {"format": "mixq-manifest", "version": 1, "mixq", "files": [{"name", "sha256"}]};
 * a build folder's also says what it was built for: "target", "device", "clock_mhz", "tools". */
#ifndef MIXQ_INET_MANIFEST_H
#define MIXQ_INET_MANIFEST_H

#include "base/status.h"
#include "io/json.h"

#define MQ_MANIFEST_FILE "manifest.json"

/* Writes dir/manifest.json, atomically, over the named files of dir (names may have folders in them). */
mq_status mq_manifest_write(const char *dir, const char *const *names, size_t count,
                            mq_error *error) MQ_MUST_CHECK;
/* The same with the members of `about` (an object, borrowed) between "mixq" and "files". */
mq_status mq_manifest_write_about(const char *dir, const char *const *names, size_t count,
                                  const json_t *about, mq_error *error) MQ_MUST_CHECK;

/* Reads it: every name is a plain relative path, none twice. Release with json_decref. */
mq_status mq_manifest_load(const char *dir, json_t **out, mq_error *error) MQ_MUST_CHECK;
bool mq_manifest_has(const json_t *manifest, const char *name);
/* Hashes every file. *wrong counts the files that are missing or changed; then MQ_CHECK_FAILED names the
 * first. */
mq_status mq_manifest_check(const char *dir, const json_t *manifest, size_t *files, size_t *wrong,
                            mq_error *error) MQ_MUST_CHECK;

#endif
