/* sweep_results.c - what a sweep found, as JSON and CSV. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "sweep/sweep_file.h"

static json_t *number(double v) {
    return isnan(v) ? json_null() : json_real(v);
}

/* "accuracy" is the network's quality under every task; detectors have it as "iou" too. */
static void put_quality(json_t *root, const char *quality, double v) {
    json_object_set_new(root, "accuracy", number(v));
    if (strcmp(quality, "accuracy") != 0) json_object_set_new(root, quality, number(v));
}

static json_t *head(mq_sweep_method method, mq_sweep_aim aim, double value) {
    json_t *root = json_pack("{s:s}", "method", mq_sweep_method_names[method]);
    if (root && aim != MQ_AIM_PRICE) json_object_set_new(root, "cd", json_null());
    if (root) json_object_set_new(root, mq_sweep_aim_names[aim], json_real(value));
    return root;
}

static json_t *point_json(const mq_sweep_point *p, const char *quality) {
    json_t *root = head(p->method, p->aim, p->value);
    if (!root) return NULL;
    json_object_set_new(root, "name", json_string(p->name));
    json_object_set_new(root, "seed", json_integer((json_int_t)p->seed));
    json_object_set_new(root, "stage", json_string(mq_sweep_stage_names[p->stage]));
    json_object_set_new(root, "bitw", json_string(p->bitw));
    json_object_set_new(root, "bita", json_string(p->bita));
    json_object_set_new(root, "dsp_ops_M", number(p->dsp_ops_M));
    put_quality(root, quality, p->quality);
    json_object_set_new(root, "best_accuracy", number(p->best));
    json_object_set_new(root, "search_accuracy", number(p->searched));
    json_object_set_new(root, "predicted_increase", number(p->predicted));
    json_object_set_new(root, "epochs_before", json_integer(p->searched_epochs));
    json_object_set_new(root, "cycles", number(p->cycles));
    json_object_set_new(root, "fps", number(p->fps));
    if (*p->failure) json_object_set_new(root, "failure", json_string(p->failure));
    return root;
}

/* bits: those of its best seed. */
static json_t *group_json(const mq_sweep *sweep, const mq_sweep_group *g, const char *quality) {
    const mq_sweep_point *best = &sweep->point[g->best];
    json_t *root = head(g->method, g->aim, g->value);
    if (!root) return NULL;
    json_object_set_new(root, "seeds", json_integer(g->seeds));
    json_object_set_new(root, "bitw", json_string(best->bitw));
    json_object_set_new(root, "bita", json_string(best->bita));
    put_quality(root, quality, g->quality);
    json_object_set_new(root, "accuracy_spread", json_real(g->quality_spread));
    json_object_set_new(root, "accuracy_lowest", json_real(g->lowest));
    json_object_set_new(root, "accuracy_highest", json_real(g->highest));
    json_object_set_new(root, "best_accuracy", number(g->best_quality));
    json_object_set_new(root, "dsp_ops_M", json_real(g->dsp_ops_M));
    json_object_set_new(root, "dsp_ops_spread_M", json_real(g->dsp_ops_spread));
    json_object_set_new(root, "cycles", number(g->cycles));
    json_object_set_new(root, "cycles_spread", number(g->cycles_spread));
    json_object_set_new(root, "fps", number(g->fps));
    json_object_set_new(root, "front", json_boolean(g->front));
    return root;
}

mq_status mq_sweep_results(const mq_sweep *sweep, const char *model, const char *quality, const char *device,
                           json_t **out, mq_error *error) {
    mq_sweep_group *group;
    int count, ended = 0;
    MQ_TRY(mq_sweep_groups(sweep, &group, &count, error));
    json_t *points = json_array(), *groups = json_array(), *front = json_array();
    for (int i = 0; i < sweep->count; i++) {
        json_array_append_new(points, point_json(&sweep->point[i], quality));
        ended += sweep->point[i].stage >= MQ_STAGE_TRAINED;
    }
    for (int g = 0; g < count; g++) {
        json_t *one = group_json(sweep, &group[g], quality);
        json_array_append(groups, one);
        if (group[g].front) json_array_append(front, one);
        json_decref(one);
    }
    *out = json_pack("{s:s, s:s, s:s, s:s?, s:i, s:i, s:o, s:o, s:o}", "format", "mixq-sweep-results-1",
                     "model", model, "quality", quality, "device", device, "points_count", sweep->count,
                     "trained", ended, "front", front, "groups", groups, "points", points);
    mq_free(group);
    return *out ? MQ_OK : mq_fail_memory(error, "results", 0);
}

static mq_status csv_number(mq_outfile *file, double v, mq_error *error) {
    return isnan(v) ? mq_outfile_printf(file, error, ",") : mq_outfile_printf(file, error, ",%.9g", v);
}

static mq_status csv_lines(mq_outfile *file, const mq_sweep *sweep, const char *quality, mq_error *error) {
    MQ_TRY(mq_outfile_printf(
        file, error,
        "method,aim,value,seed,stage,bitw,bita,dsp_ops_M,%s,best_%s,search_%s,predicted_increase,"
        "epochs_before,cycles,fps\n",
        quality, quality, quality));
    for (int i = 0; i < sweep->count; i++) {
        const mq_sweep_point *p = &sweep->point[i];
        const double first[] = {p->dsp_ops_M, p->quality, p->best, p->searched, p->predicted};
        /* bits as text: 0044 and 44444444444 are no numbers */
        MQ_TRY(mq_outfile_printf(file, error, "%s,%s,%.9g,%llu,%s,\"%s\",\"%s\"",
                                 mq_sweep_method_names[p->method], mq_sweep_aim_names[p->aim], p->value,
                                 (unsigned long long)p->seed, mq_sweep_stage_names[p->stage], p->bitw,
                                 p->bita));
        for (size_t k = 0; k < sizeof first / sizeof *first; k++) MQ_TRY(csv_number(file, first[k], error));
        MQ_TRY(mq_outfile_printf(file, error, ",%d", p->searched_epochs));
        MQ_TRY(csv_number(file, p->cycles, error));
        MQ_TRY(csv_number(file, p->fps, error));
        MQ_TRY(mq_outfile_printf(file, error, "\n"));
    }
    return MQ_OK;
}

mq_status mq_sweep_save_csv(const char *path, const mq_sweep *sweep, const char *quality, mq_error *error) {
    mq_outfile *file;
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_status status = csv_lines(file, sweep, quality, error);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

mq_status mq_sweep_save_results(const char *dir, const mq_sweep *sweep, const json_t *results,
                                mq_error *error) {
    char path[MQ_PATH];
    const char *quality = json_string_value(json_object_get(results, "quality"));
    MQ_TRY(mq_path_join(dir, MQ_SWEEP_RESULTS_FILE, path, error));
    MQ_TRY(mq_json_save(path, results, error));
    MQ_TRY(mq_path_join(dir, MQ_SWEEP_TABLE_FILE, path, error));
    return mq_sweep_save_csv(path, sweep, quality ? quality : "accuracy", error);
}
