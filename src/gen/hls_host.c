/* hls_host.c - the files of the host's side. */
#include "gen/hls_host.h"

#include <string.h>

#include "base/embedded.h"
#include "gen/hls_beats.h"
#include "gen/hls_text.h"

static void stream(mq_hls_text *t, const char *name, const mq_stream *s) {
    mq_hls_say(t, "    .%s = {.h = %d, .w = %d, .c = %d, .pixels = %d, .channels = %d, .bytes = %zu},\n",
               name, s->h, s->w, s->c, s->pixels, s->channels, mq_hls_axis_bytes(s));
}

static mq_status description(const mq_inet *net, const mq_stream *in, const mq_stream *out, const char *dir,
                             mq_error *error) {
    size_t in_frame = (size_t)mq_stream_beats(in) * mq_hls_axis_bytes(in),
           out_frame = (size_t)mq_stream_beats(out) * mq_hls_axis_bytes(out);
    mq_hls_text t = mq_hls_open(dir, "accelerator.h", error);
    mq_hls_say(&t,
               "/* accelerator.h - this accelerator, as the host must know it. Written by mixq with the "
               "accelerator. */\n"
               "#ifndef MIXQ_ACCELERATOR_H\n#define MIXQ_ACCELERATOR_H\n\n#include \"mixq_host.h\"\n\n"
               "#define MIXQ_IN_VALUES  %lld\n#define MIXQ_OUT_VALUES %lld\n#define MIXQ_IN_FRAME   %zu /* "
               "bytes */\n#define MIXQ_OUT_FRAME  %zu\n\n",
               (long long)in->h * in->w * in->c, (long long)out->h * out->w * out->c, in_frame, out_frame);
    mq_hls_say(&t,
               "static const mixq_device mixq_accelerator_here = {\n    .model = \"%s\",\n    .network "
               "= \"%s\",\n",
               net->model, net->sha256);
    stream(&t, "in", in);
    stream(&t, "out", out);
    mq_hls_say(&t, "    .divisor = (float)%.17g,\n    .classes = %d,\n    .anchors = %d,\n",
               mq_inet_last(net)->output.divisor, net->classes,
               net->task == MQ_INET_DETECTION ? net->anchor_count : 0);
    for (int side = 0; side < 2 && net->task == MQ_INET_DETECTION; side++) {
        mq_hls_say(&t, "    .anchor_%c = {", side ? 'h' : 'w');
        for (int a = 0; a < net->anchor_count; a++)
            mq_hls_say(&t, "%s%.17g", a ? ", " : "", side ? net->anchor_h[a] : net->anchor_w[a]);
        mq_hls_say(&t, "},\n");
    }
    mq_hls_say(&t, "};\n\n#endif\n");
    return mq_hls_close(&t);
}

/* Nine words of constants behind AXI4-Lite, read only. */
static mq_status identity(const mq_inet *net, const char *dir, mq_error *error) {
    mq_hls_text t = mq_hls_open(dir, "mixq_id.v", error);
    mq_hls_say(
        &t,
        "// mixq_id: which network the accelerator beside it holds. AXI4-Lite, read only: word 0 is "
        "6d697871, words 1..8 the\n"
        "// SHA-256 of the network's net.json, its first byte highest. Writes are taken and forgotten.\n");
    mq_hls_say(
        &t, "%s",
        "module mixq_id (\n"
        "    input aclk,\n    input aresetn,\n"
        "    input [11:0] s_axi_awaddr,\n    input s_axi_awvalid,\n    output s_axi_awready,\n"
        "    input [31:0] s_axi_wdata,\n    input [3:0] s_axi_wstrb,\n    input s_axi_wvalid,\n    output "
        "s_axi_wready,\n"
        "    output [1:0] s_axi_bresp,\n    output reg s_axi_bvalid,\n    input s_axi_bready,\n"
        "    input [11:0] s_axi_araddr,\n    input s_axi_arvalid,\n    output s_axi_arready,\n"
        "    output reg [31:0] s_axi_rdata,\n    output [1:0] s_axi_rresp,\n    output reg s_axi_rvalid,\n   "
        " input s_axi_rready\n"
        ");\n"
        "  wire write = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid;\n"
        "  wire read = s_axi_arvalid && !s_axi_rvalid;\n"
        "  assign s_axi_awready = write;\n  assign s_axi_wready = write;\n  assign s_axi_arready = read;\n"
        "  assign s_axi_bresp = 2'b00;\n  assign s_axi_rresp = 2'b00;\n"
        "  always @(posedge aclk)\n"
        "    if (!aresetn) begin\n      s_axi_bvalid <= 1'b0;\n      s_axi_rvalid <= 1'b0;\n    end else "
        "begin\n"
        "      if (write) s_axi_bvalid <= 1'b1;\n      else if (s_axi_bready) s_axi_bvalid <= 1'b0;\n"
        "      if (read) begin\n        s_axi_rvalid <= 1'b1;\n        case (s_axi_araddr[11:2])\n"
        "          10'd0: s_axi_rdata <= 32'h6d697871;\n");
    for (int i = 0; i < 8; i++)
        mq_hls_say(&t, "          10'd%d: s_axi_rdata <= 32'h%.8s;\n", i + 1, net->sha256 + 8 * i);
    mq_hls_say(&t, "%s",
               "          default: s_axi_rdata <= 32'h0;\n        endcase\n      end else if (s_axi_rready) "
               "s_axi_rvalid <= 1'b0;\n"
               "    end\nendmodule\n");
    return mq_hls_close(&t);
}

static mq_status copy(const mq_embedded_file *files, const char *dir, mq_error *error) {
    MQ_TRY(mq_make_dirs(dir, error));
    for (const mq_embedded_file *f = files; f->name; f++) {
        mq_hls_text t = mq_hls_open(dir, strcmp(f->name, "host.mk") == 0 ? "Makefile" : f->name, error);
        mq_hls_bytes(&t, f->bytes, f->size);
        MQ_TRY(mq_hls_close(&t));
    }
    return MQ_OK;
}

mq_status mq_hls_host_write(const mq_inet *net, const mq_stream *in, const mq_stream *out, const char *dir,
                            mq_error *error) {
    char sim[MQ_PATH];
    MQ_TRY(mq_path_join(dir, "sim", sim, error));
    MQ_TRY(copy(mixq_host_files, dir, error));
    MQ_TRY(copy(mixq_host_sim, sim, error));
    MQ_TRY(description(net, in, out, dir, error));
    return identity(net, dir, error);
}
