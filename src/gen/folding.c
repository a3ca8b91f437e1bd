/* folding.c - reading and writing FINN's folding_config.json. */
#include "gen/folding.h"

#include <stdio.h>
#include <string.h>

#include "io/json.h"

enum { MAX_VALUE = 1 << 16 };

static const char *const FINN_LAYERS[] = {
    "MVAU_hls", "MVAU_rtl", "MatrixVectorActivation", "StreamingFCLayer_Batch",
    "VVAU_hls", "VVAU_rtl", "VectorVectorActivation", NULL};

/* The entry of layer number `number` (of all weighted layers), and the name it has. */
static const json_t *find_entry(const json_t *root, const mq_inet_node *node, int number, char name[64]) {
    snprintf(name, 64, "%s", node->name);
    const json_t *entry = json_object_get(root, name);
    for (int i = 0; !entry && FINN_LAYERS[i]; i++) {
        snprintf(name, 64, "%s_%d", FINN_LAYERS[i], number);
        entry = json_object_get(root, name);
    }
    return entry;
}

static mq_status read_number(const char *file, const char *where, const json_t *entry, const char *key,
                             int *out, mq_error *error) {
    const json_t *v = json_object_get(entry, key);
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 1 || n > MAX_VALUE)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: %s: expected an integer of 1 to %d", file, where, key,
                       MAX_VALUE);
    *out = (int)n;
    return MQ_OK;
}

static mq_status read_rows(const char *name, const json_t *root, const mq_inet *net, mq_parallelism *out,
                           mq_error *error) {
    *out = (mq_parallelism){.count = 0};
    for (int i = 0, layer = 0; i < net->node_count; i++) {
        const mq_inet_node *node = &net->nodes[i];
        char entry_name[64];
        if (node->kind != MQ_INET_CONV && node->kind != MQ_INET_LINEAR) continue;
        const json_t *entry = find_entry(root, node, layer++, entry_name);
        if (node->kind == MQ_INET_LINEAR) continue;
        if (!json_is_object(entry))
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: no entry for %s: '%s', or 'MVAU_hls_%d' with PE and SIMD expected", name,
                           node->name, node->name, layer - 1);
        mq_parallelism_row *row = &out->rows[out->count++];
        *row = (mq_parallelism_row){.pep = 1};
        MQ_TRY(read_number(name, entry_name, entry, "SIMD", &row->simd, error));
        MQ_TRY(read_number(name, entry_name, entry, "PE", &row->pe, error));
        row->actp = row->pe;
    }
    return MQ_OK;
}

mq_status mq_folding_parse(const char *name, const char *text, size_t size, const mq_inet *net,
                           mq_parallelism *out, mq_error *error) {
    json_t *root;
    MQ_TRY(mq_json_parse(name, text, size, &root, error));
    mq_status status = json_is_object(root)
                           ? read_rows(name, root, net, out, error)
                           : mq_fail(error, MQ_BAD_INPUT, "%s: an object of nodes expected", name);
    json_decref(root);
    return status;
}

mq_status mq_folding_write(const mq_inet *net, const mq_parallelism *parallelism, const char *path,
                           mq_error *error) {
    json_t *root = json_object();
    int row = 0;
    json_object_set_new(root, "Defaults", json_object());
    for (int i = 0; i < net->node_count; i++) {
        if (net->nodes[i].kind != MQ_INET_CONV) continue;
        const mq_parallelism_row *r = &parallelism->rows[row++];
        json_object_set_new(root, net->nodes[i].name,
                            json_pack("{s:i, s:i}", "PE", r->pe * r->pep, "SIMD", r->simd));
    }
    mq_status status =
        root ? mq_json_save(path, root, error) : mq_fail_memory(error, "folding_config.json", 0);
    json_decref(root);
    return status;
}
