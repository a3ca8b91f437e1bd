/* run_data.c - reading the folders that a report is about. */
#include "report/run_data.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "inet/inet_files.h"
#include "inet/manifest.h"

#define BUILD_FILE       "build.json"
#define CERTIFICATE_FILE "certificate.json"
enum { MAX_METRICS = 1 << 28 };

void mq_folder_name(const char *path, char out[MQ_REPORT_NAME]) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') start--;
    snprintf(out, MQ_REPORT_NAME, "%.*s", (int)(end - start), path + start);
    for (char *c = out; *c; c++)
        if (iscntrl((unsigned char)*c)) *c = '?';
}

/* dir/name as JSON; absent: *out stays NULL. */
static mq_status optional_json(const char *dir, const char *name, json_t **out, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_path_join(dir, name, path, error));
    if (!mq_path_exists(path)) return MQ_OK;
    MQ_TRY(mq_json_load(path, out, error));
    if (json_is_object(*out)) return MQ_OK;
    return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", path);
}

/* ---- runs ---- */

static mq_status read_metrics(const char *path, json_t *epochs, mq_error *error) {
    uint8_t *text;
    size_t size, line = 1;
    MQ_TRY(mq_file_read(path, MAX_METRICS, &text, &size, error));
    mq_status status = MQ_OK;
    for (char *at = (char *)text, *end = at + size; at < end && status == MQ_OK; line++) {
        char *next = memchr(at, '\n', (size_t)(end - at)), name[MQ_PATH + 32];
        if (!next) next = end;
        snprintf(name, sizeof name, "%s: epoch %zu", path, line);
        json_t *object = NULL;
        status = mq_json_parse(name, at, (size_t)(next - at), &object, error);
        if (status == MQ_OK && !json_is_object(object))
            status = mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", name);
        if (status == MQ_OK && json_array_size(epochs) == MQ_REPORT_EPOCHS)
            status = mq_fail(error, MQ_BAD_INPUT, "%s: more than %d epochs", path, MQ_REPORT_EPOCHS);
        if (status == MQ_OK && json_array_append(epochs, object) != 0)
            status = mq_fail_memory(error, path, size);
        json_decref(object);
        at = next + 1;
    }
    mq_free(text);
    return status;
}

static mq_status read_run(mq_run_data *r, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_path_join(r->path, "run.json", path, error));
    MQ_TRY(mq_json_load(path, &r->run, error));
    json_t *settings;
    const char *format;
    MQ_TRY(mq_json_string(r->run, path, "format", &format, error));
    if (strcmp(format, "mixq-run-1") != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: format: got '%.40s', expected 'mixq-run-1'", path, format);
    MQ_TRY(mq_json_object(r->run, path, "settings", &settings, error));
    const char *model = json_string_value(json_object_get(settings, "model")),
               *mode = json_string_value(json_object_get(settings, "mode"));
    r->model = model ? model : "";
    r->mode = mode ? mode : "";
    MQ_TRY(optional_json(r->path, "bits.json", &r->bits, error));
    MQ_TRY(mq_path_join(r->path, "metrics.jsonl", path, error));
    r->epoch = json_array();
    if (!r->epoch) return mq_fail_memory(error, "metrics", 0);
    if (mq_path_exists(path)) MQ_TRY(read_metrics(path, r->epoch, error));
    r->quality = json_object_get(json_array_get(r->epoch, 0), "iou") ? "iou" : "accuracy";
    MQ_TRY(mq_path_join(r->path, "best.safetensors", path, error));
    return mq_path_exists(path) ? mq_inet_hash_file(path, r->best, error) : MQ_OK;
}

mq_status mq_run_data_read(const char *path, mq_run_data *out, mq_error *error) {
    *out = (mq_run_data){.path = path, .model = "", .mode = "", .quality = "accuracy"};
    mq_folder_name(path, out->name);
    mq_status status = read_run(out, error);
    if (status != MQ_OK) mq_run_data_clear(out);
    return status;
}

void mq_run_data_clear(mq_run_data *r) {
    json_decref(r->run);
    json_decref(r->bits);
    json_decref(r->epoch);
    *r = (mq_run_data){0};
}

int mq_run_data_epochs(const mq_run_data *r) {
    return (int)json_array_size(r->epoch);
}

static double number(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

void mq_run_data_column(const mq_run_data *r, const char *key, double *out) {
    for (int i = 0; i < mq_run_data_epochs(r); i++) out[i] = number(json_array_get(r->epoch, (size_t)i), key);
}

double mq_run_data_best(const mq_run_data *r) {
    double best = NAN;
    for (int i = 0; i < mq_run_data_epochs(r); i++) {
        double v = number(json_array_get(r->epoch, (size_t)i), r->quality);
        if (isnan(best) || v > best) best = v;
    }
    return best;
}

double mq_run_data_dsp(const mq_run_data *r) {
    return number(r->bits, "dsp_ops_M");
}

int mq_bits_digits(const char *text, int digit[MQ_REPORT_LAYERS]) {
    int count = 0;
    for (const char *c = text; *c; c++) {
        if (*c == ',') continue;
        if (*c < '1' || *c > '8' || count == MQ_REPORT_LAYERS) return -1;
        digit[count++] = *c - '0';
    }
    return count;
}

static bool plain_name(const char *name) {
    return name && *name && strlen(name) < MQ_REPORT_NAME &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")] == 0;
}

void mq_run_data_layer(const mq_run_data *r, int i, char out[MQ_REPORT_NAME]) {
    const char *name = json_string_value(json_array_get(json_object_get(r->bits, "layers"), (size_t)i));
    if (plain_name(name))
        snprintf(out, MQ_REPORT_NAME, "%s", name);
    else
        snprintf(out, MQ_REPORT_NAME, "layer %d", i);
}

/* ---- networks ---- */

static mq_status read_net(mq_net_data *n, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_inet_load(n->path, &n->net, error));
    MQ_TRY(mq_path_join(n->path, MQ_PLAN_FILE, path, error));
    if (mq_path_exists(path)) MQ_TRY(mq_inet_plan_load(path, n->net, &n->plan, error));
    MQ_TRY(optional_json(n->path, CERTIFICATE_FILE, &n->certificate, error));
    MQ_TRY(optional_json(n->path, BUILD_FILE, &n->build, error));
    const char *belongs = json_string_value(json_object_get(n->certificate, "net_sha256"));
    if (n->certificate && (!belongs || strcmp(belongs, n->net->sha256) != 0))
        return mq_fail(error, MQ_BAD_INPUT, "%s/" CERTIFICATE_FILE ": not of this net.json", n->path);
    MQ_TRY(mq_path_join(n->path, MQ_MANIFEST_FILE, path, error));
    return mq_path_exists(path) ? mq_manifest_load(n->path, &n->manifest, error) : MQ_OK;
}

mq_status mq_net_data_read(const char *path, mq_net_data *out, mq_error *error) {
    *out = (mq_net_data){.path = path};
    mq_folder_name(path, out->name);
    mq_status status = read_net(out, error);
    if (status != MQ_OK) mq_net_data_clear(out);
    return status;
}

void mq_net_data_clear(mq_net_data *n) {
    mq_inet_plan_free(n->plan);
    mq_inet_free(n->net);
    json_decref(n->certificate);
    json_decref(n->build);
    json_decref(n->manifest);
    *n = (mq_net_data){0};
}
