/* device.c - reading device descriptions. */
#include "accel/device.h"

#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/yaml.h"

enum { MAX_DESCRIPTION = 1 << 16, MAX_BUILTIN = 64 };

static const int64_t MOST = 1 << 28; /* of anything on a device */

const char *const mq_resource_names[MQ_RESOURCES] = {"DSP", "LUT", "FF", "RAMB18"};

static mq_status read_text(const mq_yaml_node *map, const char *key, bool required, char *out, size_t size,
                           mq_error *error) {
    const char *text = NULL;
    MQ_TRY(required ? mq_yaml_req_text(map, key, &text, error) : mq_yaml_opt_text(map, key, &text, error));
    if (text && strlen(text) >= size)
        return mq_yaml_fail(mq_yaml_get(map, key), error, "%s: got %zu characters, expected at most %zu", key,
                            strlen(text), size - 1);
    snprintf(out, size, "%s", text ? text : "");
    return MQ_OK;
}

static mq_status read_dsp(const mq_yaml_node *root, mq_device *d, mq_error *error) {
    static const char *const keys[] = {"kind", "count", NULL};
    const mq_yaml_node *map = mq_yaml_get(root, "dsp");
    const char *kind;
    if (!map) return mq_yaml_fail(root, error, "dsp: missing");
    MQ_TRY(mq_yaml_keys(map, keys, error));
    MQ_TRY(mq_yaml_req_text(map, "kind", &kind, error));
    mq_error inner = {0};
    if (mq_dsp_find(kind, &d->dsp, &inner) != MQ_OK)
        return mq_yaml_fail(mq_yaml_get(map, "kind"), error, "kind: %s", inner.text);
    return mq_yaml_req_int(map, "count", 1, MOST, &d->dsps, error);
}

static mq_status read_usable(const mq_yaml_node *root, mq_device *d, mq_error *error) {
    static const char *const keys[] = {"lut", "ff", "bram", "dsp", NULL};
    d->lut_cap = d->ff_cap = 0.8;
    d->bram_cap = d->dsp_cap = 1;
    const mq_yaml_node *map = mq_yaml_get(root, "usable");
    if (!map) return MQ_OK;
    MQ_TRY(mq_yaml_keys(map, keys, error));
    MQ_TRY(mq_yaml_opt_double(map, "lut", 0, 1, &d->lut_cap, error));
    MQ_TRY(mq_yaml_opt_double(map, "ff", 0, 1, &d->ff_cap, error));
    MQ_TRY(mq_yaml_opt_double(map, "bram", 0, 1, &d->bram_cap, error));
    return mq_yaml_opt_double(map, "dsp", 0, 1, &d->dsp_cap, error);
}

static mq_status read_device(const mq_yaml_node *root, mq_device *d, mq_error *error) {
    static const char *const keys[] = {"name", "board",  "part",      "dsp",   "lut", "ff", "bram36",
                                       "uram", "usable", "clock_mhz", "build", "why", NULL};
    *d = (mq_device){.build = true, .clock_mhz = 100};
    MQ_TRY(mq_yaml_keys(root, keys, error));
    MQ_TRY(read_text(root, "name", true, d->name, sizeof d->name, error));
    MQ_TRY(read_text(root, "board", false, d->board, sizeof d->board, error));
    MQ_TRY(read_text(root, "part", true, d->part, sizeof d->part, error));
    MQ_TRY(read_dsp(root, d, error));
    MQ_TRY(mq_yaml_req_int(root, "lut", 1, MOST, &d->lut, error));
    MQ_TRY(mq_yaml_req_int(root, "ff", 1, MOST, &d->ff, error));
    MQ_TRY(mq_yaml_req_int(root, "bram36", 0, MOST, &d->bram36, error));
    MQ_TRY(mq_yaml_opt_int(root, "uram", 0, MOST, &d->uram, error));
    MQ_TRY(read_usable(root, d, error));
    MQ_TRY(mq_yaml_opt_double(root, "clock_mhz", 1, 2000, &d->clock_mhz, error));
    MQ_TRY(mq_yaml_opt_bool(root, "build", &d->build, error));
    MQ_TRY(read_text(root, "why", !d->build, d->why, sizeof d->why, error));
    if (d->build && d->why[0])
        return mq_yaml_fail(mq_yaml_get(root, "why"), error, "why: only where build is false");
    return MQ_OK;
}

mq_status mq_device_parse(const char *name, const char *text, size_t size, mq_device *out, mq_error *error) {
    mq_yaml *yaml;
    MQ_TRY(mq_yaml_parse(name, text, size, &yaml, error));
    mq_status status = read_device(mq_yaml_root(yaml), out, error);
    mq_yaml_free(yaml);
    return status;
}

mq_status mq_device_open(const char *device, mq_device *out, mq_error *error) {
    if (mq_ends_with(device, ".yaml") || mq_ends_with(device, ".yml") || strchr(device, '/')) {
        uint8_t *text;
        size_t size;
        MQ_TRY(mq_file_read(device, MAX_DESCRIPTION, &text, &size, error));
        mq_status status = mq_device_parse(device, (const char *)text, size, out, error);
        mq_free(text);
        return status;
    }
    char stems[MAX_BUILTIN][MQ_DEVICE_TEXT], list[MQ_ERROR_TEXT / 2] = "";
    const char *names[MAX_BUILTIN + 1] = {0};
    int count = 0;
    for (const mq_embedded_file *f = mixq_builtin_devices; f->name && count < MAX_BUILTIN; f++) {
        const char *dot = strrchr(f->name, '.');
        snprintf(stems[count], sizeof stems[count], "%.*s",
                 (int)(dot ? dot - f->name : (long)strlen(f->name)), f->name);
        if (strcmp(stems[count], device) == 0) {
            char name[2 * MQ_DEVICE_TEXT];
            snprintf(name, sizeof name, "%.100s (built in)", f->name);
            return mq_device_parse(name, (const char *)f->bytes, f->size, out, error);
        }
        if (count) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, stems[count], sizeof list - strlen(list) - 1);
        names[count] = stems[count];
        count++;
    }
    const char *near = mq_nearest(device, names);
    return mq_fail(error, MQ_USAGE, "unknown device '%s'%s%s%s: expected one of %s, or a .yaml file", device,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", list);
}

mq_resources mq_device_budget(const mq_device *d) {
    return (mq_resources){{[MQ_RES_DSP] = (int64_t)(d->dsp_cap * (double)d->dsps),
                           [MQ_RES_LUT] = (int64_t)(d->lut_cap * (double)d->lut),
                           [MQ_RES_FF] = (int64_t)(d->ff_cap * (double)d->ff),
                           [MQ_RES_RAM18] = (int64_t)(d->bram_cap * (double)(2 * d->bram36))}};
}
