/* pt.c - from an archive's pickle and data members to named tensors. */
#include "io/pt.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/pickle.h"
#include "io/zip_store.h"

enum {
    MAX_NAME = 512,  /* characters of a tensor's name */
    MAX_BITS = 1024, /* layers in bitw, bita */
    MAX_SHARING = 4  /* bytes of all tensors over bytes of the file: names may share a storage */
};
static const size_t MAX_FILE = (size_t)4 << 30;

struct mq_pt_file {
    mq_arena *arena;
    mq_st_entry *entries;
    size_t count;
    int64_t epoch;
    char *bitw, *bita;
};

typedef struct loader {
    const char *name;
    mq_zip *zip;
    char root[MAX_NAME];
    size_t budget; /* bytes that tensors may still take */
    mq_pt_file *file;
    mq_error *error;
} loader;

static const mq_zip_member *find_member(const loader *l, const char *name) {
    char path[2 * MAX_NAME];
    snprintf(path, sizeof path, "%s/%s", l->root, name);
    return mq_zip_find(l->zip, path);
}

/* Copies dimension by dimension; dims below `rank` are walked innermost last. At most MQ_DIMS deep. */
static void copy_strided(const mq_pickle_tensor *t, int dim, const uint8_t *from, size_t size, uint8_t **to) {
    if (dim == t->shape.rank) {
        memcpy(*to, from, size);
        *to += size;
        return;
    }
    for (int64_t i = 0; i < t->shape.dim[dim]; i++)
        copy_strided(t, dim + 1, from + (size_t)i * t->stride[dim] * size, size, to);
}

static bool contiguous(const mq_pickle_tensor *t) {
    size_t expected = 1;
    for (int i = t->shape.rank - 1; i >= 0; i--) {
        if (t->shape.dim[i] != 1 && t->stride[i] != expected) return false;
        expected *= (size_t)t->shape.dim[i];
    }
    return true;
}

static mq_status load_tensor(loader *l, const char *name, const mq_pickle_tensor *t, mq_tensor *out) {
    const mq_pickle_storage *s = t->storage;
    char key[32];
    snprintf(key, sizeof key, "data/%s", s->key);
    const mq_zip_member *member = find_member(l, key);
    if (!member)
        return mq_fail(l->error, MQ_BAD_INPUT, "%s: tensor %s: no member %s/%s", l->name, name, l->root, key);
    size_t size = mq_dtype_size(s->dtype), bytes, count = 0;
    if (mq_mul_overflow(s->count, size, &bytes) || bytes != member->size)
        return mq_fail(l->error, MQ_BAD_INPUT,
                       "%s: tensor %s: member %s has %zu bytes, %zu elements of %zu expected", l->name, name,
                       member->name, member->size, s->count, size);
    (void)mq_shape_count(&t->shape, &count); /* at most s->count: checked by the pickle reader */
    if (count * size > l->budget)
        return mq_fail(
            l->error, MQ_BAD_INPUT,
            "%s: tensor %s: the tensors need more than %d times the file's size: too many share a storage",
            l->name, name, MAX_SHARING);
    l->budget -= count * size;
    uint8_t *data;
    MQ_TRY(mq_arena_alloc(l->file->arena, count, size, name, &data, l->error));
    *out = (mq_tensor){.dtype = s->dtype, .shape = t->shape, .data = data};
    if (count == 0) return MQ_OK;
    const uint8_t *from = member->data + t->offset * size;
    if (contiguous(t))
        memcpy(data, from, count * size);
    else
        copy_strided(t, 0, from, size, &data);
    return MQ_OK;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp((*(const mq_st_entry *const *)a)->name, (*(const mq_st_entry *const *)b)->name);
}

static mq_status check_unique(const loader *l) {
    const mq_pt_file *file = l->file;
    const mq_st_entry **sorted;
    MQ_TRY(mq_alloc(file->count, sizeof *sorted, "tensor names", &sorted, l->error));
    for (size_t i = 0; i < file->count; i++) sorted[i] = &file->entries[i];
    qsort(sorted, file->count, sizeof *sorted, compare_entries);
    mq_status status = MQ_OK;
    for (size_t i = 1; i < file->count && status == MQ_OK; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status =
                mq_fail(l->error, MQ_BAD_INPUT, "%s: two tensors are named %s", l->name, sorted[i]->name);
    mq_free(sorted);
    return status;
}

static mq_status check_name(const loader *l, const mq_pickle_value *key) {
    if (key->kind != MQ_PICKLE_TEXT)
        return mq_fail(l->error, MQ_BAD_INPUT, "%s: %s as a tensor's name, a string expected", l->name,
                       mq_pickle_kind_name(key->kind));
    size_t n = strlen(key->text);
    bool fine = n > 0 && n < MAX_NAME;
    for (size_t i = 0; i < n && fine; i++) fine = key->text[i] > 0x20 && key->text[i] < 0x7f;
    if (!fine)
        return mq_fail(l->error, MQ_BAD_INPUT,
                       "%s: a tensor's name of %zu characters: 1 to %d printable ones expected", l->name, n,
                       MAX_NAME - 1);
    return MQ_OK;
}

static mq_status load_tensors(loader *l, const mq_pickle_value *model) {
    mq_pt_file *file = l->file;
    if (model->kind != MQ_PICKLE_DICT || model->count == 0)
        return mq_fail(l->error, MQ_BAD_INPUT, "%s: 'model' is %s of %zu items: a dict of tensors expected",
                       l->name, mq_pickle_kind_name(model->kind), model->count);
    MQ_TRY(mq_arena_alloc(file->arena, model->count, sizeof *file->entries, "tensors", &file->entries,
                          l->error));
    for (const mq_pickle_cell *c = model->first; c; c = c->next) {
        MQ_TRY(check_name(l, c->key));
        if (c->value->kind != MQ_PICKLE_TENSOR)
            return mq_fail(l->error, MQ_BAD_INPUT, "%s: %s is %s: a tensor expected", l->name, c->key->text,
                           mq_pickle_kind_name(c->value->kind));
        mq_st_entry *entry = &file->entries[file->count];
        MQ_TRY(load_tensor(l, c->key->text, c->value->tensor, &entry->tensor));
        entry->name = c->key->text;
        file->count++;
    }
    return check_unique(l);
}

/* A list of small integers as "8,2,2", or a string as it is. */
static mq_status read_bits(const loader *l, const mq_pickle_value *params, const char *key, char **out) {
    const mq_pickle_value *value = mq_pickle_get(params, key);
    if (!value || value->kind == MQ_PICKLE_NONE) return MQ_OK;
    if (value->kind == MQ_PICKLE_TEXT && strlen(value->text) < 2 * MAX_BITS)
        return mq_arena_strdup(l->file->arena, value->text, out, l->error);
    if ((value->kind != MQ_PICKLE_LIST && value->kind != MQ_PICKLE_TEXT) || value->count > MAX_BITS)
        return mq_fail(l->error, MQ_BAD_INPUT, "%s: model_params: %s is %s: a list of bit widths expected",
                       l->name, key, mq_pickle_kind_name(value->kind));
    char *text;
    MQ_TRY(mq_arena_alloc(l->file->arena, 2 * value->count + 1, 1, key, &text, l->error));
    *out = text;
    for (const mq_pickle_cell *c = value->first; c; c = c->next) {
        if (c->value->kind != MQ_PICKLE_INT || c->value->integer < 1 || c->value->integer > 9)
            return mq_fail(l->error, MQ_BAD_INPUT, "%s: model_params: %s has an item that is no bit width",
                           l->name, key);
        if (text != *out) *text++ = ',';
        *text++ = (char)('0' + c->value->integer);
    }
    return MQ_OK;
}

static mq_status read_top(loader *l, const mq_pickle_value *top) {
    if (top->kind != MQ_PICKLE_DICT)
        return mq_fail(l->error, MQ_BAD_INPUT, "%s: the pickle holds %s: a dict expected", l->name,
                       mq_pickle_kind_name(top->kind));
    const mq_pickle_value *model = mq_pickle_get(top, "model");
    const mq_pickle_value *epoch = mq_pickle_get(top, "epoch"), *params = mq_pickle_get(top, "model_params");
    if (!model) return load_tensors(l, top);
    if (epoch && epoch->kind == MQ_PICKLE_INT && epoch->integer > 0) l->file->epoch = epoch->integer;
    if (params && params->kind == MQ_PICKLE_DICT) {
        MQ_TRY(read_bits(l, params, "bitw", &l->file->bitw));
        MQ_TRY(read_bits(l, params, "bita", &l->file->bita));
    }
    return load_tensors(l, model);
}

static mq_status read_archive(loader *l) {
    const char *first = mq_zip_at(l->zip, 0)->name, *slash = strchr(first, '/');
    if (!slash || slash == first || (size_t)(slash - first) >= sizeof l->root / 2)
        return mq_fail(l->error, MQ_BAD_INPUT, "not a PyTorch checkpoint: %s: its first member is %.80s",
                       l->name, first);
    snprintf(l->root, sizeof l->root, "%.*s", (int)(slash - first), first);
    const mq_zip_member *pickle = find_member(l, "data.pkl"), *order = find_member(l, "byteorder");
    if (!pickle)
        return mq_fail(l->error, MQ_BAD_INPUT, "not a PyTorch checkpoint: %s: no member %s/data.pkl", l->name,
                       l->root);
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return mq_fail(l->error, MQ_BAD_INPUT, "%s: its numbers are not little endian", l->name);
    char name[MQ_ERROR_TEXT / 2];
    snprintf(name, sizeof name, "%.400s: data.pkl", l->name);
    const mq_pickle_value *top;
    MQ_TRY(mq_pickle_read(name, pickle->data, pickle->size, l->file->arena, &top, l->error));
    return read_top(l, top);
}

mq_status mq_pt_parse(const char *name, const void *bytes, size_t size, mq_pt_file **out, mq_error *error) {
    *out = NULL;
    loader l = {
        .name = name, .error = error, .budget = size < SIZE_MAX / MAX_SHARING ? size * MAX_SHARING : size};
    mq_status status;
    MQ_TRY_GOTO(mq_zip_parse(name, bytes, size, MQ_ZIP_STORED, &l.zip, error), done);
    MQ_TRY_GOTO(mq_alloc(1, sizeof *l.file, "a checkpoint", &l.file, error), done);
    MQ_TRY_GOTO(mq_arena_create(&l.file->arena, error), done);
    MQ_TRY_GOTO(read_archive(&l), done);
    *out = l.file;
    l.file = NULL;
done:
    mq_pt_free(l.file);
    mq_zip_free(l.zip);
    return status;
}

mq_status mq_pt_load(const char *path, mq_pt_file **out, mq_error *error) {
    *out = NULL;
    uint8_t *bytes;
    size_t size;
    MQ_TRY(mq_file_read(path, MAX_FILE, &bytes, &size, error));
    mq_status status = mq_pt_parse(path, bytes, size, out, error);
    mq_free(bytes);
    return status;
}

void mq_pt_free(mq_pt_file *file) {
    if (!file) return;
    mq_arena_destroy(file->arena);
    mq_free(file);
}

size_t mq_pt_count(const mq_pt_file *file) {
    return file->count;
}

const mq_st_entry *mq_pt_at(const mq_pt_file *file, size_t index) {
    return &file->entries[index];
}

int64_t mq_pt_epoch(const mq_pt_file *file) {
    return file->epoch;
}

const char *mq_pt_bits(const mq_pt_file *file, const char *key) {
    return strcmp(key, "bitw") == 0 ? file->bitw : strcmp(key, "bita") == 0 ? file->bita : NULL;
}
