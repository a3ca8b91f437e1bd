/* sweep_file.c - sweep.json and point.json. */
#include "sweep/sweep_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"

#define SWEEP_FORMAT "mixq-sweep-1"
#define POINT_FORMAT "mixq-point-1"

void mq_sweep_build(char out[MQ_DIGEST_TEXT]) {
    static char known[MQ_DIGEST_TEXT];
    if (!*known) {
        uint8_t *bytes;
        size_t size;
        if (mq_file_read("/proc/self/exe", (size_t)1 << 30, &bytes, &size, NULL) == MQ_OK) {
            mq_sha256(bytes, size, known);
            mq_free(bytes);
        }
    }
    memcpy(out, known, MQ_DIGEST_TEXT);
}

mq_status mq_sweep_digest(const json_t *settings, char out[MQ_DIGEST_TEXT], mq_error *error) {
    char *text = json_dumps(settings, JSON_COMPACT | JSON_SORT_KEYS);
    mq_digest *digest;
    if (!text) return mq_fail_memory(error, "settings", 0);
    mq_status status = mq_digest_begin(&digest, error);
    if (status == MQ_OK) {
        mq_digest_add(digest, mq_version(), strlen(mq_version()) + 1);
        mq_digest_add(digest, text, strlen(text));
        mq_digest_end(digest, out);
    }
    free(text);
    return status;
}

/* ---- sweep.json ---- */

static json_t *names_of(const mq_sweep *sweep) {
    json_t *list = json_array();
    for (int i = 0; i < sweep->count; i++) json_array_append_new(list, json_string(sweep->point[i].name));
    return list;
}

mq_status mq_sweep_save(const char *dir, const mq_sweep *sweep, const json_t *settings, const json_t *words,
                        mq_error *error) {
    char path[MQ_PATH], build[MQ_DIGEST_TEXT], digest[MQ_DIGEST_TEXT];
    MQ_TRY(mq_path_join(dir, MQ_SWEEP_FILE, path, error));
    MQ_TRY(mq_sweep_digest(settings, digest, error));
    mq_sweep_build(build);
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:o}", "format", SWEEP_FORMAT, "version",
                             mq_version(), "build", build, "digest", digest, "settings", settings, "options",
                             words, "points", names_of(sweep));
    if (!root) return mq_fail_memory(error, MQ_SWEEP_FILE, 0);
    mq_status status = mq_json_save(path, root, error);
    json_decref(root);
    return status;
}

static mq_status load(const char *dir, char path[MQ_PATH], json_t **root, mq_error *error) {
    const char *format;
    *root = NULL;
    MQ_TRY(mq_path_join(dir, MQ_SWEEP_FILE, path, error));
    if (!mq_path_exists(path))
        return mq_fail(error, MQ_BAD_INPUT, "%s: no sweep there (no " MQ_SWEEP_FILE ")", dir);
    MQ_TRY(mq_json_load(path, root, error));
    mq_status status = mq_json_string(*root, path, "format", &format, error);
    if (status == MQ_OK && strcmp(format, SWEEP_FORMAT) != 0)
        status = mq_fail(error, MQ_BAD_INPUT, "%s: format: got '%.40s', expected '" SWEEP_FORMAT "'", path,
                         format);
    return status;
}

static mq_status check_program(const json_t *root, const char *path, bool other_build, mq_error *error) {
    const char *version, *build;
    char own[MQ_DIGEST_TEXT];
    MQ_TRY(mq_json_string(root, path, "version", &version, error));
    MQ_TRY(mq_json_string(root, path, "build", &build, error));
    if (strcmp(version, mq_version()) != 0)
        return mq_fail(
            error, MQ_USAGE,
            "%s: this sweep is of mixq %.40s, and this is mixq %s: all workers of a sweep have one version",
            path, version, mq_version());
    mq_sweep_build(own);
    if (!other_build && *build && *own && strcmp(build, own) != 0)
        return mq_fail(
            error, MQ_USAGE,
            "%s: this sweep was begun by another build of mixq %s (%.12s, this is %.12s), whose results may "
            "differ: use that program, or say --other-build",
            path, version, build, own);
    return MQ_OK;
}

mq_status mq_sweep_load_words(const char *dir, bool other_build, json_t **words, mq_error *error) {
    char path[MQ_PATH];
    json_t *root, *list;
    *words = NULL;
    mq_status status = load(dir, path, &root, error);
    if (status == MQ_OK) status = check_program(root, path, other_build, error);
    if (status == MQ_OK) status = mq_json_array(root, path, "options", &list, error);
    for (size_t i = 0; status == MQ_OK && i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            status = mq_fail(error, MQ_BAD_INPUT, "%s: options[%zu]: a string expected", path, i);
    if (status == MQ_OK) *words = json_incref(list);
    json_decref(root);
    return status;
}

static char *shown(const json_t *value) {
    return value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
}

static mq_status same(const char *path, const char *key, const json_t *now, const json_t *then,
                      mq_error *error) {
    if (now && then && json_equal(now, then)) return MQ_OK;
    char *got = shown(now), *expected = shown(then);
    mq_status status = mq_fail(error, MQ_USAGE, "%s: this sweep has other settings: %s: got %s, expected %s",
                               path, key, got ? got : "nothing", expected ? expected : "nothing");
    free(got);
    free(expected);
    return status;
}

static mq_status compare(const char *path, const json_t *root, const mq_sweep *sweep, const json_t *settings,
                         mq_error *error) {
    json_t *then, *value;
    const char *key;
    MQ_TRY(mq_json_object(root, path, "settings", &then, error));
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
        MQ_TRY(same(path, key, value, json_object_get(then, key), error));
    json_object_foreach(then, key, value)
        MQ_TRY(same(path, key, json_object_get(settings, key), value, error));
    json_t *names = names_of(sweep);
    const bool equal = json_equal(names, json_object_get(root, "points"));
    json_decref(names);
    return equal ? MQ_OK : mq_fail(error, MQ_BAD_INPUT, "%s: points: not those of its settings", path);
}

mq_status mq_sweep_compare(const char *dir, const mq_sweep *sweep, const json_t *settings, mq_error *error) {
    char path[MQ_PATH];
    json_t *root;
    mq_status status = load(dir, path, &root, error);
    if (status == MQ_OK) status = compare(path, root, sweep, settings, error);
    json_decref(root);
    return status;
}

/* ---- point.json ---- */

mq_status mq_sweep_path(const char *dir, const char *point, const char *file, char *out, mq_error *error) {
    const int n = snprintf(out, MQ_PATH, "%s/points/%s%s%s", dir, point, file ? "/" : "", file ? file : "");
    return n < MQ_PATH ? MQ_OK : mq_fail(error, MQ_USAGE, "%s: the path is too long", dir);
}

static json_t *number(double v) {
    return isnan(v) ? json_null() : json_real(v);
}

static const struct {
    const char *key;
    size_t offset;
} NUMBERS[] = {
    {"dsp_ops_M", offsetof(mq_sweep_point, dsp_ops_M)},
    {"search_quality", offsetof(mq_sweep_point, searched)},
    {"predicted_increase", offsetof(mq_sweep_point, predicted)},
    {"quality", offsetof(mq_sweep_point, quality)},
    {"best_quality", offsetof(mq_sweep_point, best)},
    {"cycles", offsetof(mq_sweep_point, cycles)},
    {"fps", offsetof(mq_sweep_point, fps)},
};
enum { NUMBER_COUNT = sizeof NUMBERS / sizeof *NUMBERS };

mq_status mq_sweep_save_point(const char *dir, const char *digest, const mq_sweep_point *p, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_sweep_path(dir, p->name, MQ_SWEEP_POINT_FILE, path, error));
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:s, s:s, s:i}", "format", POINT_FORMAT, "sweep",
                  digest, "stage", mq_sweep_stage_names[p->stage], "method", mq_sweep_method_names[p->method],
                  "aim", mq_sweep_aim_names[p->aim], "value", p->value, "seed", (json_int_t)p->seed, "bitw",
                  p->bitw, "bita", p->bita, "epochs_before", p->searched_epochs);
    if (!root) return mq_fail_memory(error, path, 0);
    for (int i = 0; i < NUMBER_COUNT; i++)
        json_object_set_new(root, NUMBERS[i].key,
                            number(*(const double *)((const char *)p + NUMBERS[i].offset)));
    if (p->stage == MQ_STAGE_FAILED) json_object_set_new(root, "failure", json_string(p->failure));
    mq_status status = mq_json_save(path, root, error);
    json_decref(root);
    return status;
}

static mq_status text_member(const json_t *root, const char *path, const char *key, char *out, size_t size,
                             mq_error *error) {
    const char *text;
    MQ_TRY(mq_json_string(root, path, key, &text, error));
    if (strlen(text) >= size) return mq_fail(error, MQ_BAD_INPUT, "%s: %s: too long", path, key);
    snprintf(out, size, "%s", text);
    return MQ_OK;
}

static mq_status read_point(const json_t *root, const char *path, const char *digest, mq_sweep_point *p,
                            mq_error *error) {
    const char *format, *of, *stage;
    int64_t epochs;
    int which = 0;
    MQ_TRY(mq_json_string(root, path, "format", &format, error));
    MQ_TRY(mq_json_string(root, path, "sweep", &of, error));
    if (strcmp(format, POINT_FORMAT) != 0 || strcmp(of, digest) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: not a point of this sweep", path);
    MQ_TRY(mq_json_string(root, path, "stage", &stage, error));
    while (mq_sweep_stage_names[which] && strcmp(stage, mq_sweep_stage_names[which]) != 0) which++;
    if (which == MQ_STAGE_NEW || which == MQ_STAGES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: stage: got '%.40s'", path, stage);
    MQ_TRY(text_member(root, path, "bitw", p->bitw, sizeof p->bitw, error));
    MQ_TRY(text_member(root, path, "bita", p->bita, sizeof p->bita, error));
    MQ_TRY(mq_json_int(root, path, "epochs_before", 0, INT32_MAX, &epochs, error));
    p->searched_epochs = (int)epochs;
    for (int i = 0; i < NUMBER_COUNT; i++) {
        double *at = (double *)(void *)((char *)p + NUMBERS[i].offset);
        *at = NAN;
        if (!json_is_null(json_object_get(root, NUMBERS[i].key)))
            MQ_TRY(mq_json_double(root, path, NUMBERS[i].key, at, error));
    }
    if (which == MQ_STAGE_FAILED)
        MQ_TRY(text_member(root, path, "failure", p->failure, sizeof p->failure, error));
    if ((which == MQ_STAGE_TRAINED && isnan(p->quality)) || (which != MQ_STAGE_FAILED && isnan(p->dsp_ops_M)))
        return mq_fail(error, MQ_BAD_INPUT, "%s: numbers of stage '%s' are missing", path, stage);
    p->stage = (mq_sweep_stage)which;
    return MQ_OK;
}

mq_status mq_sweep_load_points(const char *dir, const char *digest, mq_sweep *sweep, mq_error *error) {
    for (int i = 0; i < sweep->count; i++) {
        char path[MQ_PATH];
        json_t *root;
        MQ_TRY(mq_sweep_path(dir, sweep->point[i].name, MQ_SWEEP_POINT_FILE, path, error));
        if (!mq_path_exists(path)) continue;
        MQ_TRY(mq_json_load(path, &root, error));
        mq_status status = read_point(root, path, digest, &sweep->point[i], error);
        json_decref(root);
        MQ_TRY(status);
    }
    return MQ_OK;
}
