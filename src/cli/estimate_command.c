/* estimate_command.c - `mixq estimate`: how fast a network runs on a device and what it takes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "accel/allocate.h"
#include "accel/estimate.h"
#include "base/embedded.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/commands.h"
#ifdef MIXQ_TRAIN
#include "cli/bits_file.h"
#endif
#include "accel/shape_network.h"
#include "gen/parallelism.h"

typedef struct job {
    mq_inet *net;
    mq_device device;
    mq_inet_plan *plan;
    mq_accel_request request;
    mq_accel_fixed fixed[MQ_INET_MAX_NODES];
    mq_estimate estimate;
} job;

/* ---- what is asked for ---- */

static mq_status read_multipliers(const cli_args *args, unsigned *out, mq_error *error) {
    const char *text = cli_value(args, "--multipliers");
    *out = MQ_ACCEL_DSP | MQ_ACCEL_LUT;
    if (!text || strcmp(text, "dsp,lut") == 0 || strcmp(text, "lut,dsp") == 0) return MQ_OK;
    if (strcmp(text, "dsp") == 0)
        *out = MQ_ACCEL_DSP;
    else if (strcmp(text, "lut") == 0)
        *out = MQ_ACCEL_LUT;
    else
        return mq_fail(error, MQ_USAGE, "--multipliers: got '%.40s', expected dsp, lut or dsp,lut", text);
    return MQ_OK;
}

/* --bits, or --bitw and --bita. */
static mq_status read_bits(const cli_args *args, const mq_net *net, mq_bits *out, mq_error *error) {
    const char *file = cli_value(args, "--bits");
    if (!file) return mq_bits_parse(net, cli_value(args, "--bitw"), cli_value(args, "--bita"), out, error);
#ifdef MIXQ_TRAIN
    return bits_file_read(file, net, out, error);
#else
    return mq_fail(error, MQ_USAGE, "--bits: this mixq is built without the training side");
#endif
}

static mq_status shape_of(const cli_args *args, const char *model, mq_inet **out, mq_error *error) {
    mq_net *net;
    mq_bits bits;
    MQ_TRY(mq_net_open(model, &net, error));
    mq_status status = read_bits(args, net, &bits, error);
    if (status == MQ_OK) status = mq_shape_network(net, &bits, cli_flag(args, "--symmetric"), out, error);
    mq_net_free(net);
    return status;
}

static mq_status open_network(const cli_args *args, mq_inet **out, mq_error *error) {
    const char *model = cli_value(args, "--model"), *bitw = cli_value(args, "--bitw"),
               *bita = cli_value(args, "--bita"), *file = cli_value(args, "--bits");
    bool all = model && (file ? !bitw && !bita : bitw && bita);
    if (args->word_count ? model || bitw || bita || file || cli_flag(args, "--symmetric") : !all)
        return mq_fail(error, MQ_USAGE,
                       "estimate: NET, or --model M with --bits FILE or --bitw S --bita S expected");
    if (args->word_count) return mq_inet_load(args->word[0], out, error);
    return shape_of(args, model, out, error);
}

/* Published rows: simd counts kernel rows times channels; linear layers have none. */
static mq_status read_parallelism(job *j, const char *path, mq_error *error) {
    mq_parallelism *p;
    MQ_TRY(mq_alloc(1, sizeof *p, "parallelism", &p, error));
    mq_status status = mq_parallelism_load(path, j->net, p, error);
    int row = 0, layers = 0;
    for (int i = 0; i < j->net->node_count && status == MQ_OK; i++) {
        const mq_inet_node *n = &j->net->nodes[i];
        if (n->kind == MQ_INET_CONV) {
            j->fixed[layers++] = (mq_accel_fixed){p->rows[row].simd, p->rows[row].pe};
            row++;
        } else if (n->kind == MQ_INET_LINEAR) {
            j->fixed[layers++] = (mq_accel_fixed){0, 0};
        }
    }
    mq_free(p);
    j->request.fixed = j->fixed;
    j->request.fixed_count = layers;
    return status;
}

static mq_status read_request(const cli_args *args, job *j, mq_error *error) {
    const char *parallelism = cli_value(args, "--parallelism"), *target = cli_value(args, "--target-fps"),
               *plan = cli_value(args, "--plan");
    if ((parallelism != NULL) + (target != NULL) + (plan != NULL) > 1)
        return mq_fail(error, MQ_USAGE,
                       "estimate: one of --parallelism, --target-fps and --plan expected at most");
    MQ_TRY(read_multipliers(args, &j->request.multipliers, error));
    MQ_TRY(cli_double(args, "--clock", 1, 2000, &j->request.clock_mhz, error));
    MQ_TRY(cli_double(args, "--target-fps", 1e-3, 1e9, &j->request.target_fps, error));
    j->request.device = &j->device;
    if (plan) return mq_inet_plan_load(plan, j->net, &j->plan, error);
    return parallelism ? read_parallelism(j, parallelism, error) : MQ_OK;
}

static mq_status estimate(job *j, mq_error *error) {
    if (!j->plan) MQ_TRY(mq_accel_allocate(j->net, &j->request, &j->plan, error));
    return mq_estimate_make(j->net, j->plan, &j->device, j->request.clock_mhz, &j->estimate, error);
}

static void release(job *j) {
    mq_estimate_free(&j->estimate);
    mq_inet_plan_free(j->plan);
    j->plan = NULL;
}

/* ---- what binds ---- */

static const double ALMOST_ALL = 0.7;

/* The resource of which the largest share is used, and that share. */
static int limit(const mq_estimate *e, double *of) {
    int most = 0;
    double unused = 0, *share = of ? of : &unused;
    *share = -1;
    for (int i = 0; i < MQ_RESOURCES; i++) {
        double s = e->budget.of[i] > 0 ? (double)e->used.of[i] / (double)e->budget.of[i] : 0;
        if (s > *share) {
            *share = s;
            most = i;
        }
    }
    return most;
}

/* "DSP binds", or that nothing does. */
static void print_limit(const mq_estimate *e) {
    double share;
    const char *name = mq_resource_names[limit(e, &share)];
    if (share >= ALMOST_ALL)
        printf("%s binds", name);
    else
        printf("most of the device is free: %s, %.0f %%, is used most", name, 100 * share);
}

/* ---- output ---- */

static void add_resources(json_t *object, const mq_resources *r) {
    json_object_set_new(object, "dsp", json_integer(r->of[MQ_RES_DSP]));
    json_object_set_new(object, "lut", json_integer(r->of[MQ_RES_LUT]));
    json_object_set_new(object, "ff", json_integer(r->of[MQ_RES_FF]));
    json_object_set_new(object, "bram36", json_real((double)r->of[MQ_RES_RAM18] / 2));
}

static json_t *layer_json(const job *j, const mq_estimate_layer *l) {
    json_t *root = json_pack("{s:s, s:s, s:I}", "name", j->net->nodes[l->node].name, "kind",
                             mq_inet_kind_name(j->net->nodes[l->node].kind), "cycles", (json_int_t)l->cycles);
    add_resources(root, &l->used);
    const mq_plan_layer *p = mq_inet_plan_layer(j->plan, l->node);
    if (!p) return root;
    json_object_set_new(root, "multiplier", json_string(p->multiplier == MQ_PLAN_LUT ? "lut" : "dsp"));
    json_object_set_new(root, "simd", json_integer(p->simd));
    json_object_set_new(root, "rows", json_integer(p->rows));
    json_object_set_new(root, "pe", json_integer(p->pe));
    json_object_set_new(root, "blocks", json_integer(p->blocks));
    if (p->multiplier == MQ_PLAN_DSP) json_object_set_new(root, "efficiency", json_real(l->efficiency));
    return root;
}

static mq_status print_json(const job *j, mq_error *error) {
    const mq_estimate *e = &j->estimate;
    json_t *root = json_pack("{s:s, s:s, s:f, s:I, s:f, s:f}", "model", j->net->model, "device",
                             j->device.name, "clock_mhz", e->clock_mhz, "cycles", (json_int_t)e->cycles,
                             "fps", e->fps, "latency_us", e->latency_us);
    if (!root) return mq_fail_memory(error, "the result", 0);
    add_resources(root, &e->used);
    json_object_set_new(root, "fits", json_boolean(e->fits));
    json_object_set_new(root, "limit", json_string(mq_resource_names[limit(e, NULL)]));
    json_object_set_new(root, "slowest", json_string(j->net->nodes[e->slowest].name));
    json_object_set_new(root, "dsp_efficiency", json_real(e->efficiency));
    json_t *layers = json_array();
    for (int i = 0; i < e->count; i++) json_array_append_new(layers, layer_json(j, &e->layer[i]));
    json_object_set_new(root, "layers", layers);
    return cli_print_json(root, error);
}

static void print_resources(const mq_resources *r) {
    printf(" %6" PRId64 " %8" PRId64 " %8" PRId64 " %7.1f", r->of[MQ_RES_DSP], r->of[MQ_RES_LUT],
           r->of[MQ_RES_FF], (double)r->of[MQ_RES_RAM18] / 2);
}

static void print_text(const job *j) {
    const mq_estimate *e = &j->estimate;
    printf("%s on %s at %g MHz\n", j->net->model, j->device.name, e->clock_mhz);
    printf("  %-16s %9s %6s %8s %8s %7s  %s\n", "stage", "cycles", "DSP", "LUT", "FF", "BRAM36", "fold");
    for (int i = 0; i < e->count; i++) {
        const mq_estimate_layer *l = &e->layer[i];
        const mq_plan_layer *p = mq_inet_plan_layer(j->plan, l->node);
        printf("  %-16s %9" PRId64, j->net->nodes[l->node].name, l->cycles);
        print_resources(&l->used);
        if (p) {
            printf("  simd %d x %d row%s, pe %d, %d block%s", p->simd, p->rows, p->rows > 1 ? "s" : "", p->pe,
                   p->blocks, p->blocks > 1 ? "s" : "");
            if (p->multiplier == MQ_PLAN_LUT)
                printf(", LUT multipliers");
            else
                printf(", %d weight%s x %d code%s a slice, chain %d, %.0f %% useful",
                       p->piece[0].packing.weights, p->piece[0].packing.weights == 1 ? "" : "s",
                       p->piece[0].packing.activations, p->piece[0].packing.activations == 1 ? "" : "s",
                       p->chain, 100 * l->efficiency);
        }
        printf("\n");
    }
    printf("  %-16s %9" PRId64, "total", e->cycles);
    print_resources(&e->used);
    printf("\n  %-16s %9s", "may be used", "");
    print_resources(&e->budget);
    printf("\n%.1f frames a second, latency %.1f us; %s sets the pace, ", e->fps, e->latency_us,
           j->net->nodes[e->slowest].name);
    print_limit(e);
    printf("%s\n", e->fits ? "" : "; IT DOES NOT FIT THE DEVICE");
}

/* ---- one network on all devices ---- */

static mq_status run_all(const cli_args *args, job *j, mq_error *error) {
    json_t *rows = json_array();
    mq_status status = MQ_OK;
    if (!args->json)
        printf("%-12s %9s %9s %6s %8s %8s %7s  %s\n", "device", "cycles", "fps", "DSP", "LUT", "FF", "BRAM36",
               "limit");
    for (const mq_embedded_file *f = mixq_builtin_devices; f->name && status == MQ_OK; f++) {
        mq_error why = {0};
        status = mq_device_parse(f->name, (const char *)f->bytes, f->size, &j->device, error);
        if (status != MQ_OK) break;
        const mq_estimate *e = &j->estimate;
        status = estimate(j, &why);
        json_t *row = json_pack("{s:s}", "device", j->device.name);
        if (status == MQ_OK && args->json) {
            json_object_set_new(row, "cycles", json_integer(e->cycles));
            json_object_set_new(row, "fps", json_real(e->fps));
            add_resources(row, &e->used);
            json_object_set_new(row, "limit", json_string(mq_resource_names[limit(e, NULL)]));
        } else if (status == MQ_OK) {
            printf("%-12s %9" PRId64 " %9.1f", j->device.name, e->cycles, e->fps);
            print_resources(&e->used);
            printf("  %s\n", mq_resource_names[limit(e, NULL)]);
        } else if (status == MQ_BAD_INPUT) { /* this device cannot; the others may */
            status = MQ_OK;
            if (args->json)
                json_object_set_new(row, "error", json_string(why.text));
            else
                printf("%-12s %s\n", j->device.name, why.text);
        } else if (error) {
            *error = why;
        }
        json_array_append_new(rows, row);
        release(j);
    }
    if (status == MQ_OK && args->json)
        return cli_print_json(json_pack("{s:s, s:o}", "model", j->net->model, "devices", rows), error);
    json_decref(rows);
    return status;
}

static mq_status work(const cli_args *args, job *j, mq_error *error) {
    const char *device = cli_value(args, "--device"), *plan_out = cli_value(args, "--plan-out");
    bool all = cli_flag(args, "--all");
    if (all ? device || plan_out || cli_value(args, "--plan") : !device)
        return mq_fail(error, MQ_USAGE,
                       "estimate: --device X expected, or --all (without --plan and --plan-out)");
    if (device) MQ_TRY(mq_device_open(device, &j->device, error));
    MQ_TRY(open_network(args, &j->net, error));
    MQ_TRY(read_request(args, j, error));
    if (plan_out && !j->net->sha256[0])
        return mq_fail(error, MQ_USAGE, "--plan-out: a plan belongs to an exported network: give NET");
    if (all) return run_all(args, j, error);
    MQ_TRY(estimate(j, error));
    if (plan_out) MQ_TRY(mq_inet_plan_save(j->plan, j->net, plan_out, error));
    if (args->json) return print_json(j, error);
    print_text(j);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    job *j;
    MQ_TRY(mq_alloc(1, sizeof *j, "an estimate", &j, error));
    mq_status status = work(args, j, error);
    release(j);
    mq_inet_free(j->net);
    mq_free(j);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--model", "MODEL", "without NET: a built-in name or a .yaml file"},
    {"--bitw", "S", "with --model: weight bits, a digit per layer that is not pinned"},
    {"--bita", "S", "with --model: activation bits"},
    {"--bits", "FILE", "with --model: bits.json, or a run folder, instead of --bitw and --bita"},
    {"--symmetric", NULL, "with --model: weight codes without the lowest"},
    {"--device", "X", "a built-in device (mixq devices) or a .yaml file"},
    {"--all", NULL, "all built-in devices, a line each"},
    {"--clock", "MHZ", "clock (the device's)"},
    {"--target-fps", "N", "the smallest accelerator of this rate, instead of the fastest that fits"},
    {"--parallelism", "FILE",
     "config_simd_pe.txt: simd (kernel rows x channels) and pe of every convolution"},
    {"--plan", "FILE", "estimate this plan.json; nothing is allocated"},
    {"--multipliers", "LIST", "dsp, lut or dsp,lut (dsp,lut)"},
    {"--plan-out", "FILE", "with NET: the plan, for mixq build"},
    {NULL, NULL, NULL},
};

const cli_command cli_estimate = {
    .name = "estimate",
    .usage = "(NET | --model M (--bitw S --bita S | --bits FILE)) (--device X | --all) [options]",
    .summary = "Frame rate and resources of a network on an FPGA",
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "Allocates DSP slices, LUTs and block RAM to the layers so that the slowest stage is as fast as the\n"
        "device allows, and prints cycles and resources, layer by layer. cycles is the steady interval\n"
        "between frames. Without NET weights are taken to use all of their range.\n\n"
        "Examples:\n"
        "  mixq estimate export --device ultra96v2 --clock 250 --plan-out plan.json\n"
        "  mixq estimate --model ultranet --bitw 532555558 --bita 733677665 --device ultra96v2 --multipliers "
        "dsp\n"
        "  mixq estimate export --device zcu104 --target-fps 1000 --json\n"
        "  mixq estimate export --all\n",
    .run = run,
};
