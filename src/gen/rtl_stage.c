/* rtl_stage.c - instances of the stages without multipliers. */
#include "gen/rtl_stage.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { TEXT = 1 << 15, NAME = 160, FIFO_DEPTH = 1 << 20 };

typedef struct writer {
    char *text;
    size_t used;
} writer;

static void say(writer *w, const char *format, ...) MQ_PRINTF(2, 3);

static void say(writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + w->used, TEXT - w->used, format, args);
    va_end(args);
    if (n > 0) w->used += (size_t)n < TEXT - w->used ? (size_t)n : TEXT - w->used;
}

static mq_status begin(writer *w, mq_error *error) {
    w->used = 0;
    return mq_alloc(1, TEXT, "Verilog", &w->text, error);
}

/* Hands the text over, or not where it was cut. */
static mq_status end(writer *w, mq_status status, char **text, mq_error *error) {
    if (status == MQ_OK && w->used >= TEXT - 1)
        status = mq_fail(error, MQ_USAGE, "Verilog: names too long for a stage");
    if (status == MQ_OK)
        *text = w->text;
    else
        mq_free(w->text);
    return status;
}

static int gcd(int a, int b) {
    while (b) {
        int r = a % b;
        a = b, b = r;
    }
    return a;
}

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

static void nets(writer *w, const mq_stream *s, const char *name) {
    say(w, "  wire %s_valid, %s_ready;\n  wire [%" PRId64 ":0] %s_data;\n", name, name,
        mq_rtl_stream_width(s) - 1, name);
}

static void ports(writer *w, const char *in, const char *out) {
    say(w,
        "      .clk(clk), .rst(rst), .in_valid(%s_valid), .in_ready(%s_ready), .in_data(%s_data),\n"
        "      .out_valid(%s_valid), .out_ready(%s_ready), .out_data(%s_data)",
        in, in, in, out, out, out);
}

static void wires(writer *w, const char *in, const char *out) {
    say(w, "  assign %s_valid = %s_valid;\n  assign %s_ready = %s_ready;\n  assign %s_data = %s_data;\n", out,
        in, in, out, out, in);
}

mq_status mq_rtl_stream_nets(const mq_stream *stream, const char *name, char **text, mq_error *error) {
    writer w;
    MQ_TRY(begin(&w, error));
    nets(&w, stream, name);
    return end(&w, MQ_OK, text, error);
}

static mq_stream regroup(writer *w, const mq_stream *in, int channels, int pixels, const char *from,
                         const char *to) {
    mq_stream out = *in;
    out.channels = channels, out.pixels = pixels;
    if (channels == in->channels && pixels == in->pixels) {
        wires(w, from, to);
        return out;
    }
    say(w,
        "  mixq_regroup #(\n      .BITS(%d), .C(%d), .IN_W(%d), .IN_CH(%d), .IN_PX(%d), .OUT_CH(%d), "
        ".OUT_PX(%d), .MID_CH(%d), .MID_PX(%d)\n  ) %s_regroup (\n",
        in->bits, in->c, in->w, in->channels, in->pixels, channels, pixels, gcd(channels, in->channels),
        gcd(pixels, in->pixels), to);
    ports(w, from, to);
    say(w, "\n  );\n");
    return out;
}

mq_status mq_rtl_regroup(const mq_stream *in, int channels, int pixels, const char *in_name,
                         const char *out_name, char **text, mq_stream *out, int64_t *cycles,
                         mq_error *error) {
    writer w;
    if (channels < 1 || pixels < 1)
        return mq_fail(error, MQ_USAGE, "%s: beats of %d channels x %d pixels", out_name, channels, pixels);
    MQ_TRY(begin(&w, error));
    *out = regroup(&w, in, channels, pixels, in_name, out_name);
    if (cycles)
        *cycles = (int64_t)in->h * ceil_div(in->c, gcd(channels, in->channels)) *
                  ceil_div(in->w, gcd(pixels, in->pixels));
    return end(&w, MQ_OK, text, error);
}

mq_status mq_rtl_fifo(const mq_stream *in, int64_t depth, const char *in_name, const char *out_name,
                      char **text, mq_error *error) {
    writer w;
    if (depth < 0 || depth > FIFO_DEPTH)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a FIFO of %" PRId64 " beats, at most %d", out_name, depth,
                       FIFO_DEPTH);
    MQ_TRY(begin(&w, error));
    say(&w, "  mixq_fifo #(\n      .W(%" PRId64 "), .DEPTH(%" PRId64 ")\n  ) %s_fifo (\n",
        mq_rtl_stream_width(in), depth, out_name);
    ports(&w, in_name, out_name);
    say(&w, "\n  );\n");
    return end(&w, MQ_OK, text, error);
}

static void each(writer *w, const char *const *name, int count, const char *suffix) {
    say(w, "{");
    for (int i = count - 1; i >= 0; i--) say(w, "%s_%s%s", name[i], suffix, i ? ", " : "}");
}

mq_status mq_rtl_fork(const mq_stream *in, const char *in_name, const char *const *out_name, int count,
                      char **text, mq_error *error) {
    writer w;
    MQ_TRY(begin(&w, error));
    say(&w,
        "  mixq_fork #(\n      .W(%" PRId64 "), .N(%d)\n  ) %s_fork (\n      .clk(clk), .rst(rst), "
        ".in_valid(%s_valid), .in_ready(%s_ready), .in_data(%s_data),\n      .out_valid(",
        mq_rtl_stream_width(in), count, in_name, in_name, in_name, in_name);
    each(&w, out_name, count, "valid");
    say(&w, "), .out_ready(");
    each(&w, out_name, count, "ready");
    say(&w, "), .out_data(%s_data)\n  );\n", out_name[0]);
    for (int i = 1; i < count; i++) say(&w, "  assign %s_data = %s_data;\n", out_name[i], out_name[0]);
    return end(&w, MQ_OK, text, error);
}

typedef struct stage {
    const mq_rtl_build *build;
    const mq_inet_node *node;
    const mq_stream *in;
    const char *const *in_name;
    const char *name; /* of the output */
} stage;

/* Input i as beats of channels x pixels; `name` becomes the stream to read. */
static mq_stream input(writer *w, const stage *s, int i, int channels, int pixels, char *name) {
    mq_stream want = s->in[i];
    snprintf(name, NAME, "%s", s->in_name[i]);
    if (want.channels == channels && want.pixels == pixels) return want;
    want.channels = channels, want.pixels = pixels;
    snprintf(name, NAME, "%s_in%d", s->name, i);
    nets(w, &want, name);
    return regroup(w, &s->in[i], channels, pixels, s->in_name[i], name);
}

static mq_status image(writer *w, const stage *s, mq_stream *out, mq_error *error) {
    const mq_inet_edge *e = &s->node->edge;
    int pixels = s->build->plan->in_pixels;
    if (pixels < 1 || pixels > e->w)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %d pixels of an input beat, expected 1..%d", s->node->name,
                       pixels, e->w);
    *out = (mq_stream){e->h, e->w, e->c, e->c, pixels, e->bits, false};
    say(w, "  mixq_image #(\n      .CH(%d), .PX(%d), .BITS(%d), .IN_W(%d)\n  ) %s_image (\n", e->c, pixels,
        e->bits, e->w, s->name);
    ports(w, s->in_name[0], s->name);
    say(w, "\n  );\n");
    return MQ_OK;
}

static mq_status max_pool(writer *w, const stage *s, mq_stream *out, mq_error *error) {
    int k = s->node->pool.kernel;
    char name[NAME];
    if (k != s->node->pool.stride)
        return mq_fail(error, MQ_BAD_INPUT, "%s: kernel %d with stride %d; stages are built for equal ones",
                       s->node->name, k, s->node->pool.stride);
    if (k == 1) {
        *out = s->in[0];
        wires(w, s->in_name[0], s->name);
        return MQ_OK;
    }
    int pixels = s->in[0].pixels % k ? 1 : s->in[0].pixels;
    mq_stream in = input(w, s, 0, s->in[0].channels, pixels, name);
    say(w,
        "  mixq_max_pool #(\n      .CH(%d), .PX(%d), .BITS(%d), .SIGNED(%d), .K(%d), .GROUPS(%d), .IN_H(%d), "
        ".IN_W(%d)\n  ) %s_max_pool (\n",
        in.channels, in.pixels, in.bits, in.is_signed, k, ceil_div(in.c, in.channels), in.h, in.w, s->name);
    ports(w, name, s->name);
    say(w, "\n  );\n");
    *out = in;
    out->h = in.h / k, out->w = in.w / k;
    out->pixels = in.pixels > 1 ? in.pixels / k : 1;
    return MQ_OK;
}

static mq_status reorg(writer *w, const stage *s, mq_stream *out, mq_error *error) {
    const mq_stream *given = &s->in[0];
    char name[NAME];
    if (given->h % 2 || given->w % 2)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %d x %d pixels; stages are built for even ones",
                       s->node->name, given->h, given->w);
    int pixels = given->pixels % 2 ? 1 : given->pixels;
    mq_stream in = input(w, s, 0, gcd(given->c, given->channels), pixels, name);
    say(w, "  mixq_reorg #(\n      .CH(%d), .PX(%d), .BITS(%d), .GROUPS(%d), .IN_W(%d)\n  ) %s_reorg (\n",
        in.channels, in.pixels, in.bits, in.c / in.channels, in.w, s->name);
    ports(w, name, s->name);
    say(w, "\n  );\n");
    *out = in;
    out->h = in.h / 2, out->w = in.w / 2, out->c = 4 * in.c;
    out->pixels = in.pixels > 1 ? in.pixels / 2 : 1;
    return MQ_OK;
}

/* The widest beat of an input whose channels divide those of all inputs but the last, else what divides all.
 */
static int concat_channels(const stage *s) {
    int best = 0, common = s->in[0].channels, count = s->node->input_count;
    for (int i = 0; i < count; i++) {
        int channels = s->in[i].channels;
        bool whole = true;
        for (int k = 0; k < count - 1; k++) whole &= s->in[k].c % channels == 0;
        if (whole && channels > best) best = channels;
        common = gcd(common, channels);
        if (i < count - 1) common = gcd(common, s->in[i].c);
    }
    return best ? best : common;
}

/* The stream `name` with codes of more bits. */
static void widen(writer *w, const stage *s, int i, const mq_stream *in, int bits, char *name) {
    char narrow[NAME];
    mq_stream out = *in;
    out.bits = bits;
    memcpy(narrow, name, NAME);
    snprintf(name, NAME, "%s_wide%d", s->name, i);
    nets(w, &out, name);
    say(w,
        "  assign %s_valid = %s_valid;\n  assign %s_ready = %s_ready;\n  mixq_widen #(\n      .N(%d), "
        ".IN(%d), "
        ".OUT(%d), .SIGNED(%d)\n  ) %s_widen (\n      .in_data(%s_data), .out_data(%s_data)\n  );\n",
        name, narrow, narrow, name, in->channels * in->pixels, in->bits, bits, in->is_signed, name, narrow,
        name);
}

static mq_status concat(writer *w, const stage *s, mq_stream *out, mq_error *error) {
    int count = s->node->input_count, pixels = 1, bits = 1, channels = concat_channels(s);
    char name[MQ_INET_MAX_INPUTS][NAME];
    const char *names[MQ_INET_MAX_INPUTS];
    mq_stream in[MQ_INET_MAX_INPUTS];
    for (int i = 0; i < count; i++) {
        if (s->in[i].pixels > pixels) pixels = s->in[i].pixels;
        if (s->in[i].bits > bits) bits = s->in[i].bits;
        if (s->in[i].is_signed != s->in[0].is_signed)
            return mq_fail(error, MQ_BAD_INPUT, "%s: signed and unsigned codes in one beat", s->node->name);
    }
    *out = s->in[0];
    out->c = 0, out->channels = channels, out->pixels = pixels, out->bits = bits;
    for (int i = 0; i < count; i++) {
        in[i] = input(w, s, i, channels, pixels, name[i]);
        names[i] = name[i];
        out->c += in[i].c;
        if (in[i].bits < bits) widen(w, s, i, &in[i], bits, name[i]);
    }
    int64_t most = 1;
    int count_bits = 1;
    for (int i = 0; i < count; i++)
        if (mq_stream_row_beats(&in[i]) > most) most = mq_stream_row_beats(&in[i]);
    while (most >> count_bits) count_bits++;
    say(w, "  mixq_concat #(\n      .N(%d), .W(%" PRId64 "), .CW(%d), .BEATS({", count,
        mq_rtl_stream_width(out), count_bits);
    for (int i = count - 1; i >= 0; i--)
        say(w, "32'd%" PRId64 "%s", mq_stream_row_beats(&in[i]), i ? ", " : "})\n");
    say(w, "  ) %s_concat (\n      .clk(clk), .rst(rst), .in_valid(", s->name);
    each(w, names, count, "valid");
    say(w, "), .in_ready(");
    each(w, names, count, "ready");
    say(w, "),\n      .in_data(");
    each(w, names, count, "data");
    say(w, "), .out_valid(%s_valid), .out_ready(%s_ready), .out_data(%s_data)\n  );\n", s->name, s->name,
        s->name);
    return MQ_OK;
}

static mq_status output(writer *w, const stage *s, mq_stream *out, mq_error *error) {
    (void)error;
    *out = s->in[0];
    say(w, "  mixq_output #(\n      .W(%" PRId64 "), .BEATS(%" PRId64 ")\n  ) %s_output (\n",
        mq_rtl_stream_width(out), mq_stream_beats(out), s->name);
    ports(w, s->in_name[0], s->name);
    say(w, ",\n      .out_last(%s_last)\n  );\n", s->name);
    return MQ_OK;
}

/* The stream is the edge that the node reads. */
static mq_status check_inputs(const stage *s, mq_error *error) {
    if (s->node->kind == MQ_INET_IMAGE && s->node->image.real)
        return mq_fail(error, MQ_BAD_INPUT, "%s: a stage for real inputs is not built: pixels expected",
                       s->node->name);
    if (s->node->kind == MQ_INET_IMAGE) return MQ_OK;
    for (int i = 0; i < s->node->input_count; i++) {
        const mq_inet_edge *e = &s->build->net->nodes[s->node->input[i]].edge;
        const mq_stream *in = &s->in[i];
        if (in->h != e->h || in->w != e->w || in->c != e->c || in->channels < 1 || in->pixels < 1 ||
            in->bits < 1)
            return mq_fail(error, MQ_BAD_INPUT, "%s: a stream of %d x %d x %d, expected %d x %d x %d",
                           s->node->name, in->h, in->w, in->c, e->h, e->w, e->c);
    }
    return MQ_OK;
}

mq_status mq_rtl_stage(const mq_rtl_build *build, int node, const mq_stream *in, const char *const *in_name,
                       const char *out_name, char **text, mq_stream *out, mq_error *error) {
    stage s = {build, &build->net->nodes[node], in, in_name, out_name};
    MQ_TRY(check_inputs(&s, error));
    mq_status (*write)(writer *, const stage *, mq_stream *, mq_error *) = NULL;
    switch (s.node->kind) {
    case MQ_INET_IMAGE:
        write = image;
        break;
    case MQ_INET_MAX_POOL:
        write = max_pool;
        break;
    case MQ_INET_REORG:
        write = reorg;
        break;
    case MQ_INET_CONCAT:
        write = concat;
        break;
    case MQ_INET_OUTPUT:
        write = output;
        break;
    default:
        return mq_fail(error, MQ_BAD_INPUT, "%s: no stage is built for a %s here", s.node->name,
                       mq_inet_kind_name(s.node->kind));
    }
    writer w;
    MQ_TRY(begin(&w, error));
    mq_status status = write(&w, &s, out, error);
    return end(&w, status, text, error);
}
