/* build_command.c - `mixq build`: from an export to an accelerator's build folder. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "accel/allocate.h"
#include "accel/estimate.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/build_plain_c.h"
#include "cli/commands.h"
#include "gen/accelerator.h"
#include "gen/parallelism.h"
#include "inet/manifest.h"

typedef struct build_job {
    const char *out, *target;
    unsigned targets;
    char source[MQ_PATH]; /* the export folder */
    mq_inet *net;
    mq_device device;
    double clock_mhz;
    mq_inet_plan *plan;
    mq_estimate estimate;
    mq_build *built;
} build_job;

/* The network, from a folder whose files are what was exported. */
static mq_status open_network(const char *path, build_job *job, mq_error *error) {
    char manifest_path[MQ_PATH];
    json_t *manifest;
    size_t files, wrong;
    if (snprintf(job->source, sizeof job->source, "%s", path) >= MQ_PATH)
        return mq_fail(error, MQ_USAGE, "NET: path too long");
    if (!mq_path_is_dir(path)) {
        char *slash = strrchr(job->source, '/');
        snprintf(slash ? slash : job->source, 2, "%s", slash ? "" : ".");
        if (!job->source[0]) strcpy(job->source, "/");
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

static mq_status open_device(const cli_args *args, build_job *job, mq_error *error) {
    const char *name;
    MQ_TRY(cli_required(args, "--device", &name, error));
    MQ_TRY(mq_device_open(name, &job->device, error));
    if (!job->device.build)
        return mq_fail(error, MQ_USAGE, "--device %s: for estimates only: %s", name, job->device.why);
    job->clock_mhz = job->device.clock_mhz;
    return cli_double(args, "--clock", 1, 2000, &job->clock_mhz, error);
}

/* --multipliers dsp,lut */
static mq_status read_multipliers(const char *text, unsigned *out, mq_error *error) {
    *out = 0;
    while (text && *text) {
        size_t n = strcspn(text, ",");
        if (n == 3 && strncmp(text, "dsp", 3) == 0)
            *out |= MQ_ACCEL_DSP;
        else if (n == 3 && strncmp(text, "lut", 3) == 0)
            *out |= MQ_ACCEL_LUT;
        else
            return mq_fail(error, MQ_USAGE, "--multipliers: got '%.40s', expected dsp, lut or dsp,lut", text);
        text += n + (text[n] == ',');
    }
    return MQ_OK;
}

/* Rows of a parallelism file are the convolutions; a linear layer stays free. */
static mq_status read_fixed(const char *file, const mq_inet *net, mq_accel_fixed *fixed, int *count,
                            mq_error *error) {
    mq_parallelism parallelism;
    int conv = 0;
    MQ_TRY(mq_parallelism_load(file, net, &parallelism, error));
    for (int i = 0; i < net->node_count; i++) {
        if (net->nodes[i].kind == MQ_INET_LINEAR) fixed[(*count)++] = (mq_accel_fixed){0};
        if (net->nodes[i].kind != MQ_INET_CONV) continue;
        fixed[(*count)++] = (mq_accel_fixed){parallelism.rows[conv].simd, parallelism.rows[conv].pe};
        conv++;
    }
    return MQ_OK;
}

static mq_status allocate(const cli_args *args, build_job *job, mq_error *error) {
    static mq_accel_fixed fixed[MQ_INET_MAX_NODES];
    const char *file = cli_value(args, "--parallelism");
    mq_accel_request request = {.device = &job->device, .clock_mhz = job->clock_mhz};
    MQ_TRY(cli_double(args, "--target-fps", 1e-3, 1e9, &request.target_fps, error));
    MQ_TRY(read_multipliers(cli_value(args, "--multipliers"), &request.multipliers, error));
    if (file) {
        MQ_TRY(read_fixed(file, job->net, fixed, &request.fixed_count, error));
        request.fixed = fixed;
    }
    return mq_accel_allocate(job->net, &request, &job->plan, error);
}

/* --plan, or an allocation. */
static mq_status choose_plan(const cli_args *args, build_job *job, mq_error *error) {
    static const char *const others[] = {"--target-fps", "--parallelism", "--multipliers", "--clock"};
    const char *file = cli_value(args, "--plan");
    if (!file) return allocate(args, job, error);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cli_value(args, others[i]))
            return mq_fail(error, MQ_USAGE, "%s: --plan already says everything", others[i]);
    MQ_TRY(mq_inet_plan_load(file, job->net, &job->plan, error));
    if (!job->plan->device[0])
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: a plan of packings alone; one that was allocated for a device expected", file);
    if (strcmp(job->plan->device, job->device.name) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: for %s, but --device is %s", file, job->plan->device,
                       job->device.name);
    job->clock_mhz = job->plan->clock_mhz;
    return MQ_OK;
}

/* ---- estimates into the build folder ---- */

static mq_build_counts counts_of(const mq_resources *r) {
    return (mq_build_counts){r->of[MQ_RES_DSP], r->of[MQ_RES_LUT], r->of[MQ_RES_FF], r->of[MQ_RES_RAM18]};
}

static mq_status write_build(const cli_args *args, build_job *job, mq_error *error) {
    const mq_estimate *e = &job->estimate;
    mq_build facts = {.cycles = e->cycles, .expected = counts_of(&e->used), .budget = counts_of(&e->budget)};
    mq_accelerator_request request = {.net = job->net,
                                      .plan = job->plan,
                                      .source = job->source,
                                      .out = job->out,
                                      .force = cli_flag(args, "--force"),
                                      .facts = &facts,
                                      .targets = job->targets};
    snprintf(facts.part, sizeof facts.part, "%s", job->device.part);
    MQ_TRY(mq_alloc((size_t)e->count, sizeof *facts.stage, "estimates", &facts.stage, error));
    facts.count = e->count;
    for (int i = 0; i < e->count; i++)
        facts.stage[i] = (mq_build_stage){
            .node = e->layer[i].node, .cycles = e->layer[i].cycles, .expected = counts_of(&e->layer[i].used)};
    mq_status status = mq_accelerator_write(&request, &job->built, error);
    mq_free(facts.stage);
    return status;
}

/* ---- what was done ---- */

static mq_status print_json(const build_job *job, mq_error *error) {
    const mq_build *b = job->built;
    json_t *layers = json_array();
    for (int i = 0; i < b->count; i++) {
        const mq_build_stage *s = &b->stage[i];
        json_array_append_new(
            layers, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f}", "layer", job->net->nodes[s->node].name,
                              "module", s->module, "cycles", (json_int_t)s->cycles, "dsp",
                              (json_int_t)s->expected.dsp, "lut", (json_int_t)s->expected.lut, "ff",
                              (json_int_t)s->expected.ff, "bram36", (double)s->expected.bram18 / 2));
    }
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:f, s:f, s:I, s:I, s:I, s:f, s:b, s:o}", "out", job->out,
        "target", job->target, "model", b->model, "top", b->top, "device", b->device, "net_sha256",
        b->network, "clock_mhz", b->clock_mhz, "cycles", (json_int_t)b->cycles, "fps", job->estimate.fps,
        "latency_us", job->estimate.latency_us, "dsp", (json_int_t)b->expected.dsp, "lut",
        (json_int_t)b->expected.lut, "ff", (json_int_t)b->expected.ff, "bram36",
        (double)b->expected.bram18 / 2, "fits", (int)job->estimate.fits, "layers", layers);
    return cli_print_json(root, error);
}

static void print_text(const build_job *job, bool all) {
    const mq_build *b = job->built;
    printf("%s: %s of %s for %s at %g MHz, %d stages; estimated: a frame every %lld cycles, %.0f frames/s\n",
           job->out, b->top, b->model, b->device, b->clock_mhz, b->count, (long long)b->cycles,
           job->estimate.fps);
    printf("  %-16s %10s %7s %8s %8s %8s\n", "estimate", "cycles", "DSP", "LUT", "FF", "RAMB36");
    for (int i = 0; all && i < b->count; i++) {
        const mq_build_stage *s = &b->stage[i];
        printf("  %-16s %10lld %7lld %8lld %8lld %8.1f\n", job->net->nodes[s->node].name,
               (long long)s->cycles, (long long)s->expected.dsp, (long long)s->expected.lut,
               (long long)s->expected.ff, (double)s->expected.bram18 / 2);
    }
    printf("  %-16s %10lld %7lld %8lld %8lld %8.1f\n", "all", (long long)b->cycles,
           (long long)b->expected.dsp, (long long)b->expected.lut, (long long)b->expected.ff,
           (double)b->expected.bram18 / 2);
    printf("  %-16s %10s %7lld %8lld %8lld %8.1f\n", "may be used", "", (long long)b->budget.dsp,
           (long long)b->budget.lut, (long long)b->budget.ff, (double)b->budget.bram18 / 2);
    printf("  next: mixq verify %s\n", job->out);
}

/* --target rtl, hls, both, or c. */
static mq_status read_targets(const cli_args *args, const char **target, unsigned *targets, mq_error *error) {
    static const char *const words[] = {"rtl", "hls", "rtl,hls", "hls,rtl", "c", NULL};
    static const unsigned values[] = {MQ_TARGET_RTL, MQ_TARGET_HLS, MQ_TARGET_RTL | MQ_TARGET_HLS,
                                      MQ_TARGET_RTL | MQ_TARGET_HLS, 0};
    int choice = -1;
    MQ_TRY(cli_choice(args, "--target", words, &choice, error));
    if (choice < 0) return mq_fail(error, MQ_USAGE, "build: --target rtl, hls, rtl,hls or c expected");
    *target = words[choice == 3 ? 2 : choice];
    *targets = values[choice];
    return MQ_OK;
}

/* Options that a program in C has no use for. */
static mq_status check_plain_c(const cli_args *args, mq_error *error) {
    static const char *const hardware[] = {"--device", "--target-fps", "--parallelism",
                                           "--plan",   "--clock",      "--multipliers"};
    for (size_t i = 0; i < sizeof hardware / sizeof *hardware; i++)
        if (cli_value(args, hardware[i]))
            return mq_fail(error, MQ_USAGE, "%s: belongs to --target rtl and hls, not to c", hardware[i]);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *target = NULL;
    unsigned targets = 0;
    build_job *job;
    mq_status status;
    MQ_TRY(read_targets(args, &target, &targets, error));
    if (!targets) {
        MQ_TRY(check_plain_c(args, error));
        return build_plain_c(args, error);
    }
    MQ_TRY(mq_alloc(1, sizeof *job, "a build", &job, error));
    job->target = target;
    job->targets = targets;
    MQ_TRY_GOTO(cli_required(args, "--out", &job->out, error), done);
    MQ_TRY_GOTO(open_device(args, job, error), done);
    MQ_TRY_GOTO(mq_accelerator_check_place(job->out, cli_flag(args, "--force"), error), done);
    MQ_TRY_GOTO(open_network(args->word[0], job, error), done);
    MQ_TRY_GOTO(choose_plan(args, job, error), done);
    MQ_TRY_GOTO(mq_estimate_make(job->net, job->plan, &job->device, job->clock_mhz, &job->estimate, error),
                done);
    if (!job->estimate.fits) mq_log(MQ_LOG_WARN, "by the estimate this does not fit %s", job->device.name);
    MQ_TRY_GOTO(write_build(args, job, error), done);
    if (args->json)
        status = print_json(job, error);
    else
        print_text(job, args->verbose);
done:
    mq_build_free(job->built);
    mq_estimate_free(&job->estimate);
    mq_inet_plan_free(job->plan);
    mq_inet_free(job->net);
    mq_free(job);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--device", "X", "rtl, hls: a name of `mixq devices`, or a .yaml file"},
    {"--target", "T", "what is written: rtl (Verilog), hls (C++ for Vitis HLS), rtl,hls, or c (plain C11)"},
    {"--out", "DIR", "the folder to write"},
    {"--target-fps", "N", "as small as possible at this rate (default: as fast as the device allows)"},
    {"--parallelism", "FILE", "input and output channels at once of every convolution: config_simd_pe.txt"},
    {"--plan", "FILE", "a plan.json allocated for this device, instead of an allocation"},
    {"--clock", "MHZ", "the clock (the device's)"},
    {"--multipliers", "M", "dsp, lut or dsp,lut: what may multiply (both)"},
    {"--force", NULL, "replace the build in --out"},
    {NULL, NULL, NULL},
};

const cli_command cli_build = {
    .name = "build",
    .usage = "NET (--device X --target rtl,hls [--target-fps N | --parallelism FILE | --plan FILE] [--clock "
             "MHZ] | "
             "--target c) --out DIR [--force]",
    .summary = "Generate the accelerator of an export: Verilog or HLS C++ with benches and driver; or a C "
               "program of it",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "NET is a folder of `mixq export`, or its net.json; export it with --vectors N, so that the "
        "build can be\n"
        "verified on the trained network's codes. DIR gets rtl/ and mem/ (the accelerator), sim/ "
        "(test benches\n"
        "for Verilator and Icarus), synth/ (scripts for Yosys and Vivado), or hls/ (C++ for Vitis HLS with a "
        "bench),\n"
        "host/ (a driver in C), vectors/, the network, plan.json, build.json and manifest.json with the "
        "SHA-256 "
        "of\n"
        "every file: all of it or nothing.\n\n"
        "With --target c DIR gets MODEL.c and MODEL.h, where the export has vectors also MODEL_bench.c, "
        "which runs\n"
        "and compares them, the network, vectors/ and manifest.json.\n\n"
        "Examples:\n"
        "  mixq export main --out export --data shapes:64 --vectors 3\n"
        "  mixq build export --device ultra96v2 --target rtl --out accelerator\n"
        "  mixq build export --device ultra96v2 --target rtl --out slow --target-fps 200 --clock 150\n"
        "  mixq verify accelerator --stalls\n"
        "  mixq build export --target c --out program\n"
        "  mixq verify program\n",
    .run = run,
};
