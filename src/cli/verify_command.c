/* verify_command.c - `mixq verify`: whether an export folder still is what was exported, from its hashes over
 * its certificate to its vectors, and with the checkpoint also whether it is the trained network; of a build
 * folder also whether its Verilog computes the same.
 *
 * A row of RUNGS is one step of the ladder; the first that fails ends it, since what follows would rest on
 * it.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/verify_hls.h"
#include "cli/verify_plain_c.h"
#include "cli/verify_rtl.h"
#include "cli/verify_vectors.h"
#include "cli/work_folder.h"
#include "inet/certificate.h"
#include "inet/inet_plan.h"
#include "inet/inet_files.h"
#include "inet/manifest.h"
#ifdef MIXQ_TRAIN
#include "lower/certify.h"
#include "lower/exact_run.h"
#endif

enum { DRAWN_IMAGES = 3, STALLS = 30 /* percent of cycles */ };

typedef struct verify_job {
    const char *dir, *checkpoint_path; /* checkpoint NULL: not given */
    size_t most;                       /* --images, 0: all */
    json_t *manifest, *certificate;
    mq_inet *net;
    verify_vectors *vectors; /* NULL: the folder has none */
    bool drawn;              /* the build has none: images drawn, codes of the reference simulator */
    mq_build *build;         /* NULL: an export folder */
    bool plain_c;            /* a folder of `build --target c` */
    bool stalls;
    int last_rung; /* --upto */
    verify_rtl rtl;
    work_folder work;
#ifdef MIXQ_TRAIN
    mq_checkpoint checkpoint;
#endif
} verify_job;

/* What a rung reports beside its status. */
typedef struct verify_step {
    bool skipped;
    uint64_t mismatches;
    int64_t cycles, expected; /* measured between frames, estimated; 0: none */
    int64_t latency;
    char note[160];
} verify_step;

/* ---- rungs ---- */

static mq_status check_files(verify_job *job, verify_step *step, mq_error *error) {
    size_t files, wrong;
    mq_status status = mq_manifest_check(job->dir, job->manifest, &files, &wrong, error);
    step->mismatches = wrong;
    snprintf(step->note, sizeof step->note, "%zu files by their SHA-256", files);
    MQ_TRY(status);
    if (!mq_manifest_has(job->manifest, MQ_INET_NET_FILE))
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s: does not list " MQ_INET_NET_FILE ": no export folder",
                       job->dir, MQ_MANIFEST_FILE);
    MQ_TRY(mq_inet_load(job->dir, &job->net, error));
    if (mq_manifest_has(job->manifest, MQ_BUILD_FILE))
        MQ_TRY(mq_build_load(job->dir, job->net, &job->build, error));
    if (mq_manifest_has(job->manifest, "vectors/images.npy"))
        return verify_vectors_open(job->dir, job->net, job->most, &job->vectors, error);
    job->drawn = job->build || job->plain_c;
    if (!job->drawn) return MQ_OK;
    return verify_vectors_draw(job->net, job->most ? job->most : DRAWN_IMAGES, job->rtl.seed, &job->vectors,
                               error);
}

static mq_status load_certificate(verify_job *job, mq_error *error) {
    char path[MQ_PATH];
    if (!mq_manifest_has(job->manifest, MQ_CERTIFICATE_FILE))
        return mq_fail(error, MQ_CHECK_FAILED, "%s: %s: not among the exported files", job->dir,
                       MQ_CERTIFICATE_FILE);
    MQ_TRY(mq_path_join(job->dir, MQ_CERTIFICATE_FILE, path, error));
    return mq_json_load(path, &job->certificate, error);
}

/* Everything in the certificate that the files say too, or all of it again from the checkpoint. */
static mq_status check_certificate(verify_job *job, verify_step *step, mq_error *error) {
    json_t *again = NULL;
    mq_status status;
    if (job->net->compat) {
        step->skipped = true;
        snprintf(step->note, sizeof step->note, "made by the published rules: nothing was certified");
        return MQ_OK;
    }
    MQ_TRY(load_certificate(job, error));
#ifdef MIXQ_TRAIN
    if (job->checkpoint_path) {
        char digest[MQ_DIGEST_TEXT];
        MQ_TRY(mq_inet_hash_file(mq_st_path(job->checkpoint.file), digest, error));
        status = mq_certify(&job->checkpoint, digest, job->net, &again, error);
        if (status == MQ_OK) status = mq_json_same("certificate", job->certificate, again, true, error);
    } else
#endif
    {
        status = mq_certificate_describe(job->net, &again, error);
        if (status == MQ_OK) status = mq_json_same("certificate", job->certificate, again, false, error);
    }
    const json_t *totals = json_object_get(again, "totals");
    long long thresholds = json_integer_value(json_object_get(totals, "thresholds"));
    long long channels = json_integer_value(json_object_get(totals, "channels"));
    snprintf(step->note, sizeof step->note, "%lld thresholds of %lld channels%s", thresholds, channels,
             job->checkpoint_path ? ", proven again from the checkpoint" : "");
    json_decref(again);
    step->mismatches = status != MQ_OK;
    return status;
}

#ifdef MIXQ_TRAIN
static mq_status compare_image(const verify_job *job, const mq_exact *exact, size_t image, verify_result *out,
                               mq_error *error) {
    for (int i = 0; i < job->net->node_count; i++) {
        const mq_inet_node *n = &job->net->nodes[i];
        if (!n->dump[0]) continue;
        const mq_exact_result *r = mq_exact_find(exact, n->dump);
        if (!r || r->h != n->edge.h || r->w != n->edge.w || r->c != n->edge.c)
            return mq_fail(error, MQ_CHECK_FAILED, "%s: the trained network has no such result", n->dump);
        for (int c = 0; c < r->c; c++)
            for (int p = 0; p < r->h * r->w; p++) {
                int64_t got = verify_vectors_code(job->vectors, job->net, i, image, c, p);
                int64_t expected = r->values[c * r->h * r->w + p];
                if (got == expected) continue;
                uint64_t before = out->mismatches;
                if (!out->any)
                    *out = (verify_result){.any = true,
                                           .image = image,
                                           .node = i,
                                           .channel = c,
                                           .row = p / r->w,
                                           .column = p % r->w,
                                           .got = got,
                                           .expected = expected};
                out->mismatches = before + 1;
            }
    }
    return MQ_OK;
}

static mq_status evaluate_again(const verify_job *job, verify_step *step, mq_error *error) {
    const mq_inet_edge *in = &job->net->nodes[0].edge;
    size_t pixels = (size_t)in->h * (size_t)in->w, channels = (size_t)in->c;
    verify_result result = {0};
    mq_exact *exact = NULL;
    uint8_t *image = NULL;
    mq_status status;
    MQ_TRY_GOTO(mq_exact_create(&job->checkpoint, &exact, error), done);
    MQ_TRY_GOTO(mq_alloc(pixels, channels, "image", &image, error), done);
    for (size_t k = 0; k < job->vectors->count; k++) {
        const uint8_t *from = (const uint8_t *)job->vectors->images.data + k * pixels * channels;
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < pixels; p++) image[p * channels + c] = *from++;
        mq_exact_image(exact, image);
        MQ_TRY_GOTO(compare_image(job, exact, k, &result, error), done);
    }
    step->mismatches = result.mismatches;
    status = verify_result_status(&result, job->net, "vectors", error);
done:
    mq_free(image);
    mq_exact_free(exact);
    return status;
}
#endif

static bool no_vectors(const verify_job *job, verify_step *step) {
    step->skipped = !job->vectors;
    if (step->skipped) snprintf(step->note, sizeof step->note, "the export has no vectors");
    return step->skipped;
}

/* The stored codes are the trained network's: their files are unchanged; with the checkpoint also evaluated
 * again. */
static mq_status check_trained(verify_job *job, verify_step *step, mq_error *error) {
    (void)error;
    if (no_vectors(job, step)) return MQ_OK;
    if (job->drawn) {
        step->skipped = true;
        snprintf(step->note, sizeof step->note, "no vectors: %zu image%s drawn", job->vectors->count,
                 mq_s(job->vectors->count));
        return MQ_OK;
    }
    snprintf(step->note, sizeof step->note, "%zu image%s, codes %s", job->vectors->count,
             mq_s(job->vectors->count),
             job->checkpoint_path ? "evaluated again from the checkpoint" : "as stored at the export");
#ifdef MIXQ_TRAIN
    if (job->checkpoint_path) return evaluate_again(job, step, error);
#endif
    return MQ_OK;
}

static mq_status check_integer(verify_job *job, verify_step *step, mq_error *error) {
    verify_result result;
    if (no_vectors(job, step)) return MQ_OK;
    mq_sim_options options = {.engine = MQ_SIM_REFERENCE};
    MQ_TRY(verify_simulated(job->vectors, job->net, &options, &result, error));
    step->mismatches = result.mismatches;
    snprintf(step->note, sizeof step->note, "%zu image%s through the reference simulator",
             job->vectors->count, mq_s(job->vectors->count));
    return verify_result_status(&result, job->net, "integer", error);
}

/* Every multiplication through the slices of plan.json. */
static mq_status check_packed(verify_job *job, verify_step *step, mq_error *error) {
    verify_result result;
    char path[MQ_PATH];
    mq_inet_plan *plan;
    if (no_vectors(job, step)) return MQ_OK;
    if (!mq_manifest_has(job->manifest, MQ_PLAN_FILE)) {
        step->skipped = true;
        snprintf(step->note, sizeof step->note, "%s",
                 job->plain_c ? "a C program has no DSP slices" : "the export has no " MQ_PLAN_FILE);
        return MQ_OK;
    }
    MQ_TRY(mq_path_join(job->dir, MQ_PLAN_FILE, path, error));
    MQ_TRY(mq_inet_plan_load(path, job->net, &plan, error));
    mq_sim_options options = {.engine = MQ_SIM_PACKED, .plan = plan};
    mq_status status = verify_simulated(job->vectors, job->net, &options, &result, error);
    mq_inet_plan_free(plan);
    snprintf(step->note, sizeof step->note, "%zu image%s word by word through the slices of " MQ_PLAN_FILE,
             job->vectors->count, mq_s(job->vectors->count));
    MQ_TRY(status);
    step->mismatches = result.mismatches;
    return verify_result_status(&result, job->net, "packed", error);
}

/* The Verilog, every layer; stalls: percent of cycles. */
static mq_status simulate(verify_job *job, int stalls, verify_step *step, mq_error *error) {
    verify_rtl_result result;
    job->rtl.net = job->net;
    job->rtl.vectors = job->vectors;
    job->rtl.bench.dir = job->dir;
    job->rtl.bench.work = job->work.path;
    job->rtl.bench.build = job->build;
    mq_status status = verify_rtl_run(&job->rtl, stalls, &result, error);
    step->mismatches = result.mismatches;
    step->cycles = result.interval;
    step->latency = stalls ? 0 : result.latency;
    step->expected = stalls ? 0 : job->build->cycles;
    int n = snprintf(step->note, sizeof step->note, "%lld frames of %s, %d layers, %.1f s",
                     (long long)result.frames, job->build->top, result.layers, result.seconds);
    if (stalls)
        snprintf(step->note + n, sizeof step->note - (size_t)n, ", %d %% stalls on both sides", stalls);
    else if (step->cycles && step->expected)
        snprintf(step->note + n, sizeof step->note - (size_t)n,
                 "; a frame every %lld cycles, estimated %lld (%+.2f %%)", (long long)step->cycles,
                 (long long)step->expected,
                 100.0 * (double)(step->cycles - step->expected) / (double)step->expected);
    else if (step->cycles)
        snprintf(step->note + n, sizeof step->note - (size_t)n, "; a frame every %lld cycles",
                 (long long)step->cycles);
    return status;
}

static bool no_rtl(const verify_job *job, verify_step *step) {
    char name[MQ_BUILD_NAME + 16];
    snprintf(name, sizeof name, "rtl/%s.v", job->build->top);
    step->skipped = !mq_manifest_has(job->manifest, name);
    if (step->skipped) snprintf(step->note, sizeof step->note, "the build has no Verilog");
    return step->skipped;
}

/* The HLS C++, compiled and run, every layer. */
static mq_status check_hls(verify_job *job, verify_step *step, mq_error *error) {
    verify_hls_result result;
    if (!mq_manifest_has(job->manifest, "hls/top.cpp")) {
        step->skipped = true;
        snprintf(step->note, sizeof step->note, "the build has no HLS C++");
        return MQ_OK;
    }
    mq_status status = verify_hls_run(job->dir, job->work.path, job->net, job->vectors, &result, error);
    step->mismatches = result.mismatches;
    snprintf(step->note, sizeof step->note, "%zu frames, %d layers; compiled in %.1f s, run in %.1f s",
             job->vectors->count, result.layers, result.times.compile_s, result.times.run_s);
    return status;
}

/* The C, compiled and run, its outputs. */
static mq_status check_plain_c(verify_job *job, verify_step *step, mq_error *error) {
    verify_plain_c_result result;
    mq_status status = verify_plain_c_run(job->dir, job->work.path, job->net, job->vectors, &result, error);
    step->mismatches = result.mismatches;
    if (result.compilers[0])
        snprintf(step->note, sizeof step->note, "%zu image%s; compiled with %s", job->vectors->count,
                 mq_s(job->vectors->count), result.compilers);
    else
        snprintf(step->note, sizeof step->note, "no compiler");
    return status;
}

static mq_status check_rtl(verify_job *job, verify_step *step, mq_error *error) {
    if (no_rtl(job, step)) return MQ_OK;
    return simulate(job, 0, step, error);
}

static mq_status check_stalls(verify_job *job, verify_step *step, mq_error *error) {
    if (no_rtl(job, step)) return MQ_OK;
    if (job->stalls) return simulate(job, STALLS, step, error);
    step->skipped = true;
    snprintf(step->note, sizeof step->note, "only with --stalls");
    return MQ_OK;
}

typedef enum { ANY, ACCELERATOR, PLAIN_C } folder_kind;

static const struct {
    const char *name;
    mq_status (*check)(verify_job *job, verify_step *step, mq_error *error);
    folder_kind kind; /* of which folders */
} RUNGS[] = {
    {"files", check_files, ANY},
    {"certificate", check_certificate, ANY},
    {"trained", check_trained, ANY},
    {"integer", check_integer, ANY},
    {"packed", check_packed, ANY},
    {"c", check_plain_c, PLAIN_C},
    {"hls", check_hls, ACCELERATOR},
    {"rtl", check_rtl, ACCELERATOR},
    {"rtl_stalls", check_stalls, ACCELERATOR},
};
enum { RUNG_COUNT = sizeof RUNGS / sizeof *RUNGS };

/* ---- the command ---- */

static void add_step(const cli_args *args, json_t *steps, const char *name, const verify_step *step,
                     bool passed) {
    if (args->json) {
        if (step->skipped) return;
        json_t *object =
            json_pack("{s:s, s:b, s:I, s:o, s:s}", "name", name, "passed", (int)passed, "mismatches",
                      (json_int_t)step->mismatches, "cycles",
                      step->cycles ? json_integer(step->cycles) : json_null(), "note", step->note);
        if (object && step->expected)
            json_object_set_new(object, "estimated_cycles", json_integer(step->expected));
        if (object && step->latency)
            json_object_set_new(object, "latency_cycles", json_integer(step->latency));
        json_array_append_new(steps, object);
        return;
    }
    printf("%-12s %-8s %s\n", name, step->skipped ? "-" : passed ? "passed" : "FAILED", step->note);
}

static mq_status climb(const cli_args *args, verify_job *job, mq_error *error) {
    json_t *steps = json_array();
    mq_status status = MQ_OK;
    for (int i = 0; i <= job->last_rung && status == MQ_OK; i++) {
        verify_step step = {0};
        if ((RUNGS[i].kind == ACCELERATOR && !job->build) || (RUNGS[i].kind == PLAIN_C && !job->plain_c))
            continue;
        status = RUNGS[i].check(job, &step, error);
        if (status == MQ_OK || status == MQ_CHECK_FAILED)
            add_step(args, steps, RUNGS[i].name, &step, status == MQ_OK);
    }
    if (status != MQ_OK && status != MQ_CHECK_FAILED) {
        json_decref(steps);
        return status;
    }
    if (status != MQ_OK) (void)mq_fail_context(error, status, "%s", job->dir);
    if (!args->json) {
        json_decref(steps);
        return status;
    }
    json_t *root =
        json_pack("{s:s, s:b, s:o}", "folder", job->dir, "passed", status == MQ_OK, "steps", steps);
    if (root && job->net) json_object_set_new(root, "model", json_string(job->net->model));
    if (root && job->net) json_object_set_new(root, "net_sha256", json_string(job->net->sha256));
    if (root)
        json_object_set_new(root, "images", json_integer(job->vectors ? (json_int_t)job->vectors->count : 0));
    if (root && status != MQ_OK) json_object_set_new(root, "failure", json_string(error->text));
    mq_error print_error = {0};
    mq_status printed = cli_print_json(root, &print_error);
    if (printed == MQ_OK) return status;
    *error = print_error;
    return printed;
}

static mq_status open_job(const cli_args *args, verify_job *job, mq_error *error) {
    const char *rungs[RUNG_COUNT + 1] = {NULL};
    static const char *const simulators[] = {"verilator", "icarus", NULL};
    char path[MQ_PATH];
    int64_t most = 0;
    int simulator = 0;
    for (int i = 0; i < RUNG_COUNT; i++) rungs[i] = RUNGS[i].name;
    MQ_TRY(cli_int(args, "--images", 1, INT32_MAX, &most, error));
    job->most = (size_t)most;
    job->last_rung = RUNG_COUNT - 1;
    MQ_TRY(cli_choice(args, "--upto", rungs, &job->last_rung, error));
    MQ_TRY(cli_choice(args, "--simulator", simulators, &simulator, error));
    job->stalls = cli_flag(args, "--stalls");
    job->rtl.seed = args->seed;
    job->rtl.dump = cli_value(args, "--dump");
    job->rtl.bench.simulator = (mq_rtl_simulator)simulator;
    job->dir = args->word[0];
    job->checkpoint_path = cli_value(args, "--checkpoint");
    if (!mq_path_exists(job->dir)) return mq_fail_errno(error, "cannot read", job->dir);
    MQ_TRY(mq_path_join(job->dir, MQ_MANIFEST_FILE, path, error));
    if (!mq_path_exists(path))
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: no " MQ_MANIFEST_FILE ": a folder of `mixq export` or `mixq build` expected",
                       job->dir);
    MQ_TRY(mq_manifest_load(job->dir, &job->manifest, error));
    const char *target = json_string_value(json_object_get(job->manifest, "target"));
    const bool accelerator = mq_manifest_has(job->manifest, MQ_BUILD_FILE);
    job->plain_c = !accelerator && target && strcmp(target, "c") == 0;
    if (!accelerator && (job->stalls || job->rtl.dump))
        return mq_fail(error, MQ_USAGE, "%s: no accelerator: --stalls and --dump belong to those", job->dir);
    if (cli_value(args, "--upto") && RUNGS[job->last_rung].kind == ACCELERATOR && !accelerator)
        return mq_fail(error, MQ_USAGE, "%s: no accelerator: nothing of --upto %s to verify", job->dir,
                       RUNGS[job->last_rung].name);
    if (cli_value(args, "--upto") && RUNGS[job->last_rung].kind == PLAIN_C && !job->plain_c)
        return mq_fail(error, MQ_USAGE, "%s: no C program: nothing of --upto %s to verify", job->dir,
                       RUNGS[job->last_rung].name);
    if (accelerator || job->plain_c)
        MQ_TRY(work_folder_open(cli_value(args, "--work"), &job->work, error));
    else if (cli_value(args, "--work"))
        return mq_fail(error, MQ_USAGE, "%s: an export folder: --work belongs to builds", job->dir);
    if (!job->checkpoint_path) return MQ_OK;
#ifdef MIXQ_TRAIN
    return mq_checkpoint_load(job->checkpoint_path, &job->checkpoint, error);
#else
    return mq_fail(error, MQ_USAGE, "--checkpoint: this mixq is built without the training side");
#endif
}

static mq_status run(const cli_args *args, mq_error *error) {
    verify_job *job;
    MQ_TRY(mq_alloc(1, sizeof *job, "verify", &job, error));
    mq_status status = open_job(args, job, error);
    if (status == MQ_OK) status = climb(args, job, error);
    work_folder_close(&job->work);
    verify_vectors_close(job->vectors);
    mq_build_free(job->build);
    mq_inet_free(job->net);
    json_decref(job->certificate);
    json_decref(job->manifest);
#ifdef MIXQ_TRAIN
    if (job->checkpoint.net) mq_checkpoint_free(&job->checkpoint);
#endif
    mq_free(job);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--images", "N", "only the first N images of the vectors"},
    {"--checkpoint", "CKPT", "prove the certificate and evaluate the vectors again from the trained network"},
    {"--upto", "STEP",
     "the last step: files, certificate, trained, integer, packed, c, hls, rtl or rtl_stalls"},
    {"--stalls", NULL, "of a build: also with random stalls on both streams (--seed)"},
    {"--simulator", "S", "of a build: verilator, or icarus for small networks (verilator)"},
    {"--dump", "DIR", "of a build: every layer's codes out of the Verilog; compare with mixq diff"},
    {"--work", "DIR", "of a build: where the simulator is built, and stays (a temporary folder)"},
    {NULL, NULL, NULL},
};

const cli_command cli_verify = {
    .name = "verify",
    .usage = "DIR [--images N] [--checkpoint CKPT] [--stalls] [--upto STEP]",
    .summary = "Check an export or build folder: hashes, certificate, vectors, the Verilog or C",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "DIR is a folder written by `mixq export` or `mixq build`. The steps: files (their SHA-256 in "
        "manifest.json),\n"
        "certificate (all of it that the files say too), trained (the stored codes of the trained network),\n"
        "integer (the reference simulator gives these codes in every layer) and packed (so does every\n"
        "multiplication word by word through the DSP slices of plan.json); of a build also c (the\n"
        "C program compiled with cc, and clang if found, gives these outputs), hls (so does the C++\n"
        "for Vitis HLS) and rtl (the Verilog\n"
        "in Verilator gives these codes behind every layer; cycles are those from frame to frame) and with\n"
        "--stalls rtl_stalls. The first step that fails ends it, with exit code 1 and the place named. A "
        "build\n"
        "without vectors is verified on images drawn from --seed.\n\n"
        "Examples:\n"
        "  mixq verify export\n"
        "  mixq verify export --checkpoint main --json\n"
        "  mixq verify accelerator --stalls\n"
        "  mixq verify accelerator --images 1 --dump rtl-layers\n",
    .run = run,
};
