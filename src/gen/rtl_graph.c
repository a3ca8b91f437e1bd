/* rtl_graph.c - which node becomes which stage. */
#include "gen/rtl_graph.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "accel/pipeline.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "gen/beats.h"
#include "gen/rtl_layer.h"
#include "gen/rtl_stage.h"

static bool is_layer(const mq_inet_node *n) {
    return n->kind == MQ_INET_CONV || n->kind == MQ_INET_LINEAR;
}

/* A name of Verilog: letters, digits, '_', not first a digit. */
static void clean_name(const char *prefix, const char *name, char *out, size_t size) {
    snprintf(out, size, "%s%s", prefix, name);
    for (char *c = out; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
}

/* The node whose codes leave node i's stage. */
static mq_status find_result(const mq_inet *net, int i, int *result, mq_error *error) {
    const mq_inet_node *n = &net->nodes[i];
    int requants = 0, others = 0;
    *result = i;
    for (int k = i + 1; k < net->node_count; k++)
        for (int j = 0; j < net->nodes[k].input_count; j++) {
            if (net->nodes[k].input[j] != i) continue;
            if (net->nodes[k].kind == MQ_INET_REQUANT) {
                *result = k;
                requants++;
            } else if (is_layer(n) && net->nodes[k].kind != MQ_INET_OUTPUT) {
                return mq_fail(error, MQ_BAD_INPUT,
                               "%s: %s '%s' reads its accumulators; no hardware is built for that", n->name,
                               mq_inet_kind_name(net->nodes[k].kind), net->nodes[k].name);
            } else {
                others++;
            }
        }
    if (!is_layer(n) && requants)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: a requantiser of what is no layer; no hardware is built for that",
                       net->nodes[*result].name);
    if (is_layer(n) && requants + others != 1)
        return mq_fail(
            error, MQ_BAD_INPUT,
            "%s: its accumulators are read by %d requantisers and %d others; hardware is built for "
            "one reader",
            n->name, requants, others);
    return MQ_OK;
}

/* name, or name_pe, the module of a layer's element. */
static bool claims(const char *name, const char *module) {
    size_t n = strlen(name);
    return strncmp(name, module, n) == 0 && (module[n] == 0 || strcmp(module + n, "_pe") == 0);
}

/* "stage_" and the node's name as one of Verilog; unlike the ports' and the modules of the stages before it.
 * What follows "stage_" is a name itself. */
static void name_module(const mq_build *b, const char *name, mq_build_stage *s) {
    char clean[MQ_BUILD_NAME];
    clean_name(isdigit((unsigned char)name[0]) ? "stage_n" : "stage_", name, clean, sizeof clean - 12);
    snprintf(s->module, sizeof s->module, "%s", clean);
    for (int number = s->node;; number++) {
        bool taken = claims(s->module, "stage_in") || claims(s->module, "stage_out");
        for (int k = 0; k + 1 < b->count; k++)
            taken = taken || claims(s->module, b->stage[k].module) || claims(b->stage[k].module, s->module);
        if (!taken) return;
        snprintf(s->module, sizeof s->module, "%.*s_%d", MQ_BUILD_NAME - 12, clean, number);
    }
}

static mq_status add_stages(const mq_inet *net, const mq_pipeline *pipeline, mq_build *b, mq_error *error) {
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *n = &net->nodes[i];
        if (n->kind == MQ_INET_REQUANT || n->kind == MQ_INET_OUTPUT) continue;
        if (n->kind == MQ_INET_RESCALE)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s: no hardware is built for that", n->name,
                           mq_inet_kind_name(n->kind));
        mq_build_stage *s = &b->stage[b->count++];
        s->node = i;
        MQ_TRY(find_result(net, i, &s->result, error));
        s->out = pipeline->stage[s->result].out;
        s->cycles = pipeline->stage[i].cycles;
        name_module(b, n->name, s);
    }
    return MQ_OK;
}

static int stage_of(const mq_build *b, int node) {
    for (int i = 0; i < b->count; i++)
        if (b->stage[i].result == node) return i;
    return -1;
}

static int64_t depth_of(const mq_inet_plan *plan, int from, int to) {
    for (int i = 0; i < plan->streams; i++)
        if (plan->stream[i].from == from && plan->stream[i].to == to) return plan->stream[i].depth;
    return 0;
}

static mq_status add_edges(const mq_inet *net, const mq_inet_plan *plan, mq_rtl_graph *g, mq_error *error) {
    const mq_build *b = g->build;
    MQ_TRY(
        mq_alloc((size_t)net->node_count * MQ_INET_MAX_INPUTS, sizeof *g->edge, "streams", &g->edge, error));
    for (int from = 0; from < b->count; from++)
        for (int to = from + 1; to < b->count; to++) {
            const mq_inet_node *reader = &net->nodes[b->stage[to].node];
            for (int k = 0; k < reader->input_count; k++)
                if (reader->input[k] == b->stage[from].result)
                    g->edge[g->edges++] =
                        (mq_rtl_edge){from, to, k, depth_of(plan, reader->input[k], b->stage[to].node)};
        }
    const mq_inet_node *last = mq_inet_last(net);
    int from = stage_of(b, last->input[0]);
    if (from < 0 || !is_layer(&net->nodes[b->stage[from].node]) ||
        b->stage[from].result != b->stage[from].node)
        return mq_fail(error, MQ_BAD_INPUT, "%s: reads '%s'; the accumulators of a layer expected",
                       last->name, net->nodes[last->input[0]].name);
    g->edge[g->edges++] = (mq_rtl_edge){from, -1, 0, depth_of(plan, last->input[0], net->node_count - 1)};
    return MQ_OK;
}

static mq_status make(const mq_inet *net, const mq_inet_plan *plan, mq_rtl_graph *g, mq_error *error) {
    mq_pipeline pipeline;
    mq_build *b;
    MQ_TRY(mq_alloc(1, sizeof *b, "a build", &g->build, error));
    b = g->build;
    MQ_TRY(mq_alloc((size_t)net->node_count, sizeof *b->stage, "stages", &b->stage, error));
    MQ_TRY(mq_pipeline_make(net, plan, &pipeline, error));
    mq_status status = add_stages(net, &pipeline, b, error);
    mq_pipeline_free(&pipeline);
    MQ_TRY(status);
    MQ_TRY(add_edges(net, plan, g, error));
    snprintf(b->model, sizeof b->model, "%s", net->model);
    snprintf(b->network, sizeof b->network, "%s", net->sha256);
    snprintf(b->device, sizeof b->device, "%s", plan->device);
    b->clock_mhz = plan->clock_mhz;
    clean_name(isdigit((unsigned char)net->model[0]) ? "net_" : "", net->model[0] ? net->model : "network",
               b->top, sizeof b->top - 8);
    strcat(b->top, "_top");
    b->in = b->stage[0].out;
    b->in.bits = 8;
    b->in.is_signed = false;
    b->in_bits = mq_axis_bits((int64_t)b->in.channels * b->in.pixels * b->in.bits);
    const mq_stream *out = &b->stage[g->edge[g->edges - 1].from].out;
    b->out_bits = mq_axis_bits((int64_t)out->channels * out->pixels * out->bits);
    return MQ_OK;
}

mq_status mq_rtl_graph_make(const mq_inet *net, const mq_inet_plan *plan, mq_rtl_graph *out,
                            mq_error *error) {
    *out = (mq_rtl_graph){0};
    mq_status status = make(net, plan, out, error);
    if (status != MQ_OK) mq_rtl_graph_free(out);
    return status;
}

void mq_rtl_graph_free(mq_rtl_graph *g) {
    mq_build_free(g->build);
    mq_free(g->edge);
    *g = (mq_rtl_graph){0};
}

/* ---- the modules ---- */

static mq_status same_stream(const mq_stream *got, const mq_stream *expected, const char *name,
                             mq_error *error) {
    if (got->h == expected->h && got->w == expected->w && got->c == expected->c &&
        got->channels == expected->channels && got->pixels == expected->pixels &&
        got->bits == expected->bits && got->is_signed == expected->is_signed)
        return MQ_OK;
    return mq_fail(
        error, MQ_INTERNAL,
        "%s: the stage gives beats of %d channels x %d pixels x %d bits, the pipeline has %d x %d x "
        "%d",
        name, got->channels, got->pixels, got->bits, expected->channels, expected->pixels, expected->bits);
}

static mq_status print_ports(mq_outfile *file, const char *port, const mq_stream *s, bool in,
                             mq_error *error) {
    const char *with = in ? "input" : "output", *against = in ? "output" : "input";
    return mq_outfile_printf(file, error, ",\n    %s %s_valid,\n    %s %s_ready,\n    %s [%lld:0] %s_data",
                             with, port, against, port, with, (long long)mq_rtl_stream_width(s) - 1, port);
}

/* A stage without multipliers, in a module of its own: s_*, or s0_*, s1_*, ... for several inputs, to m_*. */
static mq_status print_module(const mq_rtl_build *build, const mq_build_stage *s, const mq_stream *in,
                              mq_outfile *file, mq_stream *out, mq_error *error) {
    const mq_inet_node *n = &build->net->nodes[s->node];
    const int inputs = n->input_count ? n->input_count : 1;
    char name[MQ_INET_MAX_INPUTS][16], *text;
    const char *names[MQ_INET_MAX_INPUTS];
    MQ_TRY(mq_outfile_printf(
        file, error, "// %s: %s of %s. Written by mixq %s.\nmodule %s (\n    input clk,\n    input rst",
        n->name, mq_inet_kind_name(n->kind), build->net->model, MIXQ_VERSION, s->module));
    for (int k = 0; k < inputs; k++) {
        snprintf(name[k], sizeof name[k], inputs > 1 ? "s%d" : "s", k);
        names[k] = name[k];
        MQ_TRY(print_ports(file, names[k], &in[k], true, error));
    }
    MQ_TRY(print_ports(file, "m", &s->out, false, error));
    MQ_TRY(mq_rtl_stage(build, s->node, in, names, "m", &text, out, error));
    mq_status status = mq_outfile_printf(file, error, "\n);\n");
    if (status == MQ_OK) status = mq_outfile_write(file, text, strlen(text), error);
    mq_free(text);
    return status == MQ_OK ? mq_outfile_printf(file, error, "endmodule\n") : status;
}

static mq_status write_module(const mq_rtl_build *build, const mq_build_stage *s, const mq_stream *in,
                              mq_stream *out, mq_error *error) {
    char path[MQ_PATH], name[MQ_BUILD_NAME + 8];
    mq_outfile *file;
    snprintf(name, sizeof name, "rtl/%s.v", s->module);
    MQ_TRY(mq_path_join(build->dir, name, path, error));
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_outfile_unsynced(file);
    mq_status status = print_module(build, s, in, file, out, error);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

static mq_status write_stage(const mq_rtl_graph *g, const mq_rtl_build *build, int i, mq_error *error) {
    mq_build_stage *s = &g->build->stage[i];
    const mq_inet_node *n = &build->net->nodes[s->node];
    mq_stream in[MQ_INET_MAX_INPUTS] = {g->build->in}, out = {0};
    for (int k = 0; k < n->input_count; k++) in[k] = g->build->stage[stage_of(g->build, n->input[k])].out;
    if (is_layer(n))
        MQ_TRY(mq_rtl_layer(build, mq_inet_plan_layer(build->plan, s->node), &in[0], s->module, &out, error));
    else
        MQ_TRY(write_module(build, s, in, &out, error));
    return same_stream(&out, &s->out, n->name, error);
}

mq_status mq_rtl_graph_write(const mq_rtl_graph *g, const mq_rtl_build *build, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_path_join(build->dir, "rtl", path, error));
    MQ_TRY(mq_make_dirs(path, error));
    MQ_TRY(mq_path_join(build->dir, "mem", path, error));
    MQ_TRY(mq_make_dirs(path, error));
    for (int i = 0; i < g->build->count; i++) {
        mq_status status = write_stage(g, build, i, error);
        if (status != MQ_OK)
            return mq_fail_context(error, status, "stage %s",
                                   build->net->nodes[g->build->stage[i].node].name);
        mq_progress("build", (uint64_t)i + 1, (uint64_t)g->build->count, "stages");
    }
    return MQ_OK;
}
