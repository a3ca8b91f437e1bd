/* cost_command.c - `mixq cost`: what bits cost in DSP operations, layer by layer, beside 8 and 4 bits
 * everywhere. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/bits_file.h"
#include "cli/commands.h"
#include "search/cost.h"

static const int UNIFORM[] = {8, 4};
enum { UNIFORM_COUNT = sizeof UNIFORM / sizeof *UNIFORM };

typedef struct job {
    mq_net *net;
    mq_factors factors;
    mq_cost_model cost;
    mq_bits bits;
    mq_cost_report total, uniform[UNIFORM_COUNT];
} job;

static mq_status read_bits(const cli_args *args, const mq_net *net, mq_bits *out, mq_error *error) {
    const char *bitw = cli_value(args, "--bitw"), *bita = cli_value(args, "--bita"),
               *file = cli_value(args, "--bits");
    if (!bitw != !bita || !bitw == !file)
        return mq_fail(error, MQ_USAGE, "cost: --bitw S --bita S, or --bits FILE expected");
    return file ? bits_file_read(file, net, out, error) : mq_bits_parse(net, bitw, bita, out, error);
}

static mq_status price(const cli_args *args, job *j, mq_error *error) {
    const char *table = cli_value(args, "--factors");
    MQ_TRY(read_bits(args, j->net, &j->bits, error));
    MQ_TRY(mq_factors_load(table ? table : MQ_FACTORS_DEFAULT, &j->factors, error));
    MQ_TRY(mq_cost_create(j->net, &j->factors, &j->cost, error));
    MQ_TRY(mq_cost_at(&j->cost, j->net, &j->bits, &j->total, error));
    for (int i = 0; i < UNIFORM_COUNT; i++) {
        mq_bits same;
        mq_bits_uniform(j->net, UNIFORM[i], UNIFORM[i], &same);
        MQ_TRY(mq_cost_at(&j->cost, j->net, &same, &j->uniform[i], error));
    }
    return MQ_OK;
}

/* The row of the cost model for a weighted layer, or -1: pinned layers cost nothing. */
static int row_of(const job *j, int layer) {
    for (int n = 0; n < j->cost.count; n++)
        if (j->cost.layer[n] == layer) return n;
    return -1;
}

static double factor(const job *j, int layer, int row) {
    return j->cost.f[row][j->bits.weight[layer]][j->bits.activation[layer]];
}

static json_t *layer_json(const job *j, int layer) {
    int row = row_of(j, layer);
    json_t *root = json_pack("{s:s, s:i, s:i, s:b}", "name", j->net->nodes[j->net->layers[layer].node].name,
                             "weight_bits", j->bits.weight[layer], "activation_bits",
                             j->bits.activation[layer], "pinned", row < 0);
    if (!root || row < 0) return root;
    double macs = mq_workload_macs_M(&j->cost.work[row]), f = factor(j, layer, row);
    json_object_set_new(root, "macs_M", json_real(macs));
    json_object_set_new(root, "mults_per_dsp", json_real(f));
    json_object_set_new(root, "dsp_ops_M", json_real(macs / f));
    return root;
}

static mq_status print_json(const job *j, mq_error *error) {
    json_t *root = bits_file_make(j->net, &j->bits, &j->cost, j->factors.name);
    json_t *layers = json_array(), *uniform = json_array();
    for (int i = 0; i < j->net->layer_count; i++) json_array_append_new(layers, layer_json(j, i));
    for (int i = 0; i < UNIFORM_COUNT; i++)
        json_array_append_new(uniform,
                              json_pack("{s:i, s:f, s:f}", "bits", UNIFORM[i], "dsp_ops_M",
                                        j->uniform[i].dsp_ops_M, "bit_ops_M", j->uniform[i].bit_ops_M));
    if (!root || json_object_set_new(root, "layers", layers) != 0 ||
        json_object_set_new(root, "uniform", uniform) != 0) {
        json_decref(root);
        return mq_fail_memory(error, "the result", 0);
    }
    return cli_print_json(root, error);
}

static void print_total(const char *what, const mq_cost_report *r, const mq_cost_report *mine) {
    printf("%-28s %12.3f %12.1f", what, r->dsp_ops_M, r->bit_ops_M);
    if (r != mine) printf("   these bits need %.2f of its DSP operations", mine->dsp_ops_M / r->dsp_ops_M);
    printf("\n");
}

static void print_text(const job *j) {
    printf("%s, cost table '%s'\n", j->net->name, j->factors.name);
    printf("  %-14s %8s %8s %12s %12s %12s\n", "layer", "weights", "input", "M mult.", "mult./DSP",
           "M DSP ops");
    for (int i = 0; i < j->net->layer_count; i++) {
        int row = row_of(j, i);
        printf("  %-14s %4d bit %4d bit", j->net->nodes[j->net->layers[i].node].name, j->bits.weight[i],
               j->bits.activation[i]);
        if (row < 0) {
            printf("   pinned by the description, not counted\n");
            continue;
        }
        double macs = mq_workload_macs_M(&j->cost.work[row]), f = factor(j, i, row);
        printf(" %12.3f %12g %12.3f\n", macs, f, macs / f);
    }
    printf("%-28s %12s %12s\n", "", "M DSP ops", "M bit ops");
    print_total("these bits", &j->total, &j->total);
    for (int i = 0; i < UNIFORM_COUNT; i++) {
        char what[32];
        snprintf(what, sizeof what, "%d bits everywhere", UNIFORM[i]);
        print_total(what, &j->uniform[i], &j->total);
    }
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *model;
    job *j;
    mq_status status;
    MQ_TRY(cli_required(args, "--model", &model, error));
    MQ_TRY(mq_alloc(1, sizeof *j, "a cost model", &j, error));
    MQ_TRY_GOTO(mq_net_open(model, &j->net, error), done);
    MQ_TRY_GOTO(price(args, j, error), done);
    if (args->json)
        status = print_json(j, error);
    else
        print_text(j);
done:
    mq_net_free(j->net);
    mq_free(j);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--model", "MODEL", "a built-in name or a .yaml file"},
    {"--bitw", "S", "weight bits, one digit 1..8 per layer that is not pinned: 822222"},
    {"--bita", "S", "activation bits, likewise: 833363"},
    {"--bits", "FILE", "bits.json, or a run folder, instead of --bitw and --bita"},
    {"--factors", "T", "cost table: ours (what can be built), ideal, published or a .csv file (ours)"},
    {NULL, NULL, NULL},
};

const cli_command cli_cost = {
    .name = "cost",
    .usage = "--model M (--bitw S --bita S, or --bits FILE) [--factors T]",
    .summary = "What bit widths cost in DSP operations, layer by layer",
    .options = OPTIONS,
    .details =
        "A DSP slice does several narrow multiplications at once; the cost table says how many, by kernel\n"
        "size and bits. DSP operations are multiplications over that number.\n\n"
        "Examples:\n"
        "  mixq cost --model vgg_tiny --bitw 822222 --bita 833363\n"
        "  mixq cost --model vgg_tiny --bits search --json\n",
    .run = run,
};
