/* import.c - opening a published checkpoint: which network, mode and bits it holds. */
#include "net/import.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/checkpoint.h"
#include "net/import_internal.h"
#include "quant/quant.h"

enum { MAX_MODEL = 64 };

typedef struct opener {
    const char *path;
    mq_import_tensors tensors;
    const char *model, *bitw, *bita; /* as the file says, or NULL */
    bool quantised;                  /* it has the size records of quantised layers */
    mq_imported *out;
    mq_error *error;
} opener;

/* Lower case without '_' and '-'. */
static void normalise(const char *name, char out[MAX_MODEL]) {
    size_t n = 0;
    for (; *name && n < MAX_MODEL - 1; name++)
        if (*name != '_' && *name != '-') out[n++] = (char)tolower((unsigned char)*name);
    out[n] = 0;
}

static void builtin_name(const mq_embedded_file *file, char out[MAX_MODEL]) {
    const char *dot = strrchr(file->name, '.');
    snprintf(out, MAX_MODEL, "%.*s", dot ? (int)(dot - file->name) : (int)strlen(file->name), file->name);
}

/* "VGG_tiny_FixQ" -> vgg_tiny: the published class names add one of three endings. */
static bool same_model(const char *published, const char *builtin) {
    static const char *const endings[] = {"", "fixq", "mixq", "float"};
    char theirs[MAX_MODEL], ours[MAX_MODEL];
    normalise(published, theirs);
    normalise(builtin, ours);
    if (!mq_starts_with(theirs, ours)) return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(theirs + strlen(ours), endings[i]) == 0) return true;
    return false;
}

static mq_status open_named(const opener *o, const char *published) {
    for (const mq_embedded_file *f = mixq_builtin_models; f->name; f++) {
        char name[MAX_MODEL];
        builtin_name(f, name);
        if (same_model(published, name)) return mq_net_open(name, &o->out->net, o->error);
    }
    return mq_fail(o->error, MQ_BAD_INPUT,
                   "%s: its model '%.60s' is none of the built-in networks: name the network with --model",
                   o->path, published);
}

static mq_status map_onto(const opener *o, const mq_net *net, mq_import_map *out, mq_error *error) {
    return mq_import_map_tensors(o->path, &o->tensors, "", net, o->out->mode, o->out->share, false, out,
                                 error);
}

/* The built-in network that the tensors fit; none or two do not say which. Tensors do not tell the quantiser:
 * the published search and its networks have HWGQ. */
static mq_status open_fitting(const opener *o) {
    char found[MAX_MODEL] = "";
    for (const mq_embedded_file *f = mixq_builtin_models; f->name; f++) {
        char name[MAX_MODEL];
        mq_net *net;
        mq_import_map map;
        builtin_name(f, name);
        MQ_TRY(mq_net_open(name, &net, o->error));
        mq_status status = net->quantizer == MQ_QUANTIZER_HWGQ ? map_onto(o, net, &map, NULL) : MQ_BAD_INPUT;
        mq_net_free(net);
        if (status == MQ_INTERNAL) return mq_fail(o->error, status, "out of memory: mapping %s", o->path);
        if (status != MQ_OK) continue;
        mq_import_map_free(&map);
        if (*found)
            return mq_fail(o->error, MQ_BAD_INPUT, "%s: fits %s and %s: name the network with --model",
                           o->path, found, name);
        strcpy(found, name);
    }
    if (!*found)
        return mq_fail(o->error, MQ_BAD_INPUT,
                       "%s: fits none of the built-in networks: name the network with --model", o->path);
    return mq_net_open(found, &o->out->net, o->error);
}

static mq_status read_file(opener *o) {
    const char *path = o->path;
    mq_imported *out = o->out;
    if (mq_ends_with(path, ".pt") || mq_ends_with(path, ".pth")) {
        MQ_TRY(mq_pt_load(path, &out->pt, o->error));
        out->epoch = mq_pt_epoch(out->pt);
        o->bitw = mq_pt_bits(out->pt, "bitw");
        o->bita = mq_pt_bits(out->pt, "bita");
    } else if (mq_ends_with(path, ".safetensors")) {
        MQ_TRY(mq_st_load(path, &out->st, o->error));
        if (mq_st_meta(out->st, "format") && mq_st_meta(out->st, "network"))
            return mq_fail(o->error, MQ_BAD_INPUT, "%s is a checkpoint of mixq already: nothing to import",
                           path);
        o->model = mq_st_meta(out->st, "model");
        o->bitw = mq_st_meta(out->st, "bitw");
        o->bita = mq_st_meta(out->st, "bita");
    } else {
        return mq_fail(o->error, MQ_BAD_INPUT,
                       "cannot import %s: a name ending in .pt, .pth, .safetensors or .onnx expected", path);
    }
    o->tensors = (mq_import_tensors){.st = out->st, .pt = out->pt};
    return MQ_OK;
}

/* Float, search or fixed, from what tensors there are. */
static mq_status find_mode(opener *o) {
    bool alphas = false, branches = false;
    for (size_t i = 0; i < mq_import_count(&o->tensors); i++) {
        const mq_st_entry *entry = mq_import_at(&o->tensors, i);
        mq_import_name name = {0};
        if (!mq_import_split(entry->name, &name))
            return mq_fail(o->error, MQ_BAD_INPUT, "%s: tensor %s: not a name of the published framework",
                           o->path, entry->name);
        alphas |= name.leaf == MQ_IMPORT_ALPHA_WEIGHT || name.leaf == MQ_IMPORT_ALPHA_ACTIVATION;
        branches |= name.branch >= 0;
        o->quantised |= name.leaf == MQ_IMPORT_SIZE_PRODUCT;
    }
    o->out->share = !branches;
    if (alphas)
        o->out->mode = MQ_MODE_SEARCH;
    else if (o->bitw && o->bita)
        o->out->mode = MQ_MODE_FIXED;
    else if (o->quantised || o->bitw || o->bita)
        return mq_fail(o->error, MQ_BAD_INPUT,
                       "%s: a fixed-precision network without its bit widths: bitw and bita expected in %s",
                       o->path, o->out->pt ? "model_params" : "its metadata");
    else
        o->out->mode = MQ_MODE_FLOAT;
    return MQ_OK;
}

/* The first of the largest: the branch a search would choose. */
static int8_t best_bits(const float *alpha) {
    int best = 0;
    for (int i = 1; i < MQ_BRANCHES; i++)
        if (alpha[i] > alpha[best]) best = i;
    return (int8_t)(MQ_SEARCH_MIN + best);
}

static mq_status find_bits(const opener *o) {
    mq_imported *out = o->out;
    const mq_net *net = out->net;
    if (out->mode == MQ_MODE_FIXED) {
        mq_status status = mq_bits_parse(net, o->bitw, o->bita, &out->bits, o->error);
        return status == MQ_OK ? MQ_OK : mq_fail_context(o->error, MQ_BAD_INPUT, "%s", o->path);
    }
    if (out->mode == MQ_MODE_FLOAT) return MQ_OK;
    mq_bits_uniform(net, MQ_BITS_MAX, MQ_BITS_MAX, &out->bits);
    for (int i = 0; i < net->layer_count; i++) {
        if (net->layers[i].pinned) continue;
        int node = net->layers[i].node;
        out->bits.weight[i] = best_bits(mq_import_values(&out->map, node, MQ_PARAM_ALPHA_WEIGHT, -1));
        out->bits.activation[i] = best_bits(mq_import_values(&out->map, node, MQ_PARAM_ALPHA_ACTIVATION, -1));
    }
    return MQ_OK;
}

static mq_status check_values(const opener *o) {
    const mq_import_map *map = &o->out->map;
    for (int i = 0; i < map->count; i++) {
        const mq_st_entry *entry = map->entries[i];
        const float *values = entry->tensor.data;
        size_t n = mq_tensor_count(&entry->tensor);
        for (size_t k = 0; k < n; k++) {
            if (!isfinite(values[k]))
                return mq_fail(o->error, MQ_BAD_INPUT,
                               "%s: tensor %s: element %zu is %s: finite numbers expected", o->path,
                               entry->name, k, isnan(values[k]) ? "NaN" : "infinite");
            if (map->specs[i].kind == MQ_PARAM_VAR && values[k] < 0)
                return mq_fail(o->error, MQ_BAD_INPUT,
                               "%s: tensor %s: element %zu is %g: a variance from 0 expected", o->path,
                               entry->name, k, (double)values[k]);
        }
    }
    return MQ_OK;
}

static mq_status open_all(opener *o, const char *model) {
    MQ_TRY(read_file(o));
    MQ_TRY(find_mode(o));
    if (model)
        MQ_TRY(mq_net_open(model, &o->out->net, o->error));
    else if (o->model)
        MQ_TRY(open_named(o, o->model));
    else
        MQ_TRY(open_fitting(o));
    MQ_TRY(map_onto(o, o->out->net, &o->out->map, o->error));
    MQ_TRY(check_values(o));
    return find_bits(o);
}

mq_status mq_import_open(const char *path, const char *model, mq_imported *out, mq_error *error) {
    *out = (mq_imported){0};
    opener o = {.path = path, .out = out, .error = error};
    mq_status status = open_all(&o, model);
    if (status != MQ_OK) mq_imported_free(out);
    return status;
}

void mq_imported_free(mq_imported *imported) {
    mq_import_map_free(&imported->map);
    mq_net_free(imported->net);
    mq_pt_free(imported->pt);
    mq_st_free(imported->st);
    *imported = (mq_imported){0};
}

mq_status mq_import_save(const mq_imported *imported, const char *path, mq_error *error) {
    const mq_checkpoint_info info = {.net = imported->net,
                                     .mode = imported->mode,
                                     .share = imported->share,
                                     .bits = &imported->bits,
                                     .precision = "f32"};
    mq_st_writer *writer;
    MQ_TRY(mq_st_writer_create(&writer, error));
    mq_status status;
    MQ_TRY_GOTO(mq_checkpoint_describe(writer, &info, error), done);
    for (int i = 0; i < imported->map.count; i++)
        MQ_TRY_GOTO(mq_st_add(writer, imported->map.specs[i].name, &imported->map.entries[i]->tensor, error),
                    done);
    status = mq_st_write(writer, path, error);
done:
    mq_st_writer_free(writer);
    return status;
}
