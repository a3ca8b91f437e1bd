/* hls_build.c - the files of an HLS accelerator. */
#include "gen/hls_build.h"

#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "base/memory.h"
#include "gen/hls_beats.h"
#include "gen/hls_host.h"
#include "gen/hls_layer.h"
#include "gen/hls_text.h"

mq_stream mq_hls_input(const mq_hls_net *h) {
    mq_stream s = h->stage[0].out;
    s.bits = 8;
    return s;
}

mq_stream mq_hls_output(const mq_hls_net *h) {
    return h->stage[h->count - 1].out;
}

static const mq_inet_node *node_of(const mq_hls_net *h, const mq_hls_stage *s) {
    return &h->net->nodes[s->node];
}

static int width(const mq_stream *s) {
    return s->channels * s->pixels * s->bits;
}

/* ---- top.cpp ---- */

/* The stream by which stage `to` reads its input i: the producer's own, or one of the fork's. */
static void edge_name(const mq_hls_net *h, int to, int i, char *out, size_t size) {
    int from = h->stage[to].input[i], before = 0;
    for (int t = 0; t <= to; t++)
        for (int k = 0; k < (t == to ? i : h->stage[t].inputs); k++) before += h->stage[t].input[k] == from;
    if (h->stage[from].readers == 1)
        snprintf(out, size, "s_%s", h->stage[from].id);
    else
        snprintf(out, size, "f_%s_%d", h->stage[from].id, before);
}

static void stream(mq_hls_text *t, int bits, const char *name, int64_t depth) {
    mq_hls_say(t, "    hls::stream<ap_uint<%d>> %s(\"%s\");\n#pragma HLS STREAM variable=%s depth=%lld\n",
               bits, name, name, name, (long long)depth);
}

/* Streams that leave stage i: its own, and those of a fork. */
static void streams_of(const mq_hls_net *h, int i, mq_hls_text *t) {
    const mq_hls_stage *s = &h->stage[i];
    char name[MQ_HLS_ID + 48];
    int64_t own = 2;
    for (int to = i + 1; to < h->count && s->readers == 1; to++)
        for (int k = 0; k < h->stage[to].inputs; k++)
            if (h->stage[to].input[k] == i) own = mq_hls_depth(h, i, to);
    snprintf(name, sizeof name, "s_%s", s->id);
    stream(t, width(&s->out), name, own);
    for (int to = i + 1; to < h->count && s->readers > 1; to++)
        for (int k = 0; k < h->stage[to].inputs; k++)
            if (h->stage[to].input[k] == i) {
                edge_name(h, to, k, name, sizeof name);
                stream(t, width(&s->out), name, mq_hls_depth(h, i, to));
            }
    for (int k = 0; k + 2 < s->readers; k++) {
        snprintf(name, sizeof name, "f_%s_rest%d", s->id, k);
        stream(t, width(&s->out), name, 2);
    }
}

static void fork_of(const mq_hls_stage *s, mq_hls_text *t) {
    char from[MQ_HLS_ID + 48];
    snprintf(from, sizeof from, "s_%s", s->id);
    for (int k = 0; k + 1 < s->readers; k++) {
        bool last = k + 2 == s->readers;
        mq_hls_say(t, "    mixq::fork<ap_uint<%d>, %lld>(%s, f_%s_%d, f_%s_%s%d);\n", width(&s->out),
                   (long long)mq_stream_beats(&s->out), from, s->id, k, s->id, last ? "" : "rest",
                   last ? k + 1 : k);
        snprintf(from, sizeof from, "f_%s_rest%d", s->id, k);
    }
}

static void concat_of(const mq_hls_net *h, int i, mq_hls_text *t) {
    const mq_hls_stage *s = &h->stage[i];
    char left[MQ_HLS_ID + 48], right[MQ_HLS_ID + 48], out[MQ_HLS_ID + 48];
    edge_name(h, i, 0, left, sizeof left);
    int64_t before = mq_stream_row_beats(&h->stage[s->input[0]].out);
    int bits = h->stage[s->input[0]].out.bits;
    for (int k = 1; k < s->inputs; k++) {
        const mq_stream *in = &h->stage[s->input[k]].out;
        edge_name(h, i, k, right, sizeof right);
        bool last = k + 1 == s->inputs;
        snprintf(out, sizeof out, last ? "s_%s" : "f_%s_part%d", s->id, k);
        if (!last) stream(t, width(&s->out), out, 2);
        mq_hls_say(t, "    mixq::concat<%d, %lld, %lld, %d, %d, %d, %d>(%s, %s, %s);\n", s->out.h,
                   (long long)before, (long long)mq_stream_row_beats(in), s->out.channels * s->out.pixels,
                   bits, in->bits, s->out.bits, left, right, out);
        before += mq_stream_row_beats(in);
        bits = s->out.bits;
        snprintf(left, sizeof left, "%s", out);
    }
}

static void call(const mq_hls_net *h, int i, mq_hls_text *t) {
    const mq_hls_stage *s = &h->stage[i];
    const mq_stream *in = s->inputs ? &h->stage[s->input[0]].out : NULL, *out = &s->out;
    const mq_inet_node *n = node_of(h, s);
    char from[MQ_HLS_ID + 48] = "";
    if (s->inputs) edge_name(h, i, 0, from, sizeof from);
    int groups = in ? (in->c + in->channels - 1) / in->channels : 0;
    switch (n->kind) {
    case MQ_INET_IMAGE: {
        mq_stream axis = mq_hls_input(h);
        mq_hls_say(t, "    mixq::image<%d, %d, %zu, %lld>(s_axis, s_%s);\n", out->channels * out->pixels,
                   out->bits, 8 * mq_hls_axis_bytes(&axis), (long long)mq_stream_beats(out), s->id);
        break;
    }
    case MQ_INET_MAX_POOL:
        mq_hls_say(t, "    mixq::max_pool<%d, %d, %d, %d, %d, %d, %s, %d>(%s, s_%s);\n", in->h, in->w, groups,
                   in->channels, in->pixels, in->bits, in->is_signed ? "true" : "false", n->pool.kernel, from,
                   s->id);
        break;
    case MQ_INET_REORG:
        mq_hls_say(t, "    mixq::reorg<%d, %d, %d, %d, %d, %d>(%s, s_%s);\n", in->h, in->w, groups,
                   in->channels, in->pixels, in->bits, from, s->id);
        break;
    case MQ_INET_CONCAT:
        concat_of(h, i, t);
        break;
    case MQ_INET_RESCALE:
        mq_hls_say(t, "    mixq::look_up<%d, %d, %d, %lld>(%s, table_%s, s_%s);\n", in->channels * in->pixels,
                   in->bits, out->bits, (long long)mq_stream_beats(out), from, s->id, s->id);
        break;
    case MQ_INET_REQUANT:
        break; /* its layer drives it */
    default:
        mq_hls_say(t, "    %s(%s, s_%s", s->id, from, s->id);
        for (int k = i + 1; k < h->count; k++)
            if (h->stage[k].beside == i) mq_hls_say(t, ", s_%s", h->stage[k].id);
        mq_hls_say(t, ");\n");
    }
    mq_hls_say(t, "    MIXQ_TAP(%s, s_%s)\n", s->id, s->id);
    if (s->readers > 1) fork_of(s, t);
}

static void rescale_table(const mq_hls_net *h, const mq_hls_stage *s, mq_hls_text *t) {
    const mq_inet_rescale *r = &node_of(h, s)->rescale;
    int codes = 1 << h->stage[s->input[0]].out.bits;
    mq_hls_say(t, "static const mixq::rom_word<%d> table_%s[%d] = {", s->out.bits, s->id, codes);
    for (int code = 0; code < codes; code++) {
        float value = (float)code * r->multiply; /* as the network defines it: float32, each step rounded */
        value = value / r->divide;
        int64_t whole = (int64_t)__builtin_rintf(value), most = ((int64_t)1 << s->out.bits) - 1;
        mq_hls_say(t, "%lld%s", (long long)(whole > most ? most : whole),
                   code + 1 < codes ? ", " : "};\n\n"); /* above: not reached */
    }
}

static mq_status write_top(const mq_hls_net *h, const char *dir, mq_error *error) {
    mq_stream in = mq_hls_input(h), out = mq_hls_output(h);
    mq_hls_text t = mq_hls_open(dir, "top.cpp", error);
    mq_hls_say(&t,
               "// The accelerator of %s: stages joined by streams, all at work at once.\n"
               "#include \"top.h\"\n\n#include \"layers.h\"\n#include \"mixq_stages.h\"\n\n"
               "#ifdef __SYNTHESIS__\n#define MIXQ_TAP(name, stream)\n#else\n#include \"mixq_bench.h\"\n"
               "#define MIXQ_TAP(name, stream) mixq::tap(#name, stream);\n#endif\n\n",
               h->net->model);
    for (int i = 0; i < h->count; i++)
        if (node_of(h, &h->stage[i])->kind == MQ_INET_RESCALE) rescale_table(h, &h->stage[i], &t);
    mq_hls_say(&t, "void mixq_accelerator(hls::stream<mixq_in> &s_axis, hls::stream<mixq_out> &m_axis) {\n"
                   "#pragma HLS INTERFACE axis port=s_axis\n#pragma HLS INTERFACE axis port=m_axis\n"
                   "#pragma HLS INTERFACE ap_ctrl_none port=return\n#pragma HLS DATAFLOW\n");
    for (int i = 0; i < h->count; i++) streams_of(h, i, &t);
    mq_hls_say(&t, "\n");
    for (int i = 0; i < h->count; i++) call(h, i, &t);
    mq_hls_say(&t, "    mixq::output<%d, %zu, %lld>(s_%s, m_axis);\n}\n", width(&out),
               8 * mq_hls_axis_bytes(&out), (long long)mq_stream_beats(&out), h->stage[h->count - 1].id);
    MQ_TRY(mq_hls_close(&t));

    t = mq_hls_open(dir, "top.h", error);
    mq_hls_say(
        &t,
        "// The accelerator's two streams. Network: SHA-256 %s.\n"
        "#ifndef MIXQ_TOP_H\n#define MIXQ_TOP_H\n\n#include \"mixq_common.h\"\n\n#include "
        "<ap_axi_sdata.h>\n\n"
        "typedef ap_axiu<%zu, 0, 0, 0> mixq_in;  // %d pixels x %d channels of 8 bits\n"
        "typedef ap_axiu<%zu, 0, 0, 0> mixq_out; // %d pixels x %d channels of 32 bits\n"
        "static const int MIXQ_IN_BEATS = %lld, MIXQ_OUT_BEATS = %lld; // of a frame\n"
        "static const int MIXQ_IN_BYTES = %zu, MIXQ_OUT_BYTES = %zu;   // of a beat\n\n"
        "void mixq_accelerator(hls::stream<mixq_in> &s_axis, hls::stream<mixq_out> &m_axis);\n\n#endif\n",
        h->net->sha256, 8 * mq_hls_axis_bytes(&in), in.pixels, in.channels, 8 * mq_hls_axis_bytes(&out),
        out.pixels, out.channels, (long long)mq_stream_beats(&in), (long long)mq_stream_beats(&out),
        mq_hls_axis_bytes(&in), mq_hls_axis_bytes(&out));
    MQ_TRY(mq_hls_close(&t));

    t = mq_hls_open(dir, "layers.h", error);
    mq_hls_say(&t, "// The layers' functions: beats of codes in, beats of codes out.\n#ifndef "
                   "MIXQ_LAYERS_H\n#define MIXQ_LAYERS_H\n\n"
                   "#include \"mixq_common.h\"\n\n");
    for (int i = 0; i < h->count; i++)
        if (mq_hls_is_layer(&h->stage[i])) {
            mq_hls_signature(h, &h->stage[i], &t);
            mq_hls_say(&t, ";\n");
        }
    mq_hls_say(&t, "\n#endif\n");
    return mq_hls_close(&t);
}

/* ---- bench, scripts, vectors ---- */

static mq_status write_scripts(const mq_hls_net *h, const char *dir, const mq_hls_options *o,
                               mq_error *error) {
    double clock = o->clock_mhz > 0 ? o->clock_mhz : h->plan->clock_mhz > 0 ? h->plan->clock_mhz : 200;
    mq_hls_text t = mq_hls_open(dir, "build.tcl", error);
    mq_hls_say(&t, "# vitis_hls -f build.tcl: C simulation, synthesis, IP for Vivado's catalogue.\n");
    if (o->part)
        mq_hls_say(&t, "set part %s\nif {[info exists ::env(MIXQ_PART)]} { set part $::env(MIXQ_PART) }\n",
                   o->part);
    else
        mq_hls_say(&t, "if {![info exists ::env(MIXQ_PART)]} { error \"MIXQ_PART: the device's part "
                       "expected\" }\nset part $::env(MIXQ_PART)\n");
    mq_hls_say(
        &t,
        "open_project -reset mixq_hls\nset_top mixq_accelerator\nset flags \"-std=c++14 -DAP_INT_MAX_W=%d\"\n"
        "add_files -cflags $flags {top.cpp",
        MQ_HLS_WORD);
    for (int i = 0; i < h->count; i++)
        if (mq_hls_is_layer(&h->stage[i])) mq_hls_say(&t, " %s.cpp", h->stage[i].id);
    mq_hls_say(&t,
               "}\nadd_files -tb -cflags $flags bench.cpp\nadd_files -tb vectors\n"
               "open_solution -reset -flow_target vivado solution\nset_part $part\ncreate_clock -period %.3f "
               "-name default\n"
               "csim_design -argv vectors\ncsynth_design\nexport_design -format ip_catalog -display_name "
               "\"mixq %s\"\nexit\n",
               1000 / clock, h->net->model);
    MQ_TRY(mq_hls_close(&t));

    t = mq_hls_open(dir, "Makefile", error);
    mq_hls_say(&t,
               "# make bench: the simulation; with XILINX_HLS set it is built with Vitis' own headers. SRC: "
               "this folder, where it is\n"
               "# built in another one.\n"
               "CXX ?= g++\nCXXFLAGS ?= -O2\nSRC ?= .\n"
               "INCLUDE := $(if $(XILINX_HLS),-isystem $(XILINX_HLS)/include,-I$(SRC)/standin)\n"
               "FLAGS := -std=c++14 -DAP_INT_MAX_W=%d -Wno-unknown-pragmas -I$(SRC) $(INCLUDE)\n"
               "OBJECTS := top.o bench.o",
               MQ_HLS_WORD);
    for (int i = 0; i < h->count; i++)
        if (mq_hls_is_layer(&h->stage[i])) mq_hls_say(&t, " %s.o", h->stage[i].id);
    mq_hls_say(&t,
               "\n\nbench: $(OBJECTS)\n\t$(CXX) $(CXXFLAGS) -o $@ $(OBJECTS)\n\n"
               "%%.o: $(SRC)/%%.cpp $(wildcard $(SRC)/*.h $(SRC)/standin/*.h)\n\t$(CXX) $(FLAGS) $(CXXFLAGS) "
               "-c -o $@ $<\n\n"
               "run: bench\n\t./bench $(SRC)/vectors\n\nclean:\n\trm -f bench *.o\n\n.PHONY: run clean\n");
    return mq_hls_close(&t);
}

/* A frame's beats, each as wide as its port. */
static void say_beats(mq_hls_text *t, const mq_stream *s, const uint8_t *bytes) {
    static const uint8_t zeros[MQ_HLS_WORD / 8];
    size_t each = mq_beat_bytes(s), pad = mq_hls_axis_bytes(s) - each;
    for (int64_t i = 0; i < mq_stream_beats(s); i++) {
        mq_hls_bytes(t, bytes + (size_t)i * each, each);
        mq_hls_bytes(t, zeros, pad);
    }
}

mq_status mq_hls_vectors_write(const mq_hls_net *h, const char *folder, size_t images, const uint8_t *image,
                               const int64_t *const *output, mq_error *error) {
    mq_stream in = mq_hls_input(h), out = mq_hls_output(h);
    size_t pixels = (size_t)in.h * (size_t)in.w * (size_t)in.c;
    size_t most = mq_frame_bytes(&in) > mq_frame_bytes(&out) ? mq_frame_bytes(&in) : mq_frame_bytes(&out);
    uint8_t *bytes;
    int64_t *codes;
    MQ_TRY(mq_make_dirs(folder, error));
    MQ_TRY(mq_alloc(most, 1, "golden vectors", &bytes, error));
    mq_status status = mq_alloc(pixels, sizeof *codes, "golden vectors", &codes, error);
    if (status != MQ_OK) {
        mq_free(bytes);
        return status;
    }
    mq_hls_text a = mq_hls_open(folder, "input.beats", error), b = mq_hls_open(folder, "output.beats", error);
    for (size_t f = 0; f < images; f++) {
        for (size_t i = 0; i < pixels; i++) codes[i] = image[f * pixels + i];
        mq_beats_pack(&in, codes, bytes);
        say_beats(&a, &in, bytes);
        mq_beats_pack(&out, output[f], bytes);
        say_beats(&b, &out, bytes);
    }
    mq_free(bytes);
    mq_free(codes);
    status = mq_hls_close(&a);
    mq_status other = mq_hls_close(&b);
    return status != MQ_OK ? status : other;
}

static mq_status write_library(const char *dir, mq_error *error) {
    char folder[MQ_PATH];
    MQ_TRY(mq_path_join(dir, "standin", folder, error));
    MQ_TRY(mq_make_dirs(folder, error));
    for (int standin = 0; standin < 2; standin++)
        for (const mq_embedded_file *f = standin ? mixq_hls_standin : mixq_hls_library; f->name; f++) {
            mq_hls_text t = mq_hls_open(standin ? folder : dir, f->name, error);
            mq_hls_bytes(&t, f->bytes, f->size);
            MQ_TRY(mq_hls_close(&t));
        }
    return MQ_OK;
}

static mq_status write_all(const mq_hls_net *h, const char *dir, const mq_hls_options *o, mq_error *error) {
    char path[MQ_PATH];
    for (int i = 0; i < h->count; i++)
        if (mq_hls_is_layer(&h->stage[i])) MQ_TRY(mq_hls_layer_check(h, &h->stage[i], error));
    MQ_TRY(mq_make_dirs(dir, error));
    MQ_TRY(write_library(dir, error));
    for (int i = 0; i < h->count; i++)
        if (mq_hls_is_layer(&h->stage[i])) MQ_TRY(mq_hls_layer_write(h, &h->stage[i], dir, error));
    MQ_TRY(write_top(h, dir, error));
    MQ_TRY(write_scripts(h, dir, o, error));
    if (o->images && o->image && o->output) {
        MQ_TRY(mq_path_join(dir, "vectors", path, error));
        MQ_TRY(mq_hls_vectors_write(h, path, o->images, o->image, o->output, error));
    }
    if (o->part_of_build) return MQ_OK;
    mq_stream in = mq_hls_input(h), out = mq_hls_output(h);
    MQ_TRY(mq_path_join(dir, "host", path, error));
    MQ_TRY(mq_hls_host_write(h->net, &in, &out, path, error));
    MQ_TRY(mq_path_join(dir, MQ_PLAN_FILE, path, error));
    return mq_inet_plan_save(h->plan, h->net, path, error);
}

mq_status mq_hls_build(const mq_inet *net, const mq_inet_plan *plan, const char *dir,
                       const mq_hls_options *options, mq_error *error) {
    mq_hls_net *h;
    MQ_TRY(mq_hls_net_create(net, plan, &h, error));
    mq_status status = write_all(h, dir, options, error);
    mq_hls_net_free(h);
    return status;
}
