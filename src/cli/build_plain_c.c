/* build_plain_c.c - an integer network as C. Written into a hidden folder first; manifest.json is moved last.
 */
#include "cli/build_plain_c.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/staging.h"
#include "base/text.h"
#include "gen/export_copy.h"
#include "gen/plain_c.h"
#include "gen/plain_c_bench.h"
#include "inet/inet_files.h"
#include "inet/manifest.h"
#include "io/npy.h"

#define VECTORS "vectors"
enum { NAME = MQ_INET_MAX_NAME + 32 };

typedef struct plain_job {
    const char *out;
    char source[MQ_PATH]; /* the export folder */
    mq_inet *net;
    size_t vectors;
} plain_job;

/* ---- the export ---- */

static mq_status open_network(const char *path, plain_job *job, mq_error *error) {
    char manifest_path[MQ_PATH];
    json_t *manifest;
    size_t files, wrong;
    snprintf(job->source, sizeof job->source, "%s", path);
    if (!mq_path_is_dir(path)) {
        char *slash = strrchr(job->source, '/');
        snprintf(slash ? slash + 1 : job->source, 2, ".");
    }
    MQ_TRY(mq_path_join(job->source, MQ_MANIFEST_FILE, manifest_path, error));
    if (mq_path_exists(manifest_path)) {
        MQ_TRY(mq_manifest_load(job->source, &manifest, error));
        mq_status status = mq_manifest_check(job->source, manifest, &files, &wrong, error);
        json_decref(manifest);
        if (status != MQ_OK) return mq_fail_context(error, mq_input_status(status), "%s", job->source);
    }
    return mq_inet_load(path, &job->net, error);
}

static mq_status check_tensor(const char *path, const mq_tensor *t, const mq_inet_edge *e, mq_error *error) {
    const int64_t *d = t->shape.dim;
    bool whole = t->dtype <= MQ_I64;
    if (whole && t->shape.rank == 4 && d[0] > 0 && d[1] == e->c && d[2] == e->h && d[3] == e->w) return MQ_OK;
    return mq_fail(error, MQ_BAD_INPUT, "%s: whole numbers [N,%d,%d,%d] expected", path, e->c, e->h, e->w);
}

/* The export's images and the trained network's outputs for them, into the bench. */
static mq_status write_bench(plain_job *job, const char *stage, mq_error *error) {
    const mq_inet *net = job->net;
    const mq_inet_node *head = &net->nodes[mq_inet_last(net)->input[0]];
    char folder[MQ_PATH], images_path[MQ_PATH], outputs_path[MQ_PATH], file[NAME];
    mq_tensor images = {0}, outputs = {0};
    int64_t *values = NULL;
    mq_status status;
    MQ_TRY(mq_path_join(job->source, VECTORS, folder, error));
    if (!mq_path_is_dir(folder) || !head->dump[0]) return MQ_OK;
    snprintf(file, sizeof file, "%s.npy", head->dump);
    MQ_TRY(mq_path_join(folder, "images.npy", images_path, error));
    MQ_TRY(mq_path_join(folder, file, outputs_path, error));
    MQ_TRY_GOTO(mq_npy_load(images_path, &images, error), done);
    MQ_TRY_GOTO(mq_npy_load(outputs_path, &outputs, error), done);
    MQ_TRY_GOTO(check_tensor(images_path, &images, &net->nodes[0].edge, error), done);
    MQ_TRY_GOTO(check_tensor(outputs_path, &outputs, &mq_inet_last(net)->edge, error), done);
    if (images.dtype != MQ_U8 || images.shape.dim[0] != outputs.shape.dim[0]) {
        status = mq_fail(error, MQ_BAD_INPUT, "%s: uint8 images expected, as many as outputs", images_path);
        goto done;
    }
    size_t count = (size_t)outputs.shape.dim[0], all = count;
    for (int i = 1; i < 4; i++) all *= (size_t)outputs.shape.dim[i];
    MQ_TRY_GOTO(mq_alloc(all, sizeof *values, "outputs", &values, error), done);
    for (size_t i = 0; i < all; i++) values[i] = mq_tensor_whole(&outputs, i);
    MQ_TRY_GOTO(mq_plain_c_write_bench(net, images.data, values, count, stage, error), done);
    job->vectors = count;
done:
    mq_free(values);
    mq_tensor_free(&images);
    mq_tensor_free(&outputs);
    return status;
}

/* ---- the folder ---- */

static mq_status check_place(const plain_job *job, bool force, mq_error *error) {
    if (mq_path_exists(job->out) && !mq_path_is_dir(job->out))
        return mq_fail(error, MQ_USAGE, "--out %s: a folder expected", job->out);
    if (!force && mq_dir_has_entries(job->out))
        return mq_fail(error, MQ_USAGE,
                       "--out %s: the folder is not empty; --force replaces the files of a build in it",
                       job->out);
    return MQ_OK;
}

static mq_status write_staged(plain_job *job, const char *stage, mq_error *error) {
    mq_folder_list files;
    MQ_TRY(mq_plain_c_write(job->net, stage, error));
    MQ_TRY(write_bench(job, stage, error));
    MQ_TRY(mq_export_copy(job->source, job->net, stage, error));
    json_t *about = json_pack("{s:s}", "target", "c");
    if (!about) return mq_fail_memory(error, MQ_MANIFEST_FILE, 0);
    mq_status status = mq_folder_files(stage, &files, error);
    if (status == MQ_OK) {
        status = mq_manifest_write_about(stage, (const char *const *)files.name, files.count, about, error);
        mq_folder_list_free(&files);
    }
    json_decref(about);
    return status;
}

/* Over what stands there; other files of the folder stay. */
static mq_status move(const char *stage, const char *name, const char *out, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH];
    MQ_TRY(mq_path_join(stage, name, from, error));
    MQ_TRY(mq_path_join(out, name, to, error));
    char *slash = strrchr(to, '/');
    *slash = 0;
    MQ_TRY(mq_make_dirs(to, error));
    *slash = '/';
    return rename(from, to) == 0 ? MQ_OK : mq_fail_errno(error, "cannot write", to);
}

static mq_status move_all(const char *stage, const char *out, mq_error *error) {
    char old[MQ_PATH];
    mq_folder_list files;
    MQ_TRY(mq_path_join(out, MQ_MANIFEST_FILE, old, error));
    if (unlink(old) != 0 && mq_path_exists(old)) return mq_fail_errno(error, "cannot replace", old);
    MQ_TRY(mq_folder_files(stage, &files, error));
    mq_status status = MQ_OK;
    for (size_t i = 0; i < files.count && status == MQ_OK; i++)
        if (strcmp(files.name[i], MQ_MANIFEST_FILE) != 0) status = move(stage, files.name[i], out, error);
    if (status == MQ_OK) status = move(stage, MQ_MANIFEST_FILE, out, error);
    mq_folder_list_free(&files);
    return status;
}

static mq_status write_folder(plain_job *job, mq_error *error) {
    mq_staging stage;
    bool made = !mq_path_exists(job->out);
    MQ_TRY(mq_staging_inside(job->out, &stage, error));
    mq_status status = write_staged(job, stage.path, error);
    if (status == MQ_OK) status = move_all(stage.path, job->out, error);
    mq_staging_close(&stage);
    if (status != MQ_OK && made) rmdir(job->out);
    return status;
}

static mq_status report(const cli_args *args, const plain_job *job, mq_error *error) {
    char name[NAME];
    mq_plain_c_name(job->net, name);
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "out", job->out, "target", "c",
                                        "model", job->net->model, "function", strcat(name, "_run"),
                                        "net_sha256", job->net->sha256, "vectors", (json_int_t)job->vectors),
                              error);
    printf("%s: %s.c and %s.h, void %s_run(const uint8_t *image, int32_t *output)\n", job->out, name, name,
           name);
    if (job->vectors)
        printf(
            "  %zu image%s with the trained network's outputs: cc -std=c11 -O2 %s.c %s_bench.c -o bench && "
            "./bench\n",
            job->vectors, mq_s((uint64_t)job->vectors), name, name);
    printf("  next: mixq verify %s\n", job->out);
    return MQ_OK;
}

mq_status build_plain_c(const cli_args *args, mq_error *error) {
    plain_job *job;
    mq_status status;
    MQ_TRY(mq_alloc(1, sizeof *job, "a build", &job, error));
    MQ_TRY_GOTO(cli_required(args, "--out", &job->out, error), done);
    MQ_TRY_GOTO(check_place(job, cli_flag(args, "--force"), error), done);
    MQ_TRY_GOTO(open_network(args->word[0], job, error), done);
    MQ_TRY_GOTO(mq_plain_c_check(job->net, error), done);
    MQ_TRY_GOTO(write_folder(job, error), done);
    status = report(args, job, error);
done:
    mq_inet_free(job->net);
    mq_free(job);
    return status;
}
