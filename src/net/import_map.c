/* import_map.c - published tensor names to our parameters, by order and shape. */
#include "net/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "net/import_internal.h"

enum { BRANCHES = 7, MAX_MODULES = 4 * MQ_MAX_NODES };

typedef enum role { ROLE_CONV, ROLE_LINEAR, ROLE_NORM, ROLES } role;
static const char *const ROLE_TEXT[ROLES] = {"convolutions", "linear layers", "batch norms"};

/* What stands under one module path. */
typedef struct module {
    const char *path; /* start of a tensor's name, not ended by 0 */
    size_t length;
    role role;
    const mq_st_entry *weight, *branch[BRANCHES], *bias, *mean, *var, *alpha_weight, *alpha_activation;
} module;

typedef struct mapper {
    const char *where;
    const mq_import_tensors *tensors;
    const char *prefix;
    module *modules;
    size_t count;
    mq_error *error;
} mapper;

/* True when name[0..length) ends with the component `word` and something stands before it. */
static bool drop_component(const char *name, size_t *length, const char *word) {
    size_t n = strlen(word);
    if (*length < n + 2 || name[*length - n - 1] != '.' || memcmp(name + *length - n, word, n) != 0)
        return false;
    *length -= n + 1;
    return true;
}

/* Cuts the wrappers of a quantised layer off a path: "layers.0.mix_weight.conv_list.3" is branch 3 of
 * "layers.0". */
static void unwrap(const char *path, size_t *length, int *branch) {
    static const char *const wrappers[] = {"conv", "linear", "mix_weight", "mix_activ", "activ", NULL};
    *branch = -1;
    size_t n = *length;
    if (n >= 2 && path[n - 2] == '.' && path[n - 1] >= '0' && path[n - 1] < '0' + BRANCHES) {
        int digit = path[n - 1] - '0';
        n -= 2;
        if (drop_component(path, &n, "conv_list") || drop_component(path, &n, "linear_list")) {
            *branch = digit;
            *length = n;
        }
    }
    for (int i = 0; wrappers[i];) i = drop_component(path, length, wrappers[i]) ? 0 : i + 1;
}

bool mq_import_split(const char *name, mq_import_name *out) {
    static const char *const leaves[] = {
        [MQ_IMPORT_WEIGHT] = "weight",
        [MQ_IMPORT_BIAS] = "bias",
        [MQ_IMPORT_MEAN] = "running_mean",
        [MQ_IMPORT_VAR] = "running_var",
        [MQ_IMPORT_ALPHA_WEIGHT] = "alpha_weight",
        [MQ_IMPORT_ALPHA_ACTIVATION] = "alpha_activ",
        [MQ_IMPORT_COUNTER] = "num_batches_tracked",
        [MQ_IMPORT_SIZE_PRODUCT] = "size_product",
        [MQ_IMPORT_MEMORY_SIZE] = "memory_size",
        [MQ_IMPORT_IN_WIDTH] = "in_width",
    };
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name) return false;
    for (int i = 0; i < MQ_IMPORT_LEAVES; i++) {
        if (strcmp(dot + 1, leaves[i]) != 0) continue;
        *out = (mq_import_name){.path = name, .length = (size_t)(dot - name), .leaf = (mq_import_leaf)i};
        unwrap(out->path, &out->length, &out->branch);
        return true;
    }
    return false;
}

static mq_status find_module(mapper *m, const mq_import_name *name, module **out) {
    for (size_t i = m->count; i-- > 0;) {
        module *known = &m->modules[i];
        if (known->length != name->length || memcmp(known->path, name->path, name->length) != 0) continue;
        *out = known;
        return MQ_OK;
    }
    if (m->count == MAX_MODULES)
        return mq_fail(m->error, MQ_BAD_INPUT, "%s: more than %d modules", m->where, MAX_MODULES);
    *out = &m->modules[m->count++];
    **out = (module){.path = name->path, .length = name->length};
    return MQ_OK;
}

static mq_status place(mapper *m, const mq_st_entry *entry) {
    const char *name = entry->name;
    if (!mq_starts_with(name, m->prefix)) return MQ_OK;
    mq_import_name parts = {0};
    if (!mq_import_split(name + strlen(m->prefix), &parts))
        return mq_fail(m->error, MQ_BAD_INPUT, "%s: tensor %s: not a name of the published framework",
                       m->where, name);
    if (parts.leaf >= MQ_IMPORT_COUNTER) return MQ_OK;
    module *to = NULL;
    MQ_TRY(find_module(m, &parts, &to));
    const mq_st_entry **slot = NULL;
    switch (parts.leaf) {
    case MQ_IMPORT_WEIGHT:
        slot = parts.branch < 0 ? &to->weight : &to->branch[parts.branch];
        break;
    case MQ_IMPORT_BIAS:
        /* A layer has one bias; with unshared weights the framework adds that of the first branch. */
        if (parts.branch > 0) return MQ_OK;
        slot = &to->bias;
        break;
    case MQ_IMPORT_MEAN:
        slot = &to->mean;
        break;
    case MQ_IMPORT_VAR:
        slot = &to->var;
        break;
    case MQ_IMPORT_ALPHA_WEIGHT:
        slot = &to->alpha_weight;
        break;
    default:
        slot = &to->alpha_activation;
        break;
    }
    if (*slot)
        return mq_fail(m->error, MQ_BAD_INPUT, "%s: tensors %s and %s are the same parameter", m->where,
                       (*slot)->name, name);
    *slot = entry;
    return MQ_OK;
}

static int compare_modules(const void *a, const void *b) {
    const module *x = a, *y = b;
    char left[512], right[512]; /* names of the readers are shorter */
    size_t n = x->length < sizeof left ? x->length : sizeof left - 1;
    size_t k = y->length < sizeof right ? y->length : sizeof right - 1;
    memcpy(left, x->path, n);
    memcpy(right, y->path, k);
    left[n] = right[k] = 0;
    return mq_natural_compare(left, right);
}

static mq_status group(mapper *m) {
    MQ_TRY(mq_alloc(MAX_MODULES, sizeof *m->modules, "modules", &m->modules, m->error));
    for (size_t i = 0; i < mq_import_count(m->tensors); i++) MQ_TRY(place(m, mq_import_at(m->tensors, i)));
    qsort(m->modules, m->count, sizeof *m->modules, compare_modules);
    for (size_t i = 0; i < m->count; i++) {
        module *mod = &m->modules[i];
        const mq_st_entry *weight = mod->weight ? mod->weight : mod->branch[0];
        int rank = weight ? weight->tensor.shape.rank : 0;
        if (rank != 4 && rank != 2 && rank != 1)
            return mq_fail(m->error, MQ_BAD_INPUT, "%s: module %.*s: %s", m->where, (int)mod->length,
                           mod->path,
                           weight ? "a weight of 4, 2 or 1 dimensions expected" : "it has no weight");
        mod->role = rank == 4 ? ROLE_CONV : rank == 2 ? ROLE_LINEAR : ROLE_NORM;
    }
    return MQ_OK;
}

static role node_role(const mq_node *node) {
    return node->op == MQ_OP_CONV ? ROLE_CONV : node->op == MQ_OP_LINEAR ? ROLE_LINEAR : ROLE_NORM;
}

/* module_of[node]: the n-th module of each role for the n-th node of that role. */
static mq_status pair(mapper *m, const mq_net *net, module **module_of) {
    size_t next[ROLES] = {0}, nodes[ROLES] = {0}, modules[ROLES] = {0};
    for (size_t i = 0; i < m->count; i++) modules[m->modules[i].role]++;
    for (int i = 0; i < net->node_count; i++)
        if (net->nodes[i].layer >= 0 || net->nodes[i].op == MQ_OP_BATCH_NORM)
            nodes[node_role(&net->nodes[i])]++;
    for (int r = 0; r < ROLES; r++)
        if (modules[r] != nodes[r])
            return mq_fail(m->error, MQ_BAD_INPUT, "%s: %zu %s in the file, network %s has %zu", m->where,
                           modules[r], ROLE_TEXT[r], net->name, nodes[r]);
    for (int i = 0; i < net->node_count; i++) {
        const mq_node *node = &net->nodes[i];
        if (node->layer < 0 && node->op != MQ_OP_BATCH_NORM) continue;
        role r = node_role(node);
        while (m->modules[next[r]].role != r) next[r]++;
        module_of[i] = &m->modules[next[r]++];
    }
    return MQ_OK;
}

/* Takes a parameter's tensor out of its module, so that what is left over can be named. */
static const mq_st_entry *take(module *mod, mq_param_kind kind, int branch) {
    const mq_st_entry **slot;
    switch (kind) {
    case MQ_PARAM_WEIGHT:
        slot = branch < 0 ? &mod->weight : &mod->branch[branch];
        break;
    case MQ_PARAM_GAMMA:
        slot = &mod->weight;
        break;
    case MQ_PARAM_BIAS:
    case MQ_PARAM_BETA:
        slot = &mod->bias;
        break;
    case MQ_PARAM_ALPHA_WEIGHT:
        slot = &mod->alpha_weight;
        break;
    case MQ_PARAM_ALPHA_ACTIVATION:
        slot = &mod->alpha_activation;
        break;
    case MQ_PARAM_MEAN:
        slot = &mod->mean;
        break;
    default:
        slot = &mod->var;
        break;
    }
    const mq_st_entry *entry = *slot;
    *slot = NULL;
    return entry;
}

static mq_status check_entry(const mapper *m, const mq_st_entry *entry, const mq_param_spec *spec) {
    char found[MQ_SHAPE_TEXT], expected[MQ_SHAPE_TEXT];
    if (entry->tensor.dtype == MQ_F32 && mq_shape_equal(&entry->tensor.shape, &spec->shape)) return MQ_OK;
    return mq_fail(m->error, MQ_BAD_INPUT, "%s: tensor %s: got %s %s, float32 %s expected (%s)", m->where,
                   entry->name, mq_dtype_name(entry->tensor.dtype),
                   mq_shape_text(&entry->tensor.shape, found), mq_shape_text(&spec->shape, expected),
                   spec->name);
}

static mq_status assign(mapper *m, module **module_of, bool partial, mq_import_map *out) {
    for (int i = 0; i < out->count; i++) {
        const mq_param_spec *spec = &out->specs[i];
        module *mod = module_of[spec->node];
        const mq_st_entry *entry = take(mod, spec->kind, spec->branch);
        if (!entry && partial && !mq_param_trained(spec->kind)) continue;
        if (!entry)
            return mq_fail(m->error, MQ_BAD_INPUT, "%s: module %s%.*s has no tensor for %s", m->where,
                           m->prefix, (int)mod->length, mod->path, spec->name);
        MQ_TRY(check_entry(m, entry, spec));
        out->entries[i] = entry;
    }
    for (size_t i = 0; i < m->count; i++) {
        const module *mod = &m->modules[i];
        const mq_st_entry *left[] = {
            mod->weight,           mod->bias,      mod->mean,      mod->var,       mod->alpha_weight,
            mod->alpha_activation, mod->branch[0], mod->branch[1], mod->branch[2], mod->branch[3],
            mod->branch[4],        mod->branch[5], mod->branch[6]};
        for (size_t k = 0; k < sizeof left / sizeof *left; k++)
            if (left[k])
                return mq_fail(m->error, MQ_BAD_INPUT, "%s: tensor %s has no place in the network", m->where,
                               left[k]->name);
    }
    return MQ_OK;
}

mq_status mq_import_map_tensors(const char *where, const mq_import_tensors *tensors, const char *prefix,
                                const mq_net *net, mq_mode mode, bool share, bool partial, mq_import_map *out,
                                mq_error *error) {
    *out = (mq_import_map){0};
    mapper m = {.where = where, .tensors = tensors, .prefix = prefix, .error = error};
    module **module_of = NULL;
    mq_status status;
    MQ_TRY_GOTO(mq_params_list(net, mode, share, &out->specs, &out->count, error), done);
    MQ_TRY_GOTO(mq_alloc((size_t)out->count, sizeof *out->entries, "a map", &out->entries, error), done);
    MQ_TRY_GOTO(mq_alloc((size_t)net->node_count, sizeof *module_of, "a map", &module_of, error), done);
    MQ_TRY_GOTO(group(&m), done);
    MQ_TRY_GOTO(pair(&m, net, module_of), done);
    MQ_TRY_GOTO(assign(&m, module_of, partial, out), done);
done:
    mq_free(module_of);
    mq_free(m.modules);
    if (status != MQ_OK) mq_import_map_free(out);
    return status;
}

mq_status mq_import_map_file(const mq_st_file *file, const char *prefix, const mq_net *net, mq_mode mode,
                             bool share, bool partial, mq_import_map *out, mq_error *error) {
    *out = (mq_import_map){0};
    mq_import_tensors tensors = {.st = file};
    return mq_import_map_tensors(mq_st_path(file), &tensors, prefix, net, mode, share, partial, out, error);
}

void mq_import_map_free(mq_import_map *map) {
    mq_free(map->specs);
    mq_free(map->entries);
    *map = (mq_import_map){0};
}

const float *mq_import_values(const mq_import_map *map, int node, mq_param_kind kind, int branch) {
    for (int i = 0; i < map->count; i++) {
        const mq_param_spec *spec = &map->specs[i];
        if (spec->node == node && spec->kind == kind && spec->branch == branch)
            return map->entries[i] ? map->entries[i]->tensor.data : NULL;
    }
    return NULL;
}
