/* synth_command.c - `mixq synth`: Yosys over every stage of a build folder, beside the estimate. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/work_folder.h"
#include "gen/rtl_count.h"
#include "inet/manifest.h"

enum { SECONDS = 1800 };

typedef struct synth_job {
    const char *dir, *only; /* only: one stage's node, or NULL */
    mq_inet *net;
    mq_build *build;
    double seconds;
    mq_build_counts *counted; /* [stages + 1], the last: forks, FIFOs, ports */
    bool *done;
    mq_build_counts sum;
} synth_job;

static mq_status open_job(const cli_args *args, synth_job *job, mq_error *error) {
    char path[MQ_PATH];
    json_t *manifest;
    size_t files, wrong;
    job->dir = args->word[0];
    job->only = cli_value(args, "--layer");
    job->seconds = SECONDS;
    MQ_TRY(cli_double(args, "--timeout", 1, 1e6, &job->seconds, error));
    MQ_TRY(mq_path_join(job->dir, MQ_BUILD_FILE, path, error));
    if (!mq_path_exists(path))
        return mq_fail(error, MQ_BAD_INPUT, "%s: no " MQ_BUILD_FILE ": a folder of `mixq build` expected",
                       job->dir);
    MQ_TRY(mq_manifest_load(job->dir, &manifest, error));
    mq_status status = mq_manifest_check(job->dir, manifest, &files, &wrong, error);
    json_decref(manifest);
    if (status != MQ_OK) return mq_fail_context(error, status, "%s", job->dir);
    MQ_TRY(mq_inet_load(job->dir, &job->net, error));
    MQ_TRY(mq_build_load(job->dir, job->net, &job->build, error));
    size_t stages = (size_t)job->build->count + 1;
    MQ_TRY(mq_alloc(stages, sizeof *job->counted, "counts", &job->counted, error));
    return mq_alloc(stages, sizeof *job->done, "counts", &job->done, error);
}

static const char *stage_name(const synth_job *job, int i) {
    return i < job->build->count ? job->net->nodes[job->build->stage[i].node].name : "streams";
}

static const char *stage_module(const synth_job *job, int i) {
    return i < job->build->count ? job->build->stage[i].module : job->build->top;
}

static mq_status check_name(const synth_job *job, mq_error *error) {
    const char *names[MQ_INET_MAX_NODES + 2] = {NULL};
    if (!job->only) return MQ_OK;
    for (int i = 0; i <= job->build->count; i++) {
        names[i] = stage_name(job, i);
        if (strcmp(names[i], job->only) == 0) return MQ_OK;
    }
    const char *near = mq_nearest(job->only, names);
    return mq_fail(error, MQ_USAGE, "--layer %.60s: no stage of that name%s%s%s", job->only,
                   near ? "; '" : "", near ? near : "", near ? "' is near" : "");
}

static mq_status count_all(synth_job *job, const char *work, mq_error *error) {
    const int stages = job->build->count + 1;
    for (int i = 0; i < stages; i++) {
        if (job->only && strcmp(stage_name(job, i), job->only) != 0) continue;
        mq_progress("synth", (uint64_t)i, (uint64_t)stages, "%s", stage_name(job, i));
        mq_build_counts *n = &job->counted[i];
        MQ_TRY(mq_rtl_count(job->dir, work, stage_module(job, i), job->seconds, n, error));
        job->done[i] = true;
        job->sum.dsp += n->dsp;
        job->sum.lut += n->lut;
        job->sum.ff += n->ff;
        job->sum.bram18 += n->bram18;
    }
    mq_progress("synth", (uint64_t)stages, (uint64_t)stages, "done");
    return MQ_OK;
}

static json_t *counts_json(const mq_build_counts *n) {
    return json_pack("{s:I, s:I, s:I, s:f}", "dsp", (json_int_t)n->dsp, "lut", (json_int_t)n->lut, "ff",
                     (json_int_t)n->ff, "bram36", (double)n->bram18 / 2);
}

static mq_status print_json(const synth_job *job, mq_error *error) {
    const mq_build *b = job->build;
    json_t *layers = json_array();
    for (int i = 0; i <= b->count; i++) {
        if (!job->done[i]) continue;
        json_t *layer = counts_json(&job->counted[i]);
        json_object_set_new(layer, "layer", json_string(stage_name(job, i)));
        json_object_set_new(layer, "module", json_string(stage_module(job, i)));
        if (i < b->count) json_object_set_new(layer, "estimate", counts_json(&b->stage[i].expected));
        json_array_append_new(layers, layer);
    }
    json_t *root = counts_json(&job->sum);
    if (!root) return mq_fail_memory(error, "counts", 0);
    json_object_set_new(root, "folder", json_string(job->dir));
    json_object_set_new(root, "model", json_string(b->model));
    json_object_set_new(root, "device", json_string(b->device));
    json_object_set_new(root, "complete", json_boolean(!job->only));
    json_object_set_new(root, "estimate", counts_json(&b->expected));
    json_object_set_new(root, "budget", counts_json(&b->budget));
    json_object_set_new(root, "layers", layers);
    return cli_print_json(root, error);
}

/* "   72   (64)" */
static void print_pair(int64_t got, const mq_build_counts *expected, int64_t value) {
    char text[24] = "";
    if (expected) snprintf(text, sizeof text, "(%lld)", (long long)value);
    printf(" %8lld %8s", (long long)got, text);
}

static void print_row(const char *name, const mq_build_counts *n, const mq_build_counts *expected) {
    char ram[24] = "";
    printf("  %-16s", name);
    print_pair(n->dsp, expected, expected ? expected->dsp : 0);
    print_pair(n->lut, expected, expected ? expected->lut : 0);
    print_pair(n->ff, expected, expected ? expected->ff : 0);
    if (expected) snprintf(ram, sizeof ram, "(%.1f)", (double)expected->bram18 / 2);
    printf(" %8.1f %8s\n", (double)n->bram18 / 2, ram);
}

static void print_text(const synth_job *job) {
    const mq_build *b = job->build;
    printf("%s: %s, counted by Yosys (estimated); whole LUTs, nothing placed\n", job->dir, b->top);
    printf("  %-16s %8s %8s %8s %8s %8s %8s %8s %8s\n", "stage", "DSP", "", "LUT", "", "FF", "", "RAMB36",
           "");
    for (int i = 0; i <= b->count; i++)
        if (job->done[i])
            print_row(stage_name(job, i), &job->counted[i], i < b->count ? &b->stage[i].expected : NULL);
    if (job->only) return;
    print_row("all", &job->sum, &b->expected);
    if (!b->budget.lut) return;
    print_row("may be used", &b->budget, NULL);
    if (job->sum.dsp > b->budget.dsp || job->sum.lut > b->budget.lut || job->sum.ff > b->budget.ff ||
        job->sum.bram18 > b->budget.bram18)
        printf("  more than may be used of %s\n", b->device);
}

static mq_status run(const cli_args *args, mq_error *error) {
    synth_job job = {0};
    work_folder work = {0};
    mq_status status;
    MQ_TRY_GOTO(open_job(args, &job, error), done);
    MQ_TRY_GOTO(check_name(&job, error), done);
    MQ_TRY_GOTO(work_folder_open(cli_value(args, "--work"), &work, error), done);
    MQ_TRY_GOTO(count_all(&job, work.path, error), done);
    if (args->json)
        status = print_json(&job, error);
    else
        print_text(&job);
done:
    work_folder_close(&work);
    mq_free(job.counted);
    mq_free(job.done);
    mq_build_free(job.build);
    mq_inet_free(job.net);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--layer", "NAME", "one stage alone: a node's name, or streams (FIFOs, forks and ports)"},
    {"--timeout", "S", "seconds for one stage (1800)"},
    {"--work", "DIR", "where Yosys writes, and its logs stay (a temporary folder)"},
    {NULL, NULL, NULL},
};

const cli_command cli_synth = {
    .name = "synth",
    .usage = "DIR [--layer NAME] [--timeout S]",
    .summary = "Count what Yosys makes of a build, stage by stage, beside the estimate",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "DIR is a folder of `mixq build`, unchanged since. Every stage is synthesised by itself for "
        "UltraScale+\n"
        "(synth/*.ys) and its cells are counted: a LUT is a whole one (tools that place two small functions "
        "in\n"
        "one need 10 to 25 % fewer), a RAMB18 half a RAMB36. Nothing is placed and no clock is proven.\n\n"
        "Examples:\n"
        "  mixq synth accelerator\n"
        "  mixq synth accelerator --layer conv1 --json\n",
    .run = run,
};
