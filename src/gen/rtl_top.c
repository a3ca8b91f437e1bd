/* rtl_top.c - the top level: one instance per stage, in order of the nodes, each followed by the fork and the
 * FIFOs of its readers; ports; taps behind MIXQ_TAPS. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "gen/rtl_graph.h"
#include "gen/rtl_stage.h"

typedef struct writer {
    const mq_rtl_graph *g;
    const mq_rtl_build *build;
    mq_outfile *file;
    mq_error *error;
} writer;

#define PRINT(w, ...) MQ_TRY(mq_outfile_printf((w)->file, (w)->error, __VA_ARGS__))

static const mq_build_stage *stage(const writer *w, int i) {
    return &w->g->build->stage[i];
}

/* "conv0" of "stage_conv0". */
static const char *stem(const writer *w, int i) {
    return i < 0 ? "out" : stage(w, i)->module + strlen("stage_");
}

static int beat_bits(const mq_stream *s) {
    return s->channels * s->pixels * s->bits;
}

static int reader_count(const writer *w, int from) {
    int n = 0;
    for (int e = 0; e < w->g->edges; e++) n += w->g->edge[e].from == from;
    return n;
}

/* The nets of an edge: "conv3_to_concat0_1". */
static void edge_name(const writer *w, const mq_rtl_edge *e, char *out, size_t size) {
    int n = snprintf(out, size, "%s_to_%s", stem(w, e->from), stem(w, e->to));
    if (e->to >= 0 && w->build->net->nodes[stage(w, e->to)->node].input_count > 1)
        snprintf(out + n, size - (size_t)n, "_%d", e->input);
}

static mq_status print_nets(writer *w, const char *name, int bits) {
    PRINT(w, "  wire %s_valid, %s_ready;\n  wire [%d:0] %s_data;\n", name, name, bits - 1, name);
    return MQ_OK;
}

static mq_status print_table(writer *w) {
    const mq_build *b = w->g->build;
    PRINT(w, "// %s: %s, weights %.60s, activations %.60s; for %s at %g MHz. Written by mixq %s.\n//\n",
          b->top, b->model, w->build->net->bitw, w->build->net->bita, b->device, b->clock_mhz, MIXQ_VERSION);
    PRINT(w, "//   %-20s %-16s %-22s %-16s %12s\n", "stage", "frame h x w x c", "beat pixels x channels",
          "bits", "beats");
    for (int i = 0; i < b->count; i++) {
        const mq_stream *s = &b->stage[i].out;
        char shape[48], beat[48], bits[32];
        snprintf(shape, sizeof shape, "%d x %d x %d", s->h, s->w, s->c);
        snprintf(beat, sizeof beat, "%d x %d", s->pixels, s->channels);
        snprintf(bits, sizeof bits, "%d%s", s->bits, s->is_signed ? " signed" : "");
        PRINT(w, "//   %-20s %-16s %-22s %-16s %12lld\n", stem(w, i), shape, beat, bits,
              (long long)mq_stream_beats(s));
    }
    PRINT(w, "//\n//   %-41s FIFO, beats x bits\n", "stream");
    for (int e = 0; e < w->g->edges; e++) {
        char name[3 * MQ_BUILD_NAME];
        edge_name(w, &w->g->edge[e], name, sizeof name);
        PRINT(w, "//   %-41s %lld x %d\n", name, (long long)w->g->edge[e].depth,
              beat_bits(&stage(w, w->g->edge[e].from)->out));
    }
    return MQ_OK;
}

static mq_status print_head(writer *w) {
    const mq_build *b = w->g->build;
    PRINT(w, "module %s (\n    input aclk,\n    input aresetn,\n", b->top);
    PRINT(w, "    input [%d:0] s_axis_tdata,\n    input s_axis_tvalid,\n    output s_axis_tready,\n",
          b->in_bits - 1);
    PRINT(w, "    output [%d:0] m_axis_tdata,\n    output m_axis_tvalid,\n    input m_axis_tready,\n",
          b->out_bits - 1);
    PRINT(w, "    output m_axis_tlast\n);\n");
    PRINT(w, "  wire clk = aclk;\n  reg [1:0] reset = 2'b11;\n  always @(posedge aclk) reset <= {reset[0], "
             "!aresetn};\n  wire rst = reset[1];\n\n");
    PRINT(w, "  // images\n");
    MQ_TRY(print_nets(w, "in", beat_bits(&b->in)));
    PRINT(w, "  assign in_data = s_axis_tdata[%d:0];\n", beat_bits(&b->in) - 1);
    PRINT(w, "  assign in_valid = s_axis_tvalid && !rst;\n  assign s_axis_tready = in_ready && !rst;\n");
    return MQ_OK;
}

static mq_status print_ports(writer *w, const char *port, const char *net, bool last) {
    PRINT(w, "      .%s_valid(%s_valid),\n      .%s_ready(%s_ready),\n      .%s_data(%s_data)%s\n", port, net,
          port, net, port, net, last ? "" : ",");
    return MQ_OK;
}

static mq_status print_stage(writer *w, int i) {
    const mq_build_stage *s = stage(w, i);
    const mq_inet_node *n = &w->build->net->nodes[s->node];
    char name[3 * MQ_BUILD_NAME];
    PRINT(w, "\n  // %s%s%s\n", n->name, s->result != s->node ? " and " : "",
          s->result != s->node ? w->build->net->nodes[s->result].name : "");
    MQ_TRY(print_nets(w, stem(w, i), beat_bits(&s->out)));
    PRINT(w, "  %s u_%s (\n      .clk(clk),\n      .rst(rst),\n", s->module, stem(w, i));
    if (n->input_count == 0) MQ_TRY(print_ports(w, "s", "in", false));
    for (int k = 0; k < n->input_count; k++) {
        char port[16] = "s";
        if (n->input_count > 1) snprintf(port, sizeof port, "s%d", k);
        for (int e = 0; e < w->g->edges; e++)
            if (w->g->edge[e].to == i && w->g->edge[e].input == k)
                edge_name(w, &w->g->edge[e], name, sizeof name);
        MQ_TRY(print_ports(w, port, name, false));
    }
    MQ_TRY(print_ports(w, "m", stem(w, i), true));
    PRINT(w, "  );\n");
    return MQ_OK;
}

static mq_status print_tap(writer *w, int i) {
    const mq_build_stage *s = stage(w, i);
    const char *dump = w->build->net->nodes[s->result].dump, *name = stem(w, i);
    PRINT(w,
          "`ifdef MIXQ_TAPS\n  mixq_tap #(\n      .W(%d),\n      .BEATS(%lld),\n      .NAME(\"%s\")\n  ) "
          "tap_%s (\n",
          beat_bits(&s->out), dump[0] ? (long long)mq_stream_beats(&s->out) : 0LL, dump[0] ? dump : name,
          name);
    PRINT(w,
          "      .clk(clk),\n      .rst(rst),\n      .valid(%s_valid),\n      .ready(%s_ready),\n      "
          ".data(%s_data)\n  );\n`endif\n",
          name, name, name);
    return MQ_OK;
}

/* Prints a text of the stages' writer and releases it. */
static mq_status print_text(writer *w, mq_status made, char *const *text) {
    MQ_TRY(made);
    mq_status status = mq_outfile_write(w->file, *text, strlen(*text), w->error);
    mq_free(*text);
    return status;
}

/* The fork behind a stage of several readers, and every reader's FIFO. */
static mq_status print_readers(writer *w, int i) {
    const mq_stream *s = &stage(w, i)->out;
    const int readers = reader_count(w, i);
    char name[3 * MQ_BUILD_NAME], forked[MQ_INET_MAX_NODES][MQ_BUILD_NAME + 16], *text;
    const char *forks[MQ_INET_MAX_NODES];
    for (int k = 0; k < readers && readers > 1; k++) {
        snprintf(forked[k], sizeof forked[k], "%s_copy%d", stem(w, i), k);
        forks[k] = forked[k];
        MQ_TRY(print_nets(w, forks[k], beat_bits(s)));
    }
    if (readers > 1)
        MQ_TRY(print_text(w, mq_rtl_fork(s, stem(w, i), forks, readers, &text, w->error), &text));
    for (int e = 0, reader = 0; e < w->g->edges; e++) {
        if (w->g->edge[e].from != i) continue;
        edge_name(w, &w->g->edge[e], name, sizeof name);
        MQ_TRY(print_nets(w, name, beat_bits(s)));
        MQ_TRY(print_text(w,
                          mq_rtl_fifo(s, w->g->edge[e].depth, readers > 1 ? forks[reader] : stem(w, i), name,
                                      &text, w->error),
                          &text));
        reader++;
    }
    return MQ_OK;
}

/* The output port; its last beat of a frame. */
static mq_status print_tail(writer *w) {
    const mq_rtl_edge *last = &w->g->edge[w->g->edges - 1];
    const mq_stream *s = &stage(w, last->from)->out;
    char name[3 * MQ_BUILD_NAME], *text;
    const char *names[] = {name};
    mq_stream out;
    edge_name(w, last, name, sizeof name);
    PRINT(w, "\n  // %s\n", mq_inet_last(w->build->net)->name);
    MQ_TRY(print_nets(w, "out", beat_bits(s)));
    PRINT(w, "  wire out_last;\n");
    MQ_TRY(print_text(
        w, mq_rtl_stage(w->build, w->build->net->node_count - 1, s, names, "out", &text, &out, w->error),
        &text));
    PRINT(w, "  assign m_axis_tvalid = out_valid;\n  assign out_ready = m_axis_tready;\n");
    PRINT(w, "  assign m_axis_tlast = out_last;\n");
    if (w->g->build->out_bits > beat_bits(s))
        PRINT(w, "  assign m_axis_tdata = {%d'd0, out_data};\n", w->g->build->out_bits - beat_bits(s));
    else
        PRINT(w, "  assign m_axis_tdata = out_data;\n");
    PRINT(w, "endmodule\n");
    return MQ_OK;
}

static mq_status print_top(writer *w) {
    MQ_TRY(print_table(w));
    MQ_TRY(print_head(w));
    for (int i = 0; i < w->g->build->count; i++) {
        MQ_TRY(print_stage(w, i));
        MQ_TRY(print_tap(w, i));
        MQ_TRY(print_readers(w, i));
    }
    return print_tail(w);
}

mq_status mq_rtl_top_write(const mq_rtl_graph *g, const mq_rtl_build *build, mq_error *error) {
    char path[MQ_PATH], name[MQ_BUILD_NAME + 8];
    writer w = {.g = g, .build = build, .error = error};
    snprintf(name, sizeof name, "rtl/%s.v", g->build->top);
    MQ_TRY(mq_path_join(build->dir, name, path, error));
    MQ_TRY(mq_outfile_open(path, &w.file, error));
    mq_outfile_unsynced(w.file);
    mq_status status = print_top(&w);
    if (status == MQ_OK) return mq_outfile_commit(w.file, error);
    mq_outfile_abort(w.file);
    return status;
}
