/* checkpoint.c - reading and describing self-contained checkpoints. */
#include "net/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#define FORMAT "mixq-checkpoint-1"

static mq_status meta(const mq_st_file *file, const char *key, const char **out, mq_error *error) {
    *out = mq_st_meta(file, key);
    if (!*out)
        return mq_fail(error, MQ_BAD_INPUT,
                       "not a mixq checkpoint: %s: metadata '%s' is missing (a published .pt or "
                       ".safetensors goes through `mixq import` first)",
                       mq_st_path(file), key);
    return MQ_OK;
}

static mq_status meta_choice(const mq_st_file *file, const char *key, const char *const *words, int *out,
                             mq_error *error) {
    const char *text;
    MQ_TRY(meta(file, key, &text, error));
    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return MQ_OK;
        }
    }
    return mq_fail(error, MQ_BAD_INPUT, "%s: metadata '%s': '%.60s': '%s' or another known word expected",
                   mq_st_path(file), key, text, words[0]);
}

static mq_status read_metadata(mq_checkpoint *c, mq_error *error) {
    static const char *const formats[] = {FORMAT, NULL};
    static const char *const modes[] = {"float", "search", "fixed", NULL};
    static const char *const booleans[] = {"false", "true", NULL};
    static const char *const precisions[] = {"f32", "bf16", NULL};
    const char *network, *bitw, *bita, *epoch;
    int value;
    MQ_TRY(meta_choice(c->file, "format", formats, &value, error));
    MQ_TRY(meta(c->file, "network", &network, error));
    mq_status status = mq_net_parse("its network description", network, strlen(network), &c->net, error);
    if (status != MQ_OK) return mq_fail_context(error, status, "%s", mq_st_path(c->file));
    MQ_TRY(meta_choice(c->file, "mode", modes, &value, error));
    c->mode = (mq_mode)value;
    if (c->net->given && c->mode != MQ_MODE_FIXED)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: metadata 'mode': a network of given quantisers has fixed bits only",
                       mq_st_path(c->file));
    MQ_TRY(meta_choice(c->file, "share", booleans, &value, error));
    c->share = value;
    MQ_TRY(meta_choice(c->file, "symmetric", booleans, &value, error));
    c->symmetric = value;
    MQ_TRY(meta_choice(c->file, "precision", precisions, &value, error));
    strcpy(c->precision, precisions[value]);
    MQ_TRY(meta(c->file, "epoch", &epoch, error));
    if (!mq_parse_int(epoch, &c->epoch) || c->epoch < 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: metadata 'epoch': '%.60s': a number from 0 expected",
                       mq_st_path(c->file), epoch);
    if (c->mode != MQ_MODE_FLOAT) {
        MQ_TRY(meta(c->file, "bitw", &bitw, error));
        MQ_TRY(meta(c->file, "bita", &bita, error));
        status = mq_bits_parse(c->net, bitw, bita, &c->bits, error);
        if (status != MQ_OK)
            return mq_fail_context(error, mq_input_status(status), "%s", mq_st_path(c->file));
    }
    for (int i = 0; c->net->given && i < c->net->layer_count; i++)
        if (c->net->nodes[c->net->layers[i].act].act.is_signed && c->bits.activation[i] < 2)
            return mq_fail(error, MQ_BAD_INPUT,
                           "%s: metadata 'bita': layer %d: signed codes of 1 bit: 2 or more expected",
                           mq_st_path(c->file), i);
    return MQ_OK;
}

/* What is more to check of a network of given quantisers. */
static mq_status check_given(const mq_checkpoint *c, const mq_param_spec *spec, const mq_st_entry *entry,
                             mq_error *error) {
    const mq_layer *layer = &c->net->layers[c->net->nodes[spec->node].layer];
    int bits = c->bits.weight[c->net->nodes[spec->node].layer];
    const int32_t low = mq_code_low(bits, true, layer->weight_narrow), high = mq_code_high(bits, true);
    size_t n = mq_tensor_count(&entry->tensor);
    for (size_t k = 0; k < n; k++) {
        double v = spec->dtype == MQ_F64 ? ((const double *)entry->tensor.data)[k]
                                         : (double)((const float *)entry->tensor.data)[k];
        bool good = isfinite(v) && (spec->kind != MQ_PARAM_INPUT_SCALE || v > 0) &&
                    (spec->kind != MQ_PARAM_WEIGHT || (v >= low && v <= high && v == rint(v)));
        if (!good)
            return mq_fail(error, MQ_BAD_INPUT, "%s: tensor %s: element %zu is %g: %s expected",
                           mq_st_path(c->file), spec->name, k, v,
                           spec->kind == MQ_PARAM_WEIGHT        ? "a code of the layer's bits"
                           : spec->kind == MQ_PARAM_INPUT_SCALE ? "a number above 0"
                                                                : "finite numbers");
    }
    return MQ_OK;
}

static mq_status check_tensors(const mq_checkpoint *c, mq_error *error) {
    mq_param_spec *specs;
    int count;
    MQ_TRY(mq_params_list(c->net, c->mode, c->share, &specs, &count, error));
    mq_status status = MQ_OK;
    size_t known = 0;
    for (int i = 0; i < count && status == MQ_OK; i++) {
        const mq_st_entry *entry;
        MQ_TRY_GOTO(mq_st_require(c->file, specs[i].name, specs[i].dtype, &specs[i].shape, &entry, error),
                    done);
        known++;
        if (c->net->given) {
            MQ_TRY_GOTO(check_given(c, &specs[i], entry, error), done);
            continue;
        }
        const float *values = entry->tensor.data;
        size_t n = mq_tensor_count(&entry->tensor);
        for (size_t k = 0; k < n; k++) {
            if (specs[i].kind == MQ_PARAM_VAR && values[k] < 0) {
                status = mq_fail(error, MQ_BAD_INPUT,
                                 "%s: tensor %s: element %zu is %g: a variance from 0 expected",
                                 mq_st_path(c->file), specs[i].name, k, (double)values[k]);
                goto done;
            }
            if (isfinite(values[k])) continue;
            status = mq_fail(error, MQ_BAD_INPUT, "%s: tensor %s: element %zu is %s: finite numbers expected",
                             mq_st_path(c->file), specs[i].name, k, isnan(values[k]) ? "NaN" : "infinite");
            goto done;
        }
    }
    for (size_t i = 0; i < mq_st_count(c->file) && known < mq_st_count(c->file); i++) {
        const char *name = mq_st_at(c->file, i)->name;
        bool found = mq_starts_with(name, "optimizer.");
        for (int k = 0; k < count && !found; k++) found = strcmp(name, specs[k].name) == 0;
        if (found) continue;
        status = mq_fail(error, MQ_BAD_INPUT, "%s: tensor %s does not belong to network %s in %s mode",
                         mq_st_path(c->file), name, c->net->name, mq_mode_name(c->mode));
        goto done;
    }
done:
    mq_free(specs);
    return status;
}

/* A folder without best.safetensors: what it is instead. */
static mq_status no_best(const char *path, mq_error *error) {
    char file[MQ_PATH];
    MQ_TRY(mq_path_join(path, "run.json", file, error));
    if (mq_path_exists(file))
        return mq_fail(error, MQ_BAD_INPUT, "%s: no finished epoch yet (no best.safetensors)", path);
    MQ_TRY(mq_path_join(path, "net.json", file, error));
    if (mq_path_exists(file))
        return mq_fail(error, MQ_BAD_INPUT, "not a run folder: %s: an export, for `mixq simulate`", path);
    return mq_fail(error, MQ_BAD_INPUT, "not a run folder: %s: it has no best.safetensors", path);
}

mq_status mq_checkpoint_load(const char *path, mq_checkpoint *out, mq_error *error) {
    *out = (mq_checkpoint){0};
    char inside[MQ_PATH];
    if (mq_path_is_dir(path)) {
        MQ_TRY(mq_path_join(path, "best.safetensors", inside, error));
        if (!mq_path_exists(inside)) return no_best(path, error);
        path = inside;
    }
    if (mq_ends_with(path, ".pt") || mq_ends_with(path, ".pth"))
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: a PyTorch checkpoint: run `mixq import %s --out NAME.safetensors` first", path,
                       path);
    mq_status status;
    MQ_TRY_GOTO(mq_st_load(path, &out->file, error), failed);
    MQ_TRY_GOTO(read_metadata(out, error), failed);
    MQ_TRY_GOTO(check_tensors(out, error), failed);
    return MQ_OK;
failed:
    mq_checkpoint_free(out);
    return status;
}

void mq_checkpoint_free(mq_checkpoint *checkpoint) {
    mq_net_free(checkpoint->net);
    mq_st_free(checkpoint->file);
    *checkpoint = (mq_checkpoint){0};
}

static const void *find(const mq_checkpoint *checkpoint, int node, mq_param_kind kind) {
    static const char *const suffixes[] = {
        [MQ_PARAM_WEIGHT] = "weight",
        [MQ_PARAM_BIAS] = "bias",
        [MQ_PARAM_GAMMA] = "gamma",
        [MQ_PARAM_BETA] = "beta",
        [MQ_PARAM_ALPHA_WEIGHT] = "alpha_weight",
        [MQ_PARAM_ALPHA_ACTIVATION] = "alpha_activation",
        [MQ_PARAM_MEAN] = "mean",
        [MQ_PARAM_VAR] = "var",
        [MQ_PARAM_SCALE] = "scale",
        [MQ_PARAM_OFFSET] = "offset",
        [MQ_PARAM_INPUT_SCALE] = "input_scale",
    };
    char name[MQ_MAX_NAME + 24];
    snprintf(name, sizeof name, "%s.%s", checkpoint->net->nodes[node].name, suffixes[kind]);
    const mq_st_entry *entry = mq_st_find(checkpoint->file, name);
    return entry ? entry->tensor.data : NULL;
}

const float *mq_checkpoint_values(const mq_checkpoint *checkpoint, int node, mq_param_kind kind) {
    return find(checkpoint, node, kind);
}

const double *mq_checkpoint_doubles(const mq_checkpoint *checkpoint, int node, mq_param_kind kind) {
    return find(checkpoint, node, kind);
}

mq_qtype mq_checkpoint_input_type(const mq_checkpoint *c, int layer) {
    const mq_net *net = c->net;
    const mq_act_attr *act = &net->nodes[net->layers[layer].act].act;
    int bits = c->bits.activation[layer];
    mq_qtype type = {.bits = bits, .scale = ldexp(1, -bits)};
    if (net->given && (act->kind != MQ_ACT_IMAGE || net->real)) {
        type.is_signed = act->is_signed;
        type.narrow = act->narrow;
        type.scale = mq_checkpoint_doubles(c, net->layers[layer].node, MQ_PARAM_INPUT_SCALE)[0];
    } else if (act->kind != MQ_ACT_IMAGE) {
        type.scale = mq_activation_step(net->quantizer, bits);
    }
    return type;
}

mq_status mq_checkpoint_describe(mq_st_writer *writer, const mq_checkpoint_info *info, mq_error *error) {
    char epoch[24], bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    snprintf(epoch, sizeof epoch, "%lld", (long long)info->epoch);
    MQ_TRY(mq_st_add_meta(writer, "format", FORMAT, error));
    MQ_TRY(mq_st_add_meta(writer, "mode", mq_mode_name(info->mode), error));
    MQ_TRY(mq_st_add_meta(writer, "share", info->share ? "true" : "false", error));
    MQ_TRY(mq_st_add_meta(writer, "symmetric", info->symmetric ? "true" : "false", error));
    MQ_TRY(mq_st_add_meta(writer, "precision", info->precision, error));
    MQ_TRY(mq_st_add_meta(writer, "epoch", epoch, error));
    if (info->mode != MQ_MODE_FLOAT) {
        mq_bits_text(info->net, info->bits, bitw, bita);
        MQ_TRY(mq_st_add_meta(writer, "bitw", bitw, error));
        MQ_TRY(mq_st_add_meta(writer, "bita", bita, error));
    }
    return mq_st_add_meta(writer, "network", info->net->source, error);
}
