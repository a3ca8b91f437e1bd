/* manifest.c - writing, reading and checking the list of a folder's files. */
#include "inet/manifest.h"

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "inet/inet_files.h"

#define FORMAT "mixq-manifest"
enum { VERSION = 1 };

mq_status mq_manifest_write(const char *dir, const char *const *names, size_t count, mq_error *error) {
    return mq_manifest_write_about(dir, names, count, NULL, error);
}

mq_status mq_manifest_write_about(const char *dir, const char *const *names, size_t count,
                                  const json_t *about, mq_error *error) {
    char path[MQ_PATH], digest[MQ_DIGEST_TEXT];
    json_t *files = json_array();
    mq_status status = MQ_OK;
    for (size_t i = 0; i < count; i++) {
        MQ_TRY_GOTO(mq_path_join(dir, names[i], path, error), failed);
        MQ_TRY_GOTO(mq_inet_hash_file(path, digest, error), failed);
        json_array_append_new(files, json_pack("{s:s, s:s}", "name", names[i], "sha256", digest));
    }
    MQ_TRY_GOTO(mq_path_join(dir, MQ_MANIFEST_FILE, path, error), failed);
    json_t *root = json_pack("{s:s, s:i, s:s}", "format", FORMAT, "version", VERSION, "mixq", MIXQ_VERSION);
    if (!root || (about && json_object_update(root, (json_t *)(uintptr_t)about) != 0) ||
        json_object_set(root, "files", files) != 0) {
        json_decref(root);
        status = mq_fail_memory(error, MQ_MANIFEST_FILE, 0);
        goto failed;
    }
    json_decref(files);
    status = mq_json_save(path, root, error);
    json_decref(root);
    return status;
failed:
    json_decref(files);
    return status;
}

/* A path below the folder. */
static bool plain(const char *name) {
    return *name && *name != '/' && !strstr(name, "..") && !strstr(name, "//") && strlen(name) < 256 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")] == 0;
}

/* seen: the names so far. */
static mq_status check_entry(const json_t *file, size_t i, json_t *seen, mq_error *error) {
    const char *text, *name;
    if (!json_is_object(file)) return mq_fail(error, MQ_BAD_INPUT, "files[%zu]: expected an object", i);
    MQ_TRY(mq_json_keys(file, "files", (const char *const[]){"name", "sha256", NULL}, error));
    MQ_TRY(mq_json_string(file, "files", "name", &name, error));
    MQ_TRY(mq_json_string(file, "files", "sha256", &text, error));
    if (!plain(name))
        return mq_fail(error, MQ_BAD_INPUT, "files[%zu]: name '%.60s': a path inside the folder expected", i,
                       name);
    if (json_object_get(seen, name))
        return mq_fail(error, MQ_BAD_INPUT, "files[%zu]: name '%.60s' stands there twice", i, name);
    return json_object_set_new(seen, name, json_null()) == 0 ? MQ_OK : mq_fail_memory(error, "manifest", 0);
}

static mq_status check_manifest(const json_t *root, mq_error *error) {
    static const char *const keys[] = {"format",    "version", "mixq",  "target", "device",
                                       "clock_mhz", "tools",   "files", NULL};
    const char *text;
    int64_t version;
    json_t *files, *file;
    size_t i;
    if (!json_is_object(root)) return mq_fail(error, MQ_BAD_INPUT, "expected an object");
    MQ_TRY(mq_json_keys(root, "manifest", keys, error));
    MQ_TRY(mq_json_string(root, "manifest", "format", &text, error));
    if (strcmp(text, FORMAT) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "format: got '%.40s', expected '%s'", text, FORMAT);
    MQ_TRY(mq_json_int(root, "manifest", "version", VERSION, VERSION, &version, error));
    MQ_TRY(mq_json_string(root, "manifest", "mixq", &text, error));
    MQ_TRY(mq_json_array(root, "manifest", "files", &files, error));
    json_t *seen = json_object();
    mq_status status = seen ? MQ_OK : mq_fail_memory(error, "manifest", 0);
    json_array_foreach(files, i, file) {
        if (status == MQ_OK) status = check_entry(file, i, seen, error);
    }
    json_decref(seen);
    return status;
}

mq_status mq_manifest_load(const char *dir, json_t **out, mq_error *error) {
    char path[MQ_PATH];
    *out = NULL;
    MQ_TRY(mq_path_join(dir, MQ_MANIFEST_FILE, path, error));
    MQ_TRY(mq_json_load(path, out, error));
    mq_status status = check_manifest(*out, error);
    if (status == MQ_OK) return MQ_OK;
    json_decref(*out);
    *out = NULL;
    return mq_fail_context(error, status, "%s", path);
}

bool mq_manifest_has(const json_t *manifest, const char *name) {
    const json_t *files = json_object_get(manifest, "files"), *file;
    size_t i;
    json_array_foreach(files, i, file) {
        const char *own = json_string_value(json_object_get(file, "name"));
        if (own && strcmp(own, name) == 0) return true;
    }
    return false;
}

mq_status mq_manifest_check(const char *dir, const json_t *manifest, size_t *count, size_t *wrong,
                            mq_error *error) {
    const json_t *files = json_object_get(manifest, "files"), *file;
    mq_status status = MQ_OK;
    *count = json_array_size(files);
    *wrong = 0;
    size_t i;
    json_array_foreach(files, i, file) {
        char path[MQ_PATH], digest[MQ_DIGEST_TEXT];
        const char *name = json_string_value(json_object_get(file, "name"));
        const char *expected = json_string_value(json_object_get(file, "sha256"));
        mq_error local = {0};
        mq_status read = mq_path_join(dir, name, path, &local);
        if (read == MQ_OK) read = mq_inet_hash_file(path, digest, &local);
        if (read == MQ_OK && strcmp(digest, expected) == 0) continue;
        /* a file that is not there was taken away; one that cannot be read says nothing */
        if (read == MQ_INTERNAL || (read != MQ_OK && mq_path_exists(path)))
            return mq_fail(error, read, "%s: %.800s", name, local.text);
        if (*wrong == 0)
            status = read != MQ_OK ? mq_fail(error, MQ_CHECK_FAILED, "%s: %.800s", name, local.text)
                                   : mq_fail(error, MQ_CHECK_FAILED,
                                             "%s: sha256: got %s, expected %.64s: the file was changed", name,
                                             digest, expected);
        ++*wrong;
    }
    return status;
}
