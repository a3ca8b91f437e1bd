/* export_command.c - `mixq export`: from a checkpoint to the integer network's folder, with its certificate.
 *
 * Everything is written into a hidden folder first and then moved into place, net.json last: without it
 * nothing is taken for a network. Until the moving starts, what was there before is untouched. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/staging.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/export_vectors.h"
#include "gen/folding.h"
#include "gen/hls_headers.h"
#include "inet/inet_files.h"
#include "inet/inet_plan.h"
#include "inet/manifest.h"
#include "lower/certify.h"
#include "lower/lower.h"
#include "qonnx/qonnx_export.h"

#define OLD_VECTORS "old-vectors"
#define QONNX_FILE  "qonnx.onnx"
#define PLAIN_FILE  "plain.onnx"
#define FLOAT_FILE  "float.onnx"
#define FOLD_FILE   "folding_config.json"
#define SIMD_FILE   "config_simd_pe.txt"

/* What an export may hold, in the order of moving. */
static const char *const FILES[] = {
    "config.h", "weights.hpp",       "weights.safetensors", QONNX_FILE,       PLAIN_FILE,      FOLD_FILE,
    SIMD_FILE,  MQ_CERTIFICATE_FILE, MQ_PLAN_FILE,          MQ_MANIFEST_FILE, MQ_INET_NET_FILE};
enum { FILE_COUNT = sizeof FILES / sizeof *FILES, MOST_FILES = FILE_COUNT + MQ_INET_MAX_NODES };

typedef struct export_job {
    const char *out;
    mq_checkpoint checkpoint;
    mq_inet *net;
    mq_parallelism parallelism;
    mq_dsp dsp;
    export_vectors vectors;
    json_t *certificate; /* NULL with --compat */
    bool force, headers, qonnx, plain, folding;
    bool headers_asked;
    mq_error reason; /* why there are no headers */
} export_job;

static mq_status lower(const cli_args *args, export_job *job, mq_error *error) {
    static const char *const rules[] = {"anypacking", NULL};
    int which = -1;
    int64_t lshift = MQ_LSHIFT_BY_NAME;
    MQ_TRY(cli_choice(args, "--compat", rules, &which, error));
    MQ_TRY(cli_int(args, "--lshift", 0, MQ_LSHIFT_MAX, &lshift, error));
    if (which < 0 && cli_flag(args, "--lshift"))
        return mq_fail(error, MQ_USAGE, "--lshift belongs to --compat anypacking");
    mq_lower_options options = {.compat = which >= 0, .lshift = (int)lshift};
    mq_status status = mq_lower(&job->checkpoint, &options, &job->net, error);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, status, "%s", args->word[0]);
}

/* --format: words joined by commas. Without it the headers, where they can be written. */
static mq_status read_formats(const cli_args *args, export_job *job, mq_error *error) {
    const char *text = cli_value(args, "--format");
    const struct {
        const char *word;
        bool *asked;
    } formats[] = {{"hls", &job->headers_asked},
                   {"qonnx", &job->qonnx},
                   {"onnx", &job->plain},
                   {"folding", &job->folding}};
    while (text && *text) {
        size_t n = strcspn(text, ","), i = 0;
        while (i < 4 && !(strlen(formats[i].word) == n && strncmp(formats[i].word, text, n) == 0)) i++;
        if (i == 4 || text[n + (text[n] == ',')] == (text[n] ? 0 : 1))
            return mq_fail(
                error, MQ_USAGE,
                "--format: got '%.40s', expected hls, qonnx, onnx or folding, or several with commas",
                cli_value(args, "--format"));
        *formats[i].asked = true;
        text += n + (text[n] == ',');
    }
    return MQ_OK;
}

/* Whether the headers can and must be written. */
static mq_status choose_formats(const cli_args *args, export_job *job, mq_error *error) {
    const char *file = cli_value(args, "--parallelism");
    if (file)
        MQ_TRY(mq_parallelism_load(file, job->net, &job->parallelism, error));
    else
        mq_parallelism_default(job->net, &job->parallelism);
    if (!job->headers_asked && (job->qonnx || job->plain || job->folding)) {
        snprintf(job->reason.text, sizeof job->reason.text, "not asked for");
        return MQ_OK;
    }
    mq_status status = mq_hls_headers_check(job->net, job->headers_asked ? error : &job->reason);
    job->headers = status == MQ_OK;
    if (job->headers) return MQ_OK;
    if (job->headers_asked) return mq_fail_context(error, status, "--format hls");
    mq_log(MQ_LOG_WARN, "only the integer network is written: %s", job->reason.text);
    return MQ_OK;
}

/* ---- the folder ---- */

static mq_status move_vectors(const export_job *job, const char *stage, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH], old[MQ_PATH];
    MQ_TRY(mq_path_join(stage, VECTORS_FOLDER, from, error));
    MQ_TRY(mq_path_join(stage, OLD_VECTORS, old, error));
    MQ_TRY(mq_path_join(job->out, VECTORS_FOLDER, to, error));
    if (mq_path_exists(to) && rename(to, old) != 0) return mq_fail_errno(error, "cannot replace", to);
    if (mq_path_exists(from) && rename(from, to) != 0) return mq_fail_errno(error, "cannot write", to);
    return MQ_OK;
}

static mq_status move_into_place(const export_job *job, const char *stage, mq_error *error) {
    char from[MQ_PATH], to[MQ_PATH];
    MQ_TRY(mq_path_join(job->out, MQ_INET_NET_FILE, to, error));
    if (unlink(to) != 0 && mq_path_exists(to)) return mq_fail_errno(error, "cannot replace", to);
    MQ_TRY(move_vectors(job, stage, error));
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

/* The proof that this network, as saved, is the trained one. A failure would be a fault of the program. */
static mq_status write_certificate(export_job *job, const char *stage, mq_error *error) {
    char path[MQ_PATH], digest[MQ_DIGEST_TEXT];
    if (job->net->compat) return MQ_OK;
    MQ_TRY(mq_inet_hash_file(mq_st_path(job->checkpoint.file), digest, error));
    mq_status status = mq_certify(&job->checkpoint, digest, job->net, &job->certificate, error);
    if (status == MQ_CHECK_FAILED) status = MQ_INTERNAL;
    if (status != MQ_OK) return mq_fail_context(error, status, "certificate");
    MQ_TRY(mq_path_join(stage, MQ_CERTIFICATE_FILE, path, error));
    return mq_json_save(path, job->certificate, error);
}

/* How the layers are multiplied: the best packings for their bits, and the parallelism of the headers. */
static mq_status write_plan(const export_job *job, const char *stage, mq_error *error) {
    char path[MQ_PATH];
    mq_inet_plan *plan;
    MQ_TRY(mq_path_join(stage, MQ_PLAN_FILE, path, error));
    MQ_TRY(mq_inet_plan_choose(job->net, &job->dsp, MQ_CLASS_II, &plan, error));
    for (int i = 0, conv = 0; i < plan->count; i++) {
        if (job->net->nodes[plan->layer[i].node].kind != MQ_INET_CONV) continue;
        plan->layer[i].simd = job->parallelism.rows[conv].simd;
        plan->layer[i].pe = job->parallelism.rows[conv++].pe;
    }
    mq_status status = mq_inet_plan_save(plan, job->net, path, error);
    mq_inet_plan_free(plan);
    return status;
}

static mq_status write_manifest(const export_job *job, const char *stage, mq_error *error) {
    static char text[MOST_FILES][MQ_INET_MAX_NAME + 16];
    const char *names[MOST_FILES];
    size_t count = 0;
    char path[MQ_PATH];
    for (int i = 0; i < FILE_COUNT; i++) {
        MQ_TRY(mq_path_join(stage, FILES[i], path, error));
        if (strcmp(FILES[i], MQ_MANIFEST_FILE) != 0 && mq_path_exists(path)) names[count++] = FILES[i];
    }
    if (job->vectors.count) {
        snprintf(text[count], sizeof *text, VECTORS_FOLDER "/" VECTORS_IMAGES ".npy");
        names[count] = text[count];
        count++;
        for (int i = 0; i < job->net->node_count; i++) {
            const char *dump = job->net->nodes[i].dump;
            if (!dump[0]) continue;
            snprintf(text[count], sizeof *text, VECTORS_FOLDER "/%s.npy", dump);
            names[count] = text[count];
            count++;
        }
    }
    return mq_manifest_write(stage, names, count, error);
}

static mq_status write_onnx(const export_job *job, const char *stage, mq_onnx_flavour flavour,
                            mq_error *error) {
    const bool quant = flavour == MQ_ONNX_QUANT;
    char path[MQ_PATH];
    int inexact = 0;
    MQ_TRY(mq_path_join(stage, quant ? QONNX_FILE : PLAIN_FILE, path, error));
    mq_status status = mq_qonnx_export(job->net, &job->checkpoint, flavour, path, &inexact, error);
    if (status != MQ_OK) return mq_fail_context(error, status, "--format %s", quant ? "qonnx" : "onnx");
    if (inexact)
        mq_log(MQ_LOG_WARN, "%s: sums of %d layer%s may leave 2^24: float32 runtimes may round them",
               quant ? QONNX_FILE : PLAIN_FILE, inexact, mq_s((uint64_t)inexact));
    return MQ_OK;
}

static mq_status write_files(export_job *job, const char *stage, mq_error *error) {
    char path[MQ_PATH];
    if (job->qonnx) MQ_TRY(write_onnx(job, stage, MQ_ONNX_QUANT, error));
    if (job->folding) {
        MQ_TRY(mq_path_join(stage, FOLD_FILE, path, error));
        MQ_TRY(mq_folding_write(job->net, &job->parallelism, path, error));
        MQ_TRY(mq_path_join(stage, SIMD_FILE, path, error));
        MQ_TRY(mq_parallelism_write(&job->parallelism, path, error));
    }
    if (job->plain) MQ_TRY(write_onnx(job, stage, MQ_ONNX_PLAIN, error));
    if (job->headers) MQ_TRY(mq_hls_headers_write(job->net, &job->parallelism, stage, error));
    MQ_TRY(mq_inet_save(job->net, stage, error));
    MQ_TRY(write_certificate(job, stage, error));
    MQ_TRY(write_plan(job, stage, error));
    if (job->vectors.count) {
        MQ_TRY(mq_path_join(stage, VECTORS_FOLDER, path, error));
        MQ_TRY(export_vectors_write(&job->vectors, &job->checkpoint, job->net, path, error));
    }
    MQ_TRY(write_manifest(job, stage, error));
    return move_into_place(job, stage, error);
}

static mq_status write_folder(export_job *job, mq_error *error) {
    mq_staging stage;
    bool made = !mq_path_exists(job->out);
    if (!made && !mq_path_is_dir(job->out))
        return mq_fail(error, MQ_USAGE, "--out %s: a folder expected, a file is there", job->out);
    if (mq_dir_has_entries(job->out) && !job->force)
        return mq_fail(
            error, MQ_USAGE,
            "--out %s: the folder exists and is not empty: give --force to replace the export in it",
            job->out);
    MQ_TRY(mq_staging_inside(job->out, &stage, error));
    mq_status status = write_files(job, stage.path, error);
    mq_staging_close(&stage);
    if (status != MQ_OK && made) rmdir(job->out);
    return status;
}

/* ---- what was done ---- */

static long long number(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

/* Widths of every requantisation beside the published rule's at lshift 16, and channels of stored thresholds.
 */
static void print_layers(const json_t *certificate, bool all) {
    const json_t *layers = json_object_get(certificate, "layers"),
                 *published = json_object_get(certificate, "published"), *layer;
    size_t i;
    if (all)
        printf("  %-20s channels thresholds  shift inc bias   published: shift inc bias  inexact channels\n",
               "requantisation");
    json_array_foreach(layers, i, layer) {
        const json_t *rules = json_object_get(layer, "rules"), *other = json_array_get(published, i);
        long long stored = number(rules, "rising") + number(rules, "falling");
        const char *name = json_string_value(json_object_get(layer, "name"));
        if (all)
            printf("  %-20s %8lld %10lld  %5lld %3lld %4lld %17lld %3lld %4lld %17lld\n", name,
                   number(layer, "channels"), number(layer, "thresholds"), number(layer, "shift"),
                   number(layer, "inc_bits"), number(layer, "bias_bits"), number(other, "shift"),
                   number(other, "inc_bits"), number(other, "bias_bits"),
                   number(other, "channels_differing"));
        if (stored)
            printf(
                "  %s: %lld of %lld channels have stored thresholds: no inc and bias of 48 bits are exact\n",
                name, stored, number(layer, "channels"));
    }
}

static mq_status report(const cli_args *args, const export_job *job, mq_error *error) {
    const mq_inet *net = job->net;
    if (args->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:s, s:s, s:[]}", "out", job->out, "model",
                                 net->model, "bitw", net->bitw, "bita", net->bita, "compat", (int)net->compat,
                                 "nodes", net->node_count, "net_sha256", net->sha256, "weights_sha256",
                                 net->weights_sha256, "formats");
        if (root && job->headers) json_array_append_new(json_object_get(root, "formats"), json_string("hls"));
        if (root && job->qonnx) json_array_append_new(json_object_get(root, "formats"), json_string("qonnx"));
        if (root && job->plain) json_array_append_new(json_object_get(root, "formats"), json_string("onnx"));
        if (root && job->folding)
            json_array_append_new(json_object_get(root, "formats"), json_string("folding"));
        if (root && !job->headers) json_object_set_new(root, "without_hls", json_string(job->reason.text));
        if (root) json_object_set_new(root, "vectors", json_integer((json_int_t)job->vectors.count));
        if (root && job->certificate) json_object_set(root, "certificate", job->certificate);
        return cli_print_json(root, error);
    }
    printf("%s: %s%s, weights %s activations %s, net.json%s%s%s, sha256 %s\n", job->out, net->model,
           net->compat ? " by the published rules" : "", net->bitw, net->bita,
           job->qonnx ? ", " QONNX_FILE : "", job->plain ? ", " PLAIN_FILE : "",
           job->headers ? ", config.h and weights.hpp" : "", net->sha256);
    if (job->certificate) {
        const json_t *totals = json_object_get(job->certificate, "totals");
        printf("certified: %lld threshold%s of %lld channel%s are the trained network's\n",
               number(totals, "thresholds"), mq_s((uint64_t)number(totals, "thresholds")),
               number(totals, "channels"), mq_s((uint64_t)number(totals, "channels")));
        print_layers(job->certificate, args->verbose);
    }
    if (job->vectors.count)
        printf("vectors: %zu image%s with the trained network's codes\n", job->vectors.count,
               mq_s(job->vectors.count));
    return MQ_OK;
}

/* A float checkpoint has no integer network: its folder holds the ONNX file alone. */
static mq_status export_float(const cli_args *args, const export_job *job, mq_error *error) {
    char path[MQ_PATH];
    const mq_net *net = job->checkpoint.net;
    if (mq_path_exists(job->out) && !mq_path_is_dir(job->out))
        return mq_fail(error, MQ_USAGE, "--out %s: a folder expected, a file is there", job->out);
    if (mq_dir_has_entries(job->out) && !job->force)
        return mq_fail(error, MQ_USAGE,
                       "--out %s: the folder exists and is not empty: give --force to write into it",
                       job->out);
    MQ_TRY(mq_make_dirs(job->out, error));
    MQ_TRY(mq_path_join(job->out, FLOAT_FILE, path, error));
    MQ_TRY(mq_onnx_export_float(&job->checkpoint, path, error));
    if (args->json)
        return cli_print_json(
            json_pack("{s:s, s:s, s:[s]}", "out", job->out, "model", net->name, "formats", "onnx"), error);
    printf("%s: %s (float), " FLOAT_FILE "\n", job->out, net->name);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    export_job job = {.force = cli_flag(args, "--force")};
    mq_status status;
    const char *dsp = cli_value(args, "--dsp");
    MQ_TRY(cli_required(args, "--out", &job.out, error));
    MQ_TRY(mq_dsp_find(dsp ? dsp : "dsp48e2", &job.dsp, error));
    MQ_TRY_GOTO(read_formats(args, &job, error), done);
    MQ_TRY_GOTO(mq_checkpoint_load(args->word[0], &job.checkpoint, error), done);
    if (job.checkpoint.mode == MQ_MODE_FLOAT && job.plain && !job.qonnx && !job.folding &&
        !job.headers_asked) {
        status = export_float(args, &job, error);
        goto done;
    }
    MQ_TRY_GOTO(lower(args, &job, error), done);
    job.net->packed_weights = cli_flag(args, "--packed-weights");
    MQ_TRY_GOTO(export_vectors_open(args, job.net, &job.vectors, error), done);
    MQ_TRY_GOTO(choose_formats(args, &job, error), done);
    MQ_TRY_GOTO(write_folder(&job, error), done);
    status = report(args, &job, error);
done:
    json_decref(job.certificate);
    export_vectors_close(&job.vectors);
    mq_inet_free(job.net);
    mq_checkpoint_free(&job.checkpoint);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--out", "DIR", "the folder to write"},
    {"--parallelism", "FILE",
     "SIMD and PE of every convolution, as the published config_simd_pe.txt or FINN's folding_config.json"},
    {"--dsp", "D", "the slice that plan.json packs for: dsp48e2 (default), dsp48e1, dsp58, or NxM"},
    {"--compat", "RULES", "anypacking: the published rules to the last bit"},
    {"--lshift", "N", "with --compat: the shift of networks that the published framework does not have"},
    {"--format", "F,F",
     "hls: config.h and weights.hpp of the published templates (hls where possible); qonnx:\n"
     "                             qonnx.onnx with Quant nodes; onnx: plain.onnx, of a float checkpoint "
     "float.onnx;\n"
     "                             folding: FINN's folding_config.json, and config_simd_pe.txt"},
    {"--vectors", "N", "also N images and the trained network's codes of every layer, for `mixq verify`"},
    {"--data", "DATA", "with --vectors: the first N of its test split"},
    {"--input", "F",
     "with --vectors: the first N images of a .npy, .npz or .safetensors, as in `mixq simulate`"},
    {"--packed-weights", NULL, "weights.safetensors holds the weights at their own width, not a byte each"},
    {"--force", NULL, "replace the export in --out"},
    {NULL, NULL, NULL},
};

const cli_command cli_export = {
    .name = "export",
    .usage = "CKPT --out DIR [--parallelism FILE] [--data D --vectors N] [--compat anypacking [--lshift N]] "
             "[--force]",
    .summary = "Write the integer network of a trained checkpoint, and its HLS headers",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "The folder gets net.json and weights.safetensors, certificate.json, which says that every code of\n"
        "every layer is the trained network's, plan.json (how every layer is multiplied), manifest.json, "
        "and\n"
        "config.h and weights.hpp where these can express the network; without --format hls a network they\n"
        "cannot express is written with a warning. --verbose prints the widths of every layer beside those "
        "of\n"
        "the published rule at lshift 16. qonnx.onnx computes in float32 what the integer network does, and "
        "mixq\n"
        "import gives its checkpoint back; --format onnx of a float checkpoint writes float.onnx alone.\n\n"
        "Examples:\n"
        "  mixq export main --out export\n"
        "  mixq export main --out export --data fashion-mnist --vectors 20 --verbose\n"
        "  mixq export vgg.safetensors --compat anypacking --parallelism config_simd_pe.txt --out hls\n",
    .run = run,
};
