/* pareto_results.c - the table, the figure and the files of a sweep. */
#include "cli/pareto_results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/plot_file.h"
#include "report/sweep_figure.h"
#include "sweep/claim.h"
#include "train/objective.h"

const char *const pareto_costs[] = {"dsp-ops", "cycles", NULL};

static void value_text(const mq_sweep_group *g, char out[32]) {
    static const char *const words[MQ_AIMS] = {"cd", "M", "fps", "bits"};
    if (g->aim == MQ_AIM_PRICE)
        snprintf(out, 32, "%s %.3g", words[g->aim], g->value);
    else
        snprintf(out, 32, "%.4g %s", g->value, words[g->aim]);
}

/* The bits of the best seed stand for the group. */
static void print_table(const pareto_setup *s, const mq_sweep_group *group, int count) {
    const char *quality = mq_quality_name(s->net->task);
    int digits = (int)strlen("activations");
    for (int g = 0; g < count; g++) {
        const int n = (int)strlen(s->sweep.point[group[g].best].bitw);
        if (n > digits) digits = n;
    }
    printf("%-12s %-10s %5s  %-*s  %-*s  %-17s  %s", "method", "value", "seeds", digits, "weights", digits,
           "activations", quality, "M DSP operations");
    if (s->has_device) printf("      cycles     fps");
    printf("\n");
    for (int g = 0; g < count; g++) {
        const mq_sweep_group *q = &group[g];
        const mq_sweep_point *p = &s->sweep.point[q->best];
        char value[32], accuracy[40], cost[40];
        value_text(q, value);
        if (q->seeds > 1) {
            snprintf(accuracy, sizeof accuracy, "%.4f +- %.4f", q->quality, q->quality_spread);
            snprintf(cost, sizeof cost, "%.4g +- %.2g", q->dsp_ops_M, q->dsp_ops_spread);
        } else {
            snprintf(accuracy, sizeof accuracy, "%.4f", q->quality);
            snprintf(cost, sizeof cost, "%.4g", q->dsp_ops_M);
        }
        printf("%-12s %-10s %5d  %-*s  %-*s  %-17s  %-16s", mq_sweep_method_names[q->method], value, q->seeds,
               digits, p->bitw, digits, p->bita, accuracy, cost);
        if (s->has_device && isnan(q->cycles)) printf("  %10s %7s", "-", "-");
        if (s->has_device && !isnan(q->cycles)) printf("  %10.0f %7.1f", q->cycles, q->fps);
        printf("%s\n", q->front ? " *" : "");
    }
}

static void print_rest(const pareto_setup *s) {
    int count[MQ_STAGES] = {0};
    for (int i = 0; i < s->sweep.count; i++) count[s->sweep.point[i].stage]++;
    printf("%s: %d of %d points trained", s->out, count[MQ_STAGE_TRAINED], s->sweep.count);
    if (count[MQ_STAGE_SEARCHED]) printf(", %d with bits alone", count[MQ_STAGE_SEARCHED]);
    if (count[MQ_STAGE_NEW]) printf(", %d not begun or under way", count[MQ_STAGE_NEW]);
    if (count[MQ_STAGE_FAILED]) printf(", %d diverged", count[MQ_STAGE_FAILED]);
    printf("; * on the front\n");
}

static mq_status plot(const cli_args *args, const pareto_setup *s, const json_t *results, mq_error *error) {
    const char *path = cli_value(args, "--plot");
    if (!path) return MQ_OK;
    mq_page page;
    bool drawn;
    int against = MQ_SWEEP_DSP_OPS;
    MQ_TRY(cli_choice(args, "--against", pareto_costs, &against, error));
    mq_page_begin(&page, error);
    mq_status status =
        mq_figure_sweep(results, (mq_sweep_cost)against, plot_form(path), &page, &drawn, error);
    if (status == MQ_OK && !drawn) {
        char *empty;
        mq_log(MQ_LOG_WARN, "%s: nothing to draw yet", path);
        MQ_TRY(mq_page_take(&page, &empty, error));
        mq_free(empty);
        return MQ_OK;
    }
    mq_status written = plot_write(path, &page, error);
    MQ_TRY(status);
    MQ_TRY(written);
    if (strcmp(path, "-") == 0) return MQ_OK;
    char table[MQ_PATH];
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    const int stem = dot && (!slash || dot > slash) ? (int)(dot - path) : (int)strlen(path);
    if (snprintf(table, sizeof table, "%.*s.csv", stem, path) >= (int)sizeof table)
        return mq_fail(error, MQ_USAGE, "--plot: the path is too long");
    return mq_sweep_save_csv(table, &s->sweep, mq_quality_name(s->net->task), error);
}

/* Several workers may end at once: one of them writes. */
static mq_status save(const pareto_setup *s, const json_t *results, mq_error *error) {
    char lock[MQ_PATH];
    int claim;
    MQ_TRY(mq_path_join(s->out, "lock", lock, error));
    MQ_TRY(mq_claim_take(lock, &claim, error));
    if (claim < 0) return MQ_OK;
    mq_status status = mq_sweep_save_results(s->out, &s->sweep, results, error);
    mq_claim_release(&claim);
    return status;
}

mq_status pareto_report(const cli_args *args, const pareto_setup *s, mq_error *error) {
    json_t *results;
    mq_sweep_group *group = NULL;
    int count = 0;
    MQ_TRY(mq_sweep_results(&s->sweep, s->net->name, mq_quality_name(s->net->task),
                            s->has_device ? s->device.name : NULL, &results, error));
    mq_status status = save(s, results, error);
    if (status == MQ_OK) status = plot(args, s, results, error);
    if (status == MQ_OK && args->json) {
        json_object_set_new(results, "out", json_string(s->out));
        return cli_print_json(results, error);
    }
    json_decref(results);
    if (status == MQ_OK) status = mq_sweep_groups(&s->sweep, &group, &count, error);
    if (status == MQ_OK) {
        print_table(s, group, count);
        print_rest(s);
    }
    mq_free(group);
    return status;
}
