/* packing_file.c - reading and writing packings. */
#include "pack/packing_file.h"

#include <stdio.h>
#include <string.h>

enum { CODE_LIMIT = 1 << 12, GROUP_LIMIT = 1 << 10 };

static json_t *span_json(mq_span span) {
    return json_pack("[i,i]", span.low, span.high);
}

static json_t *operands_json(const mq_pack_operand *operand, int count, bool zero) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_t *one = json_pack("{s:i, s:i, s:i}", "position", operand[i].position, "group", operand[i].group,
                                "step", operand[i].step);
        if (zero && one) json_object_set_new(one, "zero", json_integer(operand[i].zero));
        json_array_append_new(list, one);
    }
    return list;
}

json_t *mq_packing_json(const mq_packing *p) {
    static const char *const fixes[] = {"none", "offset", "extra_bit"};
    static const char *const classes[] = {"", "i", "ii", "iii"};
    json_t *fields = json_array();
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        json_array_append_new(fields, json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I}", "position",
                                                field->position, "spacing", field->spacing, "overlap",
                                                field->overlap, "weight_group", field->weight_group,
                                                "activation_group", field->activation_group, "step",
                                                field->step, "products", field->products, "low",
                                                (json_int_t)field->low, "high", (json_int_t)field->high));
    }
    return json_pack(
        "{s:s, s:o, s:o, s:s, s:I, s:o, s:o, s:s, s:s, s:o, s:s, s:b, s:i, s:i, s:I, s:I, s:I, s:i, s:i}",
        "dsp", p->dsp.name, "weight_codes", span_json(p->weight_codes), "activation_codes",
        span_json(p->activation_codes), "weights_port", p->weights_wide ? "wide" : "narrow", "cycles",
        (json_int_t)p->cycles, "weights", operands_json(p->weight, p->weights, false), "activations",
        operands_json(p->activation, p->activations, true), "kind", p->kind, "class", classes[p->class],
        "fields", fields, "port_fix", fixes[p->fix], "port_fix_weights", p->fix_weights, "port_fix_shift",
        p->fix_shift, "port_fix_sign", p->fix_sign, "bias", (json_int_t)p->bias, "accumulations",
        (json_int_t)p->accumulations, "canary", (json_int_t)p->canary, "luts", p->luts, "shared_luts",
        p->shared_luts);
}

/* ---- reading ---- */

static mq_status read_span(const json_t *root, const char *path, const char *key, mq_span *out,
                           mq_error *error) {
    json_t *list;
    MQ_TRY(mq_json_array(root, path, key, &list, error));
    if (json_array_size(list) != 2 || !json_is_integer(json_array_get(list, 0)) ||
        !json_is_integer(json_array_get(list, 1)))
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: [lowest, highest] expected", path, key);
    json_int_t low = json_integer_value(json_array_get(list, 0)),
               high = json_integer_value(json_array_get(list, 1));
    if (low < -CODE_LIMIT || high > CODE_LIMIT || low > high)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got [%lld, %lld], expected a range within -%d..%d", path,
                       key, (long long)low, (long long)high, CODE_LIMIT, CODE_LIMIT);
    *out = (mq_span){(int32_t)low, (int32_t)high};
    return MQ_OK;
}

static mq_status read_operands(const json_t *root, const char *path, const char *key, bool zero,
                               mq_pack_operand *out, int *count, mq_error *error) {
    static const char *const with_zero[] = {"position", "group", "step", "zero", NULL};
    static const char *const without[] = {"position", "group", "step", NULL};
    json_t *list;
    MQ_TRY(mq_json_array(root, path, key, &list, error));
    if (json_array_size(list) < 1 || json_array_size(list) > MQ_PACK_OPERANDS)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %zu operands, expected 1..%d", path, key,
                       json_array_size(list), MQ_PACK_OPERANDS);
    *count = (int)json_array_size(list);
    for (int i = 0; i < *count; i++) {
        char where[512];
        const json_t *one = json_array_get(list, (size_t)i);
        int64_t value[4] = {0};
        snprintf(where, sizeof where, "%.400s: %s[%d]", path, key, i);
        if (!json_is_object(one)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", where);
        MQ_TRY(mq_json_keys(one, where, zero ? with_zero : without, error));
        MQ_TRY(mq_json_int(one, where, "position", 0, 63, &value[0], error));
        if (json_object_get(one, "group"))
            MQ_TRY(mq_json_int(one, where, "group", 0, GROUP_LIMIT, &value[1], error));
        if (json_object_get(one, "step"))
            MQ_TRY(mq_json_int(one, where, "step", 0, GROUP_LIMIT, &value[2], error));
        if (zero && json_object_get(one, "zero"))
            MQ_TRY(mq_json_int(one, where, "zero", 0, CODE_LIMIT, &value[3], error));
        out[i] = (mq_pack_operand){(int)value[0], (int)value[1], (int)value[2], (int)value[3]};
    }
    return MQ_OK;
}

mq_status mq_packing_read(const json_t *root, const char *path, mq_packing *out, mq_error *error) {
    *out = (mq_packing){0};
    const char *dsp, *port;
    int64_t cycles = 1;
    if (!json_is_object(root)) return mq_fail(error, MQ_BAD_INPUT, "%s: an object expected", path);
    MQ_TRY(mq_json_string(root, path, "dsp", &dsp, error));
    mq_status status = mq_dsp_find(dsp, &out->dsp, error);
    if (status != MQ_OK) return mq_fail_context(error, mq_input_status(status), "%s: dsp", path);
    MQ_TRY(read_span(root, path, "weight_codes", &out->weight_codes, error));
    MQ_TRY(read_span(root, path, "activation_codes", &out->activation_codes, error));
    if (out->activation_codes.low != 0 || out->activation_codes.high < 1 ||
        (out->activation_codes.high & (out->activation_codes.high + 1)) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: activation_codes: [0, 2^bits - 1] expected", path);
    MQ_TRY(mq_json_string(root, path, "weights_port", &port, error));
    if (strcmp(port, "wide") != 0 && strcmp(port, "narrow") != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: weights_port: got '%s', expected wide or narrow", path,
                       port);
    out->weights_wide = strcmp(port, "wide") == 0;
    if (json_object_get(root, "cycles"))
        MQ_TRY(mq_json_int(root, path, "cycles", 1, (int64_t)1 << 24, &cycles, error));
    MQ_TRY(read_operands(root, path, "weights", false, out->weight, &out->weights, error));
    MQ_TRY(read_operands(root, path, "activations", true, out->activation, &out->activations, error));
    const char *kind = json_string_value(json_object_get(root, "kind"));
    snprintf(out->kind, sizeof out->kind, "%s", kind ? kind : "by hand");
    for (char *c = out->kind; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?'; /* it is printed */
    status = mq_packing_finish(out, cycles, error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, mq_input_status(status), "%s", path);
}

mq_status mq_packing_load(const char *path, mq_packing *out, mq_error *error) {
    json_t *root;
    *out = (mq_packing){0};
    MQ_TRY(mq_json_load(path, &root, error));
    mq_status status = mq_packing_read(root, path, out, error);
    json_decref(root);
    return status;
}
