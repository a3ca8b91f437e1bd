/* npz.c - arrays out of a .npz archive. */
#include "io/npz.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/npy.h"
#include "io/one_line.h"
#include "io/zip_store.h"

enum { MOST_ARRAYS = 4096, LISTED = 10, MEMBER = 512 + 8 };
static const size_t MAX_FILE = (size_t)4 << 30;
static const char ENDING[] = ".npy";

struct mq_npz {
    char path[MQ_PATH];
    uint8_t *bytes;
    mq_zip *zip;
};

mq_status mq_npz_open(const char *path, mq_npz **out, mq_error *error) {
    mq_npz *npz;
    size_t size;
    mq_status status;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *npz, "a .npz archive", &npz, error));
    snprintf(npz->path, sizeof npz->path, "%s", path);
    MQ_TRY_GOTO(mq_file_read(path, MAX_FILE, &npz->bytes, &size, error), done);
    MQ_TRY_GOTO(mq_zip_parse(path, npz->bytes, size, MQ_ZIP_DEFLATED, &npz->zip, error), done);
    if (mq_zip_count(npz->zip) > MOST_ARRAYS) {
        status = mq_fail(error, MQ_BAD_INPUT, "%s: %zu arrays, at most %d expected", path,
                         mq_zip_count(npz->zip), MOST_ARRAYS);
        goto done;
    }
    *out = npz;
    return MQ_OK;
done:
    mq_npz_close(npz);
    return mq_one_line(error, status);
}

void mq_npz_close(mq_npz *npz) {
    if (!npz) return;
    mq_zip_free(npz->zip);
    mq_free(npz->bytes);
    mq_free(npz);
}

static const mq_zip_member *find(const mq_npz *npz, const char *name) {
    char member[MEMBER];
    int n = snprintf(member, sizeof member, "%s%s", name, ENDING);
    return n > 0 && n < MEMBER ? mq_zip_find(npz->zip, member) : NULL;
}

bool mq_npz_has(const mq_npz *npz, const char *name) {
    return find(npz, name) != NULL;
}

/* A member's name without its ending. */
static int bare(const char *name) {
    return (int)(strlen(name) - (mq_ends_with(name, ENDING) ? strlen(ENDING) : 0));
}

void mq_npz_names(const mq_npz *npz, char *out, size_t size) {
    size_t used = 0, count = mq_zip_count(npz->zip);
    out[0] = 0;
    for (size_t i = 0; i < count && used < size; i++) {
        const char *name = mq_zip_at(npz->zip, i)->name;
        int n = i == LISTED ? snprintf(out + used, size - used, ", ...")
                            : snprintf(out + used, size - used, "%s%.*s", i ? ", " : "", bare(name), name);
        if (n < 0 || i == LISTED) return;
        used += (size_t)n;
    }
}

static mq_status read_member(const mq_npz *npz, const mq_zip_member *m, mq_tensor *out, mq_error *error) {
    char name[MQ_ERROR_TEXT];
    uint8_t *plain = NULL;
    snprintf(name, sizeof name, "%.200s: array %.*s", npz->path, bare(m->name), m->name);
    *out = (mq_tensor){0};
    if (m->plain_size > MAX_FILE)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %zu bytes, at most %zu expected", name, m->plain_size,
                       MAX_FILE);
    if (m->deflated) MQ_TRY(mq_zip_inflate(npz->path, m, &plain, error));
    mq_status status = mq_npy_parse(name, plain ? plain : m->data, m->plain_size, out, error);
    mq_free(plain);
    return status;
}

mq_status mq_npz_read(const mq_npz *npz, const char *name, mq_tensor *out, mq_error *error) {
    char names[256];
    const mq_zip_member *m = find(npz, name);
    if (m) return mq_one_line(error, read_member(npz, m, out, error));
    mq_npz_names(npz, names, sizeof names);
    return mq_one_line(error,
                       mq_fail(error, MQ_BAD_INPUT, "%s: no array %s: it has %s", npz->path, name, names));
}

static mq_status choose(const mq_npz *npz, const char *const *names, mq_tensor *out, mq_error *error) {
    char there[256], wanted[128] = "";
    for (size_t i = 0; names[i]; i++)
        if (mq_npz_has(npz, names[i])) return mq_npz_read(npz, names[i], out, error);
    if (mq_zip_count(npz->zip) == 1)
        return mq_one_line(error, read_member(npz, mq_zip_at(npz->zip, 0), out, error));
    for (size_t i = 0, used = 0; names[i] && used < sizeof wanted; i++)
        used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%s", i ? ", " : "", names[i]);
    mq_npz_names(npz, there, sizeof there);
    return mq_one_line(error, mq_fail(error, MQ_BAD_INPUT, "%s: arrays %s: one alone, or one of %s expected",
                                      npz->path, there, wanted));
}

mq_status mq_array_load(const char *path, const char *const *names, mq_tensor *out, mq_error *error) {
    mq_npz *npz;
    *out = (mq_tensor){0};
    if (!mq_ends_with(path, ".npz")) return mq_npy_load(path, out, error);
    MQ_TRY(mq_npz_open(path, &npz, error));
    mq_status status = choose(npz, names, out, error);
    mq_npz_close(npz);
    return status;
}

bool mq_array_file(const char *path) {
    return mq_ends_with(path, ".npy") || mq_ends_with(path, ".npz");
}
