/* report_command.c - `mixq report`: runs and networks on one page. */
#include <stdio.h>
#include <string.h>

#include "accel/estimate.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "report/report.h"

static mq_status write_report(const cli_args *args, const mq_report *r, mq_error *error) {
    const char *out = cli_value(args, "--out");
    char *text;
    if (!out) {
        if (args->json) return mq_fail(error, MQ_USAGE, "--json: --out F.html is needed with it");
        if (!r->run_count && !r->sweep_count)
            return mq_fail(error, MQ_USAGE,
                           "without --out the figures of runs are printed: no run is among the folders");
        MQ_TRY(mq_report_text(r, &text, error));
        fputs(text, stdout);
        mq_free(text);
        return MQ_OK;
    }
    MQ_TRY(mq_report_html(r, &text, error));
    size_t size = strlen(text);
    mq_status status = mq_file_write(out, text, size, error);
    mq_free(text);
    if (status != MQ_OK) return status;
    if (args->json)
        return cli_print_json(json_pack("{s:s, s:i, s:i, s:i, s:I}", "out", out, "sweeps", r->sweep_count,
                                        "runs", r->run_count, "networks", r->net_count, "bytes",
                                        (json_int_t)size),
                              error);
    printf("%s: ", out);
    if (r->sweep_count) printf("%d sweep%s, ", r->sweep_count, r->sweep_count == 1 ? "" : "s");
    printf("%d run%s, %d network%s, %zu bytes\n", r->run_count, r->run_count == 1 ? "" : "s", r->net_count,
           r->net_count == 1 ? "" : "s", size);
    return MQ_OK;
}

static json_t *counts(const mq_resources *r) {
    return json_pack("{s:I, s:I, s:I, s:I}", "dsp", (json_int_t)r->of[MQ_RES_DSP], "lut",
                     (json_int_t)r->of[MQ_RES_LUT], "ff", (json_int_t)r->of[MQ_RES_FF], "bram18",
                     (json_int_t)r->of[MQ_RES_RAM18]);
}

/* A plan for a device without a build: what the stages would take, in the words of build.json. */
static mq_status estimate(mq_net_data *d, mq_error *error) {
    mq_device device;
    mq_estimate e;
    if (d->build || !d->plan || !d->plan->device[0]) return MQ_OK;
    MQ_TRY(mq_device_open(d->plan->device, &device, error));
    MQ_TRY(mq_estimate_make(d->net, d->plan, &device, d->plan->clock_mhz, &e, error));
    json_t *stages = json_array();
    for (int i = 0; i < e.count; i++)
        json_array_append_new(
            stages, json_pack("{s:s, s:I, s:o}", "node", d->net->nodes[e.layer[i].node].name, "cycles",
                              (json_int_t)e.layer[i].cycles, "estimate", counts(&e.layer[i].used)));
    d->build = json_pack("{s:s, s:s, s:f, s:I, s:o, s:o, s:o}", "device", device.name, "part", device.part,
                         "clock_mhz", e.clock_mhz, "cycles", (json_int_t)e.cycles, "estimate",
                         counts(&e.used), "budget", counts(&e.budget), "stages", stages);
    mq_estimate_free(&e);
    return d->build ? MQ_OK : mq_fail_memory(error, "an estimate", 0);
}

/* A device that is not known here takes only the resources off the page. */
static void estimate_all(mq_report *report) {
    for (int i = 0; i < report->net_count; i++) {
        mq_error error = {0};
        if (estimate(&report->net[i], &error) != MQ_OK)
            mq_log(MQ_LOG_WARN, "%s: no resources on the page: %s", report->net[i].path, error.text);
    }
}

static mq_status run(const cli_args *args, mq_error *error) {
    mq_report *report;
    mq_status status = MQ_OK;
    MQ_TRY(mq_alloc(1, sizeof *report, "the report", &report, error));
    for (int i = 0; i < args->word_count && status == MQ_OK; i++)
        status = mq_report_add(report, args->word[i], error);
    if (status == MQ_OK) estimate_all(report);
    if (status == MQ_OK) status = write_report(args, report, error);
    mq_report_clear(report);
    mq_free(report);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--out", "F.html", "the page to write; without it the runs' figures are printed as text"},
    {NULL, NULL, NULL},
};

const cli_command cli_report = {
    .name = "report",
    .usage = "FOLDER... [--out F.html]",
    .summary = "One page about runs and networks: curves, bits, packings, resources",
    .least_words = 1,
    .most_words = 60,
    .options = OPTIONS,
    .details =
        "A FOLDER is that of a search or training (learning curves, bits of every layer over the "
        "epochs, settings),\n"
        "of a sweep (accuracy against DSP operations), or of an export or build (layers, packings as bit "
        "fields,\n"
        "resources, certificate, hashes). Several runs are drawn against each other: accuracy or IoU over "
        "DSP "
        "operations.\n"
        "The page stands alone: no scripts, nothing loaded; it follows the reader's dark mode and prints in "
        "light.\n\n"
        "Examples:\n"
        "  mixq report search main net --out page.html\n"
        "  mixq report search\n",
    .run = run,
};
