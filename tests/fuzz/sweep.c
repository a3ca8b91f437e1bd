/* sweep.c - what `pareto --resume` and `--collect` read: sweep.json with the options in it, the point.json of
 * its first point, the base.json of its first seed; and results.json as `report` reads it. No point is worked
 * on. */
int mixq_main(int argc, char **argv);
#define main mixq_main
#include "../../src/cli/main.c" /* cli_parse */
#undef main

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/pareto_runs.h"
#include "cli/pareto_setup.h"
#include "fuzz.h"
#include "report/report.h"
#include "train/objective.h"

/* A part as folder/name of the sweep, with the sweep's digest put right; nothing where it is empty. */
static void put_in(const char *folder, const char *name, fuzz_bytes part, const char *digest) {
    char path[MQ_PATH], dir[MQ_PATH];
    if (!part.left) return;
    uint8_t *copy = malloc(part.left);
    fuzz_demand(copy != NULL, "memory");
    memcpy(copy, part.at, part.left);
    fuzz_put_digest(copy, part.left, "sweep", digest);
    snprintf(dir, sizeof dir, "%s/%s", fuzz_dir(), folder);
    fuzz_demand(mq_make_dirs(dir, NULL) == MQ_OK, "mkdir");
    snprintf(path, sizeof path, "%s/%s", folder, name);
    fuzz_file(path, copy, part.left);
    free(copy);
}

/* The folder's name is the mutant's: it does not stay. */
static void take_out(const char *folder, const char *name) {
    char path[MQ_PATH], dir[MQ_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    fuzz_no_file(path);
    snprintf(dir, sizeof dir, "%s/%s", fuzz_dir(), folder);
    rmdir(dir);
}

/* The corpus is of one version, and stays good with the next. */
static void put_sweep(fuzz_bytes part) {
    static const char key[] = "\"version\": \"0.1.0\"";
    char now[64];
    const uint8_t *at = part.left ? memmem(part.at, part.left, key, sizeof key - 1) : NULL;
    if (!at) {
        fuzz_file(MQ_SWEEP_FILE, part.at, part.left);
        return;
    }
    const size_t before = (size_t)(at - part.at), after = part.left - before - (sizeof key - 1);
    const size_t n = (size_t)snprintf(now, sizeof now, "\"version\": \"%s\"", mq_version());
    uint8_t *text = malloc(before + n + after);
    fuzz_demand(text != NULL, "memory");
    memcpy(text, part.at, before);
    memcpy(text + before, now, n);
    memcpy(text + before + n, at + sizeof key - 1, after);
    fuzz_file(MQ_SWEEP_FILE, text, before + n + after);
    free(text);
}

static void use_points(pareto_setup *s) {
    mq_error error = {0};
    json_t *results;
    mq_sweep_group *group;
    int count, waits;
    for (int i = 0; i < s->sweep.count; i++) (void)mq_sweep_to_train(&s->sweep, i, s->front, &waits);
    fuzz_demand(mq_sweep_groups(&s->sweep, &group, &count, &error) == MQ_OK, error.text);
    mq_free(group);
    fuzz_demand(mq_sweep_results(&s->sweep, s->net->name, mq_quality_name(s->net->task),
                                 s->has_device ? s->device.name : NULL, &results, &error) == MQ_OK,
                error.text);
    fuzz_demand(mq_sweep_save_results(fuzz_dir(), &s->sweep, results, &error) == MQ_OK, error.text);
    json_decref(results);
}

static void use_sensitivity(const pareto_setup *s) {
    static mq_sensitivity table;
    mq_error error = {0};
    mq_bits bits;
    double predicted;
    if (!fuzz_accepted(pareto_read_sensitivity(s, s->plan.seed, &table, &error), &error, MQ_OK)) return;
    for (int i = 0; i < s->plan.budgets.count; i++) {
        mq_status status = mq_sensitivity_choose(&table, s->net, &s->cost, s->plan.budgets.value[i], &bits,
                                                 &predicted, &error);
        if (!fuzz_accepted(status, &error, MQ_USAGE)) continue;
        for (int l = 0; l < s->net->layer_count; l++)
            fuzz_demand(bits.weight[l] >= 1 && bits.weight[l] <= MQ_BITS_MAX && bits.activation[l] >= 1 &&
                            bits.activation[l] <= MQ_BITS_MAX,
                        "bits out of range");
    }
}

/* results.json, as `report` reads it. */
static void show(void) {
    static mq_report report;
    mq_error error = {0};
    char *text[2] = {NULL, NULL};
    report = (mq_report){0};
    if (fuzz_accepted(mq_report_add(&report, fuzz_dir(), &error), &error, MQ_OK) &&
        fuzz_accepted(mq_report_html(&report, &text[0], &error), &error, MQ_OK)) {
        fuzz_demand(mq_report_text(&report, &text[1], &error) == MQ_OK, error.text);
        fuzz_demand(strstr(text[0], "<script") == NULL, "a script in the page");
    }
    mq_free(text[0]);
    mq_free(text[1]);
    mq_report_clear(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size}, sweep = fuzz_part(&rest), point = fuzz_part(&rest),
               base = fuzz_part(&rest);
    char out[] = "--out", flag[] = "--resume", other[] = "--other-build", dir[64];
    snprintf(dir, sizeof dir, "%s", fuzz_dir());
    char *words[] = {out, dir, flag, other};
    static pareto_setup s;
    cli_args args;
    mq_error error = {0};
    fuzz_demand(cli_parse(&cli_pareto, 4, words, &args, &error) == MQ_OK, error.text);
    put_sweep(sweep);
    if (rest.left) {
        fuzz_file(MQ_SWEEP_RESULTS_FILE, rest.at, rest.left);
        show();
    }
    if (fuzz_accepted(pareto_setup_load(&args, &s, &error), &error, MQ_USAGE)) {
        fuzz_demand(s.sweep.count >= 1 && s.sweep.count <= MQ_SWEEP_POINTS, "a sweep without points");
        /* a mutant of the options has other settings: refused by the command, used here all the same */
        (void)fuzz_accepted(mq_sweep_compare(s.out, &s.sweep, s.settings, &error), &error, MQ_USAGE);
        char folder[128];
        snprintf(folder, sizeof folder, "bases/seed%llu", (unsigned long long)s.plan.seed);
        put_in(folder, PARETO_BASE_FILE, base, s.digest);
        use_sensitivity(&s);
        take_out(folder, PARETO_BASE_FILE);
        snprintf(folder, sizeof folder, "points/%s", s.sweep.point[0].name);
        put_in(folder, MQ_SWEEP_POINT_FILE, point, s.digest);
        if (fuzz_accepted(mq_sweep_load_points(s.out, s.digest, &s.sweep, &error), &error, MQ_OK))
            use_points(&s);
        take_out(folder, MQ_SWEEP_POINT_FILE);
    }
    pareto_setup_free(&s);
    return 0;
}
