/* build_file.c - writing and reading build.json. */
#include "gen/build_file.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/json.h"

#define FORMAT "mixq-build"
enum { VERSION = 1, WHERE = 600, MOST_BITS = 1 << 20, MOST_STAGES = MQ_INET_MAX_NODES };
static const int64_t MOST = INT64_C(1) << 40;

static json_t *stream_json(const mq_stream *s) {
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "h", s->h, "w", s->w, "c", s->c, "channels",
                     s->channels, "pixels", s->pixels, "bits", s->bits, "signed", (int)s->is_signed);
}

static json_t *counts_json(const mq_build_counts *n) {
    return json_pack("{s:I, s:I, s:I, s:I}", "dsp", (json_int_t)n->dsp, "lut", (json_int_t)n->lut, "ff",
                     (json_int_t)n->ff, "bram18", (json_int_t)n->bram18);
}

mq_status mq_build_save(const mq_build *b, const mq_inet *net, const char *dir, mq_error *error) {
    char path[MQ_PATH];
    json_t *stages = json_array();
    MQ_TRY(mq_path_join(dir, MQ_BUILD_FILE, path, error));
    for (int i = 0; i < b->count; i++) {
        const mq_build_stage *s = &b->stage[i];
        json_array_append_new(
            stages, json_pack("{s:s, s:s, s:s, s:o, s:I, s:o}", "node", net->nodes[s->node].name, "result",
                              net->nodes[s->result].name, "module", s->module, "stream", stream_json(&s->out),
                              "cycles", (json_int_t)s->cycles, "estimate", counts_json(&s->expected)));
    }
    json_t *root = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:o, s:i, s:i, s:I, s:o, s:o, s:o}", "format", FORMAT,
        "version", VERSION, "target", "rtl", "model", b->model, "network", b->network, "top", b->top,
        "device", b->device, "part", b->part, "clock_mhz", b->clock_mhz, "images", stream_json(&b->in),
        "in_bits", b->in_bits, "out_bits", b->out_bits, "cycles", (json_int_t)b->cycles, "estimate",
        counts_json(&b->expected), "budget", counts_json(&b->budget), "stages", stages);
    if (!root) return mq_fail_memory(error, MQ_BUILD_FILE, 0);
    mq_status status = mq_json_save(path, root, error);
    json_decref(root);
    return status;
}

void mq_build_free(mq_build *b) {
    if (!b) return;
    mq_free(b->stage);
    mq_free(b);
}

static mq_status read_text(const json_t *object, const char *where, const char *key, char *out, size_t size,
                           mq_error *error) {
    const char *text;
    MQ_TRY(mq_json_string(object, where, key, &text, error));
    if (strlen(text) >= size)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got '%.60s', at most %zu characters expected", where,
                       key, text, size - 1);
    snprintf(out, size, "%s", text);
    return MQ_OK;
}

static mq_status read_number(const json_t *object, const char *where, const char *key, int low, int high,
                             int *out, mq_error *error) {
    int64_t v;
    MQ_TRY(mq_json_int(object, where, key, low, high, &v, error));
    *out = (int)v;
    return MQ_OK;
}

/* edge: what flows there; beats need not be whole. */
static mq_status read_stream(const json_t *object, const char *where, const char *key,
                             const mq_inet_edge *edge, mq_stream *out, mq_error *error) {
    static const char *const keys[] = {"h", "w", "c", "channels", "pixels", "bits", "signed", NULL};
    char inside[WHERE + 24];
    json_t *s;
    snprintf(inside, sizeof inside, "%s: %s", where, key);
    MQ_TRY(mq_json_object(object, where, key, &s, error));
    MQ_TRY(mq_json_keys(s, inside, keys, error));
    MQ_TRY(read_number(s, inside, "h", edge->h, edge->h, &out->h, error));
    MQ_TRY(read_number(s, inside, "w", edge->w, edge->w, &out->w, error));
    MQ_TRY(read_number(s, inside, "c", edge->c, edge->c, &out->c, error));
    MQ_TRY(read_number(s, inside, "channels", 1, MQ_INET_MAX_CHANNELS, &out->channels, error));
    MQ_TRY(read_number(s, inside, "pixels", 1, MQ_INET_MAX_SIDE, &out->pixels, error));
    MQ_TRY(read_number(s, inside, "bits", 1, 64, &out->bits, error));
    return mq_json_bool(s, inside, "signed", &out->is_signed, error);
}

static mq_status read_counts(const json_t *object, const char *where, const char *key, mq_build_counts *out,
                             mq_error *error) {
    json_t *n;
    char inside[WHERE + 24];
    snprintf(inside, sizeof inside, "%s: %s", where, key);
    MQ_TRY(mq_json_object(object, where, key, &n, error));
    MQ_TRY(mq_json_int(n, inside, "dsp", 0, MOST, &out->dsp, error));
    MQ_TRY(mq_json_int(n, inside, "lut", 0, MOST, &out->lut, error));
    MQ_TRY(mq_json_int(n, inside, "ff", 0, MOST, &out->ff, error));
    return mq_json_int(n, inside, "bram18", 0, MOST, &out->bram18, error);
}

static bool is_module(const char *name) {
    return *name && !(*name >= '0' && *name <= '9') &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == 0;
}

static mq_status read_module(const json_t *object, const char *where, const char *key, char *out,
                             mq_error *error) {
    MQ_TRY(read_text(object, where, key, out, MQ_BUILD_NAME, error));
    if (!is_module(out))
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: '%.60s' is no name of a module", where, key, out);
    return MQ_OK;
}

static mq_status read_stage(const json_t *object, const char *where, const mq_inet *net, mq_build_stage *out,
                            mq_error *error) {
    static const char *const keys[] = {"node", "result", "module", "stream", "cycles", "estimate", NULL};
    char name[MQ_INET_MAX_NAME];
    if (!json_is_object(object)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", where);
    MQ_TRY(mq_json_keys(object, where, keys, error));
    MQ_TRY(read_text(object, where, "node", name, sizeof name, error));
    out->node = mq_inet_find(net, name);
    if (out->node < 0) return mq_fail(error, MQ_BAD_INPUT, "%s: no node '%s' in the network", where, name);
    MQ_TRY(read_text(object, where, "result", name, sizeof name, error));
    out->result = mq_inet_find(net, name);
    if (out->result < 0) return mq_fail(error, MQ_BAD_INPUT, "%s: no node '%s' in the network", where, name);
    MQ_TRY(read_module(object, where, "module", out->module, error));
    MQ_TRY(read_stream(object, where, "stream", &net->nodes[out->result].edge, &out->out, error));
    MQ_TRY(mq_json_int(object, where, "cycles", 0, MOST, &out->cycles, error));
    return read_counts(object, where, "estimate", &out->expected, error);
}

static mq_status read_build(const json_t *root, const char *path, const mq_inet *net, mq_build *b,
                            mq_error *error) {
    static const char *const keys[] = {"format", "version",  "target",    "model",  "network", "top",
                                       "device", "part",     "clock_mhz", "images", "in_bits", "out_bits",
                                       "cycles", "estimate", "budget",    "stages", NULL};
    char format[40];
    int version;
    json_t *stages;
    if (!json_is_object(root)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", path);
    MQ_TRY(mq_json_keys(root, path, keys, error));
    MQ_TRY(read_text(root, path, "format", format, sizeof format, error));
    if (strcmp(format, FORMAT) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: format: got '%s', expected '" FORMAT "'", path, format);
    MQ_TRY(read_number(root, path, "version", VERSION, VERSION, &version, error));
    MQ_TRY(read_text(root, path, "model", b->model, sizeof b->model, error));
    MQ_TRY(read_text(root, path, "network", b->network, sizeof b->network, error));
    if (strcmp(b->network, net->sha256) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: network: built of %.16s..., net.json is %.16s...", path,
                       b->network, net->sha256);
    MQ_TRY(read_module(root, path, "top", b->top, error));
    MQ_TRY(read_text(root, path, "device", b->device, sizeof b->device, error));
    MQ_TRY(read_text(root, path, "part", b->part, sizeof b->part, error));
    MQ_TRY(mq_json_double(root, path, "clock_mhz", &b->clock_mhz, error));
    MQ_TRY(read_stream(root, path, "images", &net->nodes[0].edge, &b->in, error));
    MQ_TRY(read_number(root, path, "in_bits", 8, MOST_BITS, &b->in_bits, error));
    MQ_TRY(read_number(root, path, "out_bits", 8, MOST_BITS, &b->out_bits, error));
    MQ_TRY(mq_json_int(root, path, "cycles", 0, MOST, &b->cycles, error));
    MQ_TRY(read_counts(root, path, "estimate", &b->expected, error));
    MQ_TRY(read_counts(root, path, "budget", &b->budget, error));
    MQ_TRY(mq_json_array(root, path, "stages", &stages, error));
    size_t count = json_array_size(stages);
    if (count < 1 || count > MOST_STAGES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: stages: got %zu, expected 1 to %d", path, count,
                       MOST_STAGES);
    MQ_TRY(mq_alloc(count, sizeof *b->stage, "stages", &b->stage, error));
    b->count = (int)count;
    for (size_t i = 0; i < count; i++) {
        char where[WHERE];
        snprintf(where, sizeof where, "%.500s: stages[%zu]", path, i);
        MQ_TRY(read_stage(json_array_get(stages, i), where, net, &b->stage[i], error));
    }
    return MQ_OK;
}

mq_status mq_build_load(const char *dir, const mq_inet *net, mq_build **out, mq_error *error) {
    char path[MQ_PATH];
    json_t *root;
    *out = NULL;
    MQ_TRY(mq_path_join(dir, MQ_BUILD_FILE, path, error));
    MQ_TRY(mq_json_load(path, &root, error));
    mq_status status = mq_alloc(1, sizeof **out, MQ_BUILD_FILE, out, error);
    if (status == MQ_OK) status = read_build(root, path, net, *out, error);
    json_decref(root);
    if (status != MQ_OK) {
        mq_build_free(*out);
        *out = NULL;
    }
    return status;
}
