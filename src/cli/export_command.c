/* export_command.c - `mixq export`: from a checkpoint to the integer network's folder.
 *
 * Everything is written into a hidden folder first and then moved into place, net.json last: without it
 * nothing is taken for a network, and after a failure what was there before is still there. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"
#include "gen/hls_headers.h"
#include "lower/lower.h"

#define STAGE ".partial"

/* What an export may hold, in the order of moving. */
static const char *const FILES[] = {"config.h", "weights.hpp", "weights.safetensors", "net.json"};
enum { FILE_COUNT = sizeof FILES / sizeof *FILES };

typedef struct export_job {
    const char *out;
    mq_inet *net;
    mq_parallelism parallelism;
    bool force, headers;
    mq_error reason; /* why there are no headers */
} export_job;

static mq_status lower(const cli_args *args, mq_inet **out, mq_error *error) {
    static const char *const rules[] = {"anypacking", NULL};
    int which = -1;
    int64_t lshift = MQ_LSHIFT_BY_NAME;
    MQ_TRY(cli_choice(args, "--compat", rules, &which, error));
    MQ_TRY(cli_int(args, "--lshift", 0, MQ_LSHIFT_MAX, &lshift, error));
    if (which < 0 && cli_flag(args, "--lshift"))
        return mq_fail(error, MQ_USAGE, "--lshift belongs to --compat anypacking");
    mq_lower_options options = {.compat = which >= 0, .lshift = (int)lshift};
    mq_checkpoint checkpoint;
    MQ_TRY(mq_checkpoint_load(args->word[0], &checkpoint, error));
    mq_status status = mq_lower(&checkpoint, &options, out, error);
    if (status != MQ_OK) status = mq_fail_context(error, status, "%s", args->word[0]);
    mq_checkpoint_free(&checkpoint);
    return status;
}

/* Whether the headers can and must be written. */
static mq_status choose_formats(const cli_args *args, export_job *job, mq_error *error) {
    static const char *const formats[] = {"hls", NULL};
    const char *file = cli_value(args, "--parallelism");
    int asked = -1;
    MQ_TRY(cli_choice(args, "--format", formats, &asked, error));
    if (file)
        MQ_TRY(mq_parallelism_load(file, job->net, &job->parallelism, error));
    else
        mq_parallelism_default(job->net, &job->parallelism);
    mq_status status = mq_hls_headers_check(job->net, asked >= 0 ? error : &job->reason);
    job->headers = status == MQ_OK;
    if (job->headers) return MQ_OK;
    if (asked >= 0) return mq_fail_context(error, status, "--format hls");
    mq_log(MQ_LOG_WARN, "only the integer network is written: %s", job->reason.text);
    return MQ_OK;
}

static void remove_staged(const char *stage) {
    char path[MQ_PATH];
    for (int i = 0; i < FILE_COUNT; i++)
        if (mq_path_join(stage, FILES[i], path, NULL) == MQ_OK) unlink(path);
}

/* Removes what is staged; the folders only when they are empty. */
static void clean(const export_job *job, const char *stage, bool made) {
    remove_staged(stage);
    rmdir(stage);
    if (made) rmdir(job->out);
}

static mq_status move_into_place(const export_job *job, const char *stage, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH];
    MQ_TRY(mq_path_join(job->out, "net.json", to, error));
    if (unlink(to) != 0 && mq_path_exists(to)) return mq_fail_errno(error, "cannot replace", to);
    for (int i = 0; i < FILE_COUNT; i++) {
        MQ_TRY(mq_path_join(stage, FILES[i], from, error));
        MQ_TRY(mq_path_join(job->out, FILES[i], to, error));
        if (!mq_path_exists(from)) {
            if (unlink(to) != 0 && mq_path_exists(to)) return mq_fail_errno(error, "cannot replace", to);
        } else if (rename(from, to) != 0) {
            return mq_fail_errno(error, "cannot write", to);
        }
    }
    return MQ_OK;
}

static mq_status write_folder(export_job *job, mq_error *error) {
    char stage[MQ_PATH];
    bool made = !mq_path_exists(job->out);
    if (!made && !mq_path_is_dir(job->out))
        return mq_fail(error, MQ_USAGE, "--out %s: a folder expected, a file is there", job->out);
    if (mq_dir_has_entries(job->out) && !job->force)
        return mq_fail(
            error, MQ_USAGE,
            "--out %s: the folder exists and is not empty: give --force to replace the export in it",
            job->out);
    MQ_TRY(mq_path_join(job->out, STAGE, stage, error));
    MQ_TRY(mq_make_dirs(stage, error));
    remove_staged(stage); /* of an export that was killed */
    mq_status status = MQ_OK;
    if (job->headers) status = mq_hls_headers_write(job->net, &job->parallelism, stage, error);
    if (status == MQ_OK) status = mq_inet_save(job->net, stage, error);
    if (status == MQ_OK) status = move_into_place(job, stage, error);
    clean(job, stage, made && status != MQ_OK);
    return status;
}

static mq_status report(const cli_args *args, const export_job *job, mq_error *error) {
    const mq_inet *net = job->net;
    if (args->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:s, s:s, s:[]}", "out", job->out, "model",
                                 net->model, "bitw", net->bitw, "bita", net->bita, "compat", (int)net->compat,
                                 "nodes", net->node_count, "net_sha256", net->sha256, "weights_sha256",
                                 net->weights_sha256, "formats");
        if (root && job->headers) json_array_append_new(json_object_get(root, "formats"), json_string("hls"));
        if (root && !job->headers) json_object_set_new(root, "without_hls", json_string(job->reason.text));
        return cli_print_json(root, error);
    }
    printf("%s: %s%s, weights %s activations %s, net.json%s, sha256 %s\n", job->out, net->model,
           net->compat ? " by the published rules" : "", net->bitw, net->bita,
           job->headers ? ", config.h and weights.hpp" : "", net->sha256);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    export_job job = {.force = cli_flag(args, "--force")};
    mq_status status;
    MQ_TRY(cli_required(args, "--out", &job.out, error));
    MQ_TRY(lower(args, &job.net, error));
    MQ_TRY_GOTO(choose_formats(args, &job, error), done);
    MQ_TRY_GOTO(write_folder(&job, error), done);
    status = report(args, &job, error);
done:
    mq_inet_free(job.net);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--out", "DIR", "the folder to write"},
    {"--parallelism", "FILE", "SIMD and PE of every convolution, as the published config_simd_pe.txt"},
    {"--compat", "RULES", "anypacking: the published rules to the last bit"},
    {"--lshift", "N", "with --compat: the shift of networks that the published framework does not have"},
    {"--format", "F", "hls: config.h and weights.hpp of the published templates (hls where possible)"},
    {"--force", NULL, "replace the export in --out"},
    {NULL, NULL, NULL},
};

const cli_command cli_export = {
    .name = "export",
    .usage = "CKPT --out DIR [--parallelism FILE] [--compat anypacking [--lshift N]] [--force]",
    .summary = "Write the integer network of a trained checkpoint, and its HLS headers",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "The folder gets net.json and weights.safetensors, and config.h and weights.hpp where these can "
        "express the\n"
        "network; without --format hls a network they cannot express is written with a warning.\n\n"
        "Examples:\n"
        "  mixq export main --out export\n"
        "  mixq export vgg.safetensors --compat anypacking --parallelism config_simd_pe.txt --out hls\n",
    .run = run,
};
