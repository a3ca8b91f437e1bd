/* dump_index.c - writing and reading dump.json. */
#include "sim/dump_index.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "io/json.h"

#define FORMAT "mixq-dump"
enum { VERSION = 1 };

mq_status mq_dump_index_save(const char *dir, const mq_inet *net, size_t images, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_path_join(dir, MQ_DUMP_INDEX, path, error));
    json_t *layers = json_array();
    for (int i = 0; i < net->node_count; i++)
        if (net->nodes[i].dump[0]) json_array_append_new(layers, json_string(net->nodes[i].dump));
    json_t *root =
        json_pack("{s:s, s:i, s:s, s:s, s:I, s:o}", "format", FORMAT, "version", VERSION, "model", net->model,
                  "net_sha256", net->sha256, "images", (json_int_t)images, "layers", layers);
    if (!root) return mq_fail(error, MQ_INTERNAL, "%s: out of memory", path);
    mq_status status = mq_json_save(path, root, error);
    json_decref(root);
    return status;
}

mq_status mq_dump_index_remove(const char *dir, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_path_join(dir, MQ_DUMP_INDEX, path, error));
    if (unlink(path) != 0 && errno != ENOENT) return mq_fail_errno(error, "cannot remove", path);
    return MQ_OK;
}

/* As in net.json: letters, digits, '_', '-', '.', not first '.'. */
static bool is_name(const char *text) {
    size_t n = strlen(text);
    if (n == 0 || n >= MQ_INET_MAX_NAME || text[0] == '.') return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("_-.", text[i])) return false;
    return true;
}

static mq_status read_layers(const char *path, const json_t *root, mq_dump_layers *out, mq_error *error) {
    static const char *const keys[] = {"format", "version", "model", "net_sha256", "images", "layers", NULL};
    const char *format;
    int64_t version;
    json_t *layers, *item;
    size_t i;
    MQ_TRY(mq_json_string(root, path, "format", &format, error));
    if (strcmp(format, FORMAT) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: format: got '%s', expected '%s'", path, format, FORMAT);
    MQ_TRY(mq_json_int(root, path, "version", VERSION, VERSION, &version, error));
    MQ_TRY(mq_json_keys(root, path, keys, error));
    MQ_TRY(mq_json_array(root, path, "layers", &layers, error));
    if (json_array_size(layers) < 1 || json_array_size(layers) > MQ_INET_MAX_NODES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: layers: got %zu, expected 1 to %d", path,
                       json_array_size(layers), MQ_INET_MAX_NODES);
    json_array_foreach(layers, i, item) {
        const char *name = json_string_value(item);
        if (!name || !is_name(name))
            return mq_fail(error, MQ_BAD_INPUT, "%s: layers[%zu]: a layer's name expected", path, i);
        strcpy(out->name[out->count++], name);
    }
    return MQ_OK;
}

mq_status mq_dump_layers_load(const char *dir, mq_dump_layers **out, mq_error *error) {
    char path[MQ_PATH];
    json_t *root;
    *out = NULL;
    MQ_TRY(mq_path_join(dir, MQ_DUMP_INDEX, path, error));
    if (!mq_path_exists(path)) return MQ_OK;
    MQ_TRY(mq_json_load(path, &root, error));
    mq_dump_layers *layers = NULL;
    mq_status status = mq_alloc(1, sizeof *layers, "layers", &layers, error);
    if (status == MQ_OK) status = read_layers(path, root, layers, error);
    json_decref(root);
    if (status == MQ_OK)
        *out = layers;
    else
        mq_free(layers);
    return status;
}
