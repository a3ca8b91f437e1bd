/* bits_file.c - bits.json. */
#include "cli/bits_file.h"

#include <string.h>

#include "base/file.h"

json_t *bits_file_make(const mq_net *net, const mq_bits *bits, const mq_cost_model *cost,
                       const char *factors) {
    char bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    mq_bits_text(net, bits, bitw, bita);
    mq_cost_report report;
    bool priced = cost && mq_cost_at(cost, net, bits, &report, NULL) == MQ_OK;
    json_t *root = json_pack("{s:s, s:s, s:s}", "model", net->name, "bitw", bitw, "bita", bita);
    if (!root) return NULL;
    json_object_set_new(root, "dsp_ops_M", priced ? json_real(report.dsp_ops_M) : json_null());
    json_object_set_new(root, "factors", json_string(factors));
    json_t *layers = json_array(); /* names, in the order of the digits */
    for (int i = 0; i < net->layer_count; i++)
        if (!net->layers[i].pinned)
            json_array_append_new(layers, json_string(net->nodes[net->layers[i].node].name));
    json_object_set_new(root, "layers", layers);
    if (priced) {
        json_object_set_new(root, "bit_ops_M", json_real(report.bit_ops_M));
        json_object_set_new(root, "weight_bits_M", json_real(report.weight_bits_M));
        json_object_set_new(root, "activation_bits_K", json_real(report.act_bits_K));
        json_object_set_new(root, "bram_K", json_real(report.bram_K));
    }
    if (priced && cost->device) {
        json_object_set_new(root, "device", json_string(cost->device->device));
        json_object_set_new(root, "clock_mhz", json_real(cost->device->clock_mhz));
        json_object_set_new(root, "target_fps", json_real(cost->device->target_fps));
        json_object_set_new(root, "device_share", json_real(report.device_share));
    }
    return root;
}

mq_status bits_file_read(const char *path, const mq_net *net, mq_bits *out, mq_error *error) {
    char inside[MQ_PATH];
    if (mq_path_is_dir(path)) {
        MQ_TRY(mq_path_join(path, "bits.json", inside, error));
        path = inside;
    }
    json_t *root;
    MQ_TRY(mq_json_load(path, &root, error));
    const char *bitw, *bita, *model = json_string_value(json_object_get(root, "model"));
    mq_status status = MQ_OK;
    if (model && strcmp(model, net->name) != 0)
        status =
            mq_fail(error, MQ_BAD_INPUT, "%s: bits of network %s, expected of %s", path, model, net->name);
    if (status == MQ_OK) status = mq_json_string(root, path, "bitw", &bitw, error);
    if (status == MQ_OK) status = mq_json_string(root, path, "bita", &bita, error);
    if (status == MQ_OK) {
        status = mq_bits_parse(net, bitw, bita, out, error);
        if (status != MQ_OK) status = mq_fail_context(error, mq_input_status(status), "%s", path);
    }
    json_decref(root);
    return status;
}
