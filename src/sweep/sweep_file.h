/* sweep_file.h - the files of a sweep's folder: sweep.json (what it is), point.json of every point, and the
 * results. docs/sweeps.md has the fields. */
#ifndef MIXQ_SWEEP_SWEEP_FILE_H
#define MIXQ_SWEEP_SWEEP_FILE_H

#include "base/digest.h"
#include "io/json.h"
#include "sweep/sweep.h"

#define MQ_SWEEP_FILE         "sweep.json"
#define MQ_SWEEP_POINT_FILE   "point.json"
#define MQ_SWEEP_RESULTS_FILE "results.json"
#define MQ_SWEEP_TABLE_FILE   "results.csv"

/* SHA-256 of the running program's file: two builds of one version need not train alike. "" where the system
 * does not tell. */
void mq_sweep_build(char out[MQ_DIGEST_TEXT]);
/* Of the settings' text and the version. */
mq_status mq_sweep_digest(const json_t *settings, char out[MQ_DIGEST_TEXT], mq_error *error) MQ_MUST_CHECK;

/* sweep.json. settings: all that decides the results, with all defaults; words: the command's options that
 * give them, [string]. */
mq_status mq_sweep_save(const char *dir, const mq_sweep *sweep, const json_t *settings, const json_t *words,
                        mq_error *error) MQ_MUST_CHECK;
/* *words: a new reference. MQ_USAGE: another version wrote it, or (unless other_build) another build.
 * MQ_BAD_INPUT: damaged, or there is none. */
mq_status mq_sweep_load_words(const char *dir, bool other_build, json_t **words,
                              mq_error *error) MQ_MUST_CHECK;
/* The settings in the file are these, or MQ_USAGE with the first difference; its points are these, or
 * MQ_BAD_INPUT. */
mq_status mq_sweep_compare(const char *dir, const mq_sweep *sweep, const json_t *settings,
                           mq_error *error) MQ_MUST_CHECK;

/* dir/points/NAME or, file given, dir/points/NAME/FILE. */
mq_status mq_sweep_path(const char *dir, const char *point, const char *file, char *out,
                        mq_error *error) MQ_MUST_CHECK;
/* The point's result into its folder, which is there; with the sweep's digest. */
mq_status mq_sweep_save_point(const char *dir, const char *digest, const mq_sweep_point *point,
                              mq_error *error) MQ_MUST_CHECK;
/* Reads the result of every point that has one. */
mq_status mq_sweep_load_points(const char *dir, const char *digest, mq_sweep *sweep,
                               mq_error *error) MQ_MUST_CHECK;

/* What the sweep found, as --json prints it and results.json holds it: {"format", "model", "quality",
 * "device", "complete", "points": [...], "groups": [...], "front": [...]}. device may be NULL. */
mq_status mq_sweep_results(const mq_sweep *sweep, const char *model, const char *quality, const char *device,
                           json_t **out, mq_error *error) MQ_MUST_CHECK;
/* results.json and results.csv (a line per point). */
mq_status mq_sweep_save_results(const char *dir, const mq_sweep *sweep, const json_t *results,
                                mq_error *error) MQ_MUST_CHECK;
/* The points as CSV. */
mq_status mq_sweep_save_csv(const char *path, const mq_sweep *sweep, const char *quality,
                            mq_error *error) MQ_MUST_CHECK;

#endif
