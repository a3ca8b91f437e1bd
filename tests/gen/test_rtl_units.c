/* test_rtl_units.c - the stages without multipliers and what connects stages, in Verilog, on random frames of
 * random shapes with pauses on both sides, against plain C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "gen/helper_rtl.h"
#include "gen/rtl_stage.h"

enum { FRAMES = 3, NODES = 10, MOST = 1 << 14 };

typedef struct frame { /* codes [h][w][c] */
    int h, w, c;
    int32_t code[MOST];
} frame;

static mq_rng rng;
static uint64_t drawn;

static int draw(int low, int high) {
    return low + (int)mq_rng_below(&rng, drawn++, (uint32_t)(high - low + 1));
}

static int32_t *at(frame *f, int y, int x, int c) {
    return &f->code[(y * f->w + x) * f->c + c];
}

static void shape(frame *f, int h, int w, int c) {
    assert_true(h * w * c <= MOST);
    f->h = h, f->w = w, f->c = c;
}

static void draw_frame(frame *f, const mq_stream *s) {
    int low = s->is_signed ? -(1 << (s->bits - 1)) : 0;
    shape(f, s->h, s->w, s->c);
    for (int i = 0; i < f->h * f->w * f->c; i++) f->code[i] = draw(low, low + (1 << s->bits) - 1);
}

/* The frame as beats of the stream (docs/accelerator.md), padding zero. */
static void put_frame(rtl_bench *b, int port, const mq_stream *s, frame *f) {
    assert_int_equal(s->h, f->h);
    assert_int_equal(s->w, f->w);
    assert_int_equal(s->c, f->c);
    for (int y = 0; y < s->h; y++)
        for (int g = 0; g < s->c; g += s->channels)
            for (int x = 0; x < s->w; x += s->pixels) {
                rtl_beat(b, port);
                for (int p = 0; p < s->pixels; p++)
                    for (int c = 0; c < s->channels; c++)
                        if (x + p < s->w && g + c < s->c)
                            rtl_put(b, port, (p * s->channels + c) * s->bits,
                                    (uint64_t)(int64_t)*at(f, y, x + p, g + c), s->bits);
            }
}

static mq_stream draw_stream(void) {
    mq_stream s = {draw(1, 7), draw(1, 11), draw(1, 9), draw(1, 5), draw(1, 4), draw(1, 6), draw(0, 1)};
    return s;
}

static int stall(void) {
    static const int of_256[] = {0, 60, 128, 200};
    return of_256[draw(0, 3)];
}

static int source_of(rtl_bench *b, const mq_stream *s, const char *name) {
    return rtl_source(b, name, (int)mq_rtl_stream_width(s), stall(), 1);
}

static int sink_of(rtl_bench *b, const mq_stream *s, const char *name) {
    return rtl_sink(b, name, (int)mq_rtl_stream_width(s), stall());
}

static void say(rtl_bench *b, mq_status status, char *text, const mq_error *error) {
    if (status != MQ_OK) fail_msg("%s", error->text);
    rtl_say(b, "%s", text);
    mq_free(text);
}

/* A node that reads `inputs` streams, as mq_rtl_stage sees it. */
typedef struct one_node {
    mq_inet net;
    mq_inet_plan plan;
    mq_inet_node node[NODES];
    mq_rtl_build build;
    mq_stream in[MQ_INET_MAX_INPUTS], out;
    char name[MQ_INET_MAX_INPUTS][32], out_name[32];
    const char *names[MQ_INET_MAX_INPUTS];
    int port[MQ_INET_MAX_INPUTS], sink;
} one_node;

static mq_inet_node *make_node(one_node *o, mq_inet_kind kind, int inputs) {
    memset(o, 0, sizeof *o);
    o->net.nodes = o->node;
    o->build = (mq_rtl_build){&o->net, &o->plan, "."};
    mq_inet_node *n = &o->node[NODES - 1];
    n->kind = kind;
    strcpy(n->name, "node7");
    n->input_count = inputs;
    for (int i = 0; i < inputs; i++) n->input[i] = i;
    return n;
}

/* After o->in is set: the node's edges, ports and text. */
static void put_node(rtl_bench *b, one_node *o, const char *kind, int number) {
    mq_inet_node *n = &o->node[NODES - 1];
    mq_error error = {0};
    char *text = NULL;
    int count = n->kind == MQ_INET_IMAGE ? 1 : n->input_count;
    for (int i = 0; i < count; i++) {
        o->node[i].edge.h = o->in[i].h, o->node[i].edge.w = o->in[i].w, o->node[i].edge.c = o->in[i].c;
        snprintf(o->name[i], sizeof o->name[i], "%s%d_i%d", kind, number, i);
        o->names[i] = o->name[i];
        o->port[i] = source_of(b, &o->in[i], o->name[i]);
    }
    snprintf(o->out_name, sizeof o->out_name, "%s%d_o", kind, number);
    mq_status status =
        mq_rtl_stage(&o->build, NODES - 1, o->in, o->names, o->out_name, &text, &o->out, &error);
    if (status != MQ_OK) fail_msg("%s", error.text);
    o->sink = sink_of(b, &o->out, o->out_name);
    say(b, status, text, &error);
}

static void put_fifos(rtl_bench *b, int count) {
    (void)count;
    static const int depth[] = {0, 1, 2, 5, 64, 65, 200};
    static frame f;
    for (size_t i = 0; i < sizeof depth / sizeof *depth; i++) {
        char in[32], out[32], *text;
        mq_error error = {0};
        mq_stream s = {5, 20, 4, 2, 1, 3, false};
        snprintf(in, sizeof in, "fifo%zu_i", i);
        snprintf(out, sizeof out, "fifo%zu_o", i);
        int source = source_of(b, &s, in), sink = sink_of(b, &s, out);
        mq_status status = mq_rtl_fifo(&s, depth[i], in, out, &text, &error);
        say(b, status, text, &error);
        for (int k = 0; k < FRAMES; k++) {
            draw_frame(&f, &s);
            put_frame(b, source, &s, &f);
            put_frame(b, sink, &s, &f);
        }
    }
}

static void put_forks(rtl_bench *b, int count) {
    (void)count;
    static frame f;
    for (int n = 2; n <= 4; n++) {
        char in[32], out[4][32], *text;
        const char *names[4];
        int sink[4];
        mq_error error = {0};
        mq_stream s = {4, 9, 3, 3, 2, 4, false};
        snprintf(in, sizeof in, "fork%d_i", n);
        int source = source_of(b, &s, in);
        for (int i = 0; i < n; i++) {
            snprintf(out[i], sizeof out[i], "fork%d_o%d", n, i);
            names[i] = out[i];
            sink[i] = sink_of(b, &s, out[i]);
        }
        mq_status status = mq_rtl_fork(&s, in, names, n, &text, &error);
        say(b, status, text, &error);
        for (int k = 0; k < FRAMES; k++) {
            draw_frame(&f, &s);
            put_frame(b, source, &s, &f);
            for (int i = 0; i < n; i++) put_frame(b, sink[i], &s, &f);
        }
    }
}

static void put_pools(rtl_bench *b, int count) {
    static frame f, g;
    for (int i = 0; i < count; i++) {
        one_node o;
        mq_inet_node *n = make_node(&o, MQ_INET_MAX_POOL, 1);
        int k = n->pool.kernel = n->pool.stride = i == 0 ? 1 : draw(2, 4);
        o.in[0] = draw_stream();
        o.in[0].h = draw(k, 3 * k), o.in[0].w = draw(k, 4 * k);
        if (i % 3 == 0) o.in[0].pixels = k * draw(1, 2);
        if (i % 3 == 1) o.in[0].pixels = 1;
        if (i % 4 == 3) o.in[0].channels = o.in[0].c; /* one group */
        if (i == 2) {                                 /* the last beat has half a window beside a whole one */
            k = n->pool.kernel = n->pool.stride = 2;
            o.in[0].pixels = 4, o.in[0].w = 7;
        }
        if (i == 4) { /* one word of RAM */
            o.in[0].channels = o.in[0].c;
            o.in[0].pixels = o.in[0].w = k;
        }
        put_node(b, &o, "pool", i);
        for (int t = 0; t < FRAMES; t++) {
            draw_frame(&f, &o.in[0]);
            shape(&g, f.h / k, f.w / k, f.c);
            for (int y = 0; y < g.h; y++)
                for (int x = 0; x < g.w; x++)
                    for (int c = 0; c < g.c; c++) {
                        int32_t best = *at(&f, y * k, x * k, c);
                        for (int d = 0; d < k * k; d++)
                            if (*at(&f, y * k + d / k, x * k + d % k, c) > best)
                                best = *at(&f, y * k + d / k, x * k + d % k, c);
                        *at(&g, y, x, c) = best;
                    }
            put_frame(b, o.port[0], &o.in[0], &f);
            put_frame(b, o.sink, &o.out, &g);
        }
    }
}

static void put_reorgs(rtl_bench *b, int count) {
    static frame f, g;
    for (int i = 0; i < count; i++) {
        one_node o;
        make_node(&o, MQ_INET_REORG, 1);
        o.in[0] = draw_stream();
        o.in[0].h = 2 * draw(1, 3), o.in[0].w = 2 * draw(1, 5);
        if (i % 2) o.in[0].c = o.in[0].channels * draw(1, 3);
        put_node(b, &o, "reorg", i);
        for (int t = 0; t < FRAMES; t++) {
            draw_frame(&f, &o.in[0]);
            shape(&g, f.h / 2, f.w / 2, 4 * f.c);
            for (int y = 0; y < g.h; y++)
                for (int x = 0; x < g.w; x++)
                    for (int c = 0; c < g.c; c++)
                        *at(&g, y, x, c) = *at(&f, 2 * y + c / f.c / 2, 2 * x + c / f.c % 2, c % f.c);
            put_frame(b, o.port[0], &o.in[0], &f);
            put_frame(b, o.sink, &o.out, &g);
        }
    }
}

static void put_concats(rtl_bench *b, int count) {
    static frame f[4], g;
    for (int i = 0; i < count; i++) {
        one_node o;
        int inputs = draw(2, 4), all = 0;
        make_node(&o, MQ_INET_CONCAT, inputs);
        for (int k = 0; k < inputs; k++) {
            o.in[k] = draw_stream();
            if (k) o.in[k].h = o.in[0].h, o.in[k].w = o.in[0].w, o.in[k].is_signed = o.in[0].is_signed;
            if (i % 3 == 0 && k) o.in[k].channels = o.in[0].channels, o.in[k].pixels = o.in[0].pixels;
            if (i % 3 == 0) o.in[k].c = o.in[k].channels * draw(1, 3);
            all += o.in[k].c;
        }
        put_node(b, &o, "concat", i);
        for (int t = 0; t < FRAMES; t++) {
            shape(&g, o.in[0].h, o.in[0].w, all);
            for (int k = 0, from = 0; k < inputs; from += f[k].c, k++) {
                draw_frame(&f[k], &o.in[k]);
                for (int y = 0; y < g.h; y++)
                    for (int x = 0; x < g.w; x++)
                        for (int c = 0; c < f[k].c; c++) *at(&g, y, x, from + c) = *at(&f[k], y, x, c);
                put_frame(b, o.port[k], &o.in[k], &f[k]);
            }
            put_frame(b, o.sink, &o.out, &g);
        }
    }
}

static void put_images(rtl_bench *b, int count) {
    static frame f, g;
    for (int i = 0; i < count; i++) {
        one_node o;
        mq_inet_node *n = make_node(&o, MQ_INET_IMAGE, 0);
        mq_stream s = draw_stream();
        int bits = draw(1, 8);
        o.plan.in_pixels = draw(1, s.w < 4 ? s.w : 4);
        n->edge.h = s.h, n->edge.w = s.w, n->edge.c = s.c;
        n->edge.bits = n->image.bits = bits;
        o.in[0] = (mq_stream){s.h, s.w, s.c, s.c, o.plan.in_pixels, 8, false};
        put_node(b, &o, "image", i);
        for (int t = 0; t < FRAMES; t++) {
            draw_frame(&f, &o.in[0]);
            g = f;
            for (int k = 0; k < g.h * g.w * g.c; k++) g.code[k] >>= 8 - bits;
            int before = b->port[o.port[0]].count;
            put_frame(b, o.port[0], &o.in[0], &f);
            put_frame(b, o.sink, &o.out, &g);
            /* what the host sends beyond a row's end does not matter */
            rtl_port *p = &b->port[o.port[0]];
            int beats = (s.w + o.plan.in_pixels - 1) / o.plan.in_pixels;
            for (int k = before + beats - 1; k < p->count; k += beats)
                for (int q = (s.w - (beats - 1) * o.plan.in_pixels) * s.c * 8; q < p->width; q++)
                    p->bits[k * p->width + q] = (uint8_t)draw(0, 1);
        }
    }
}

static void put_regroups(rtl_bench *b, int count) {
    static frame f;
    for (int i = 0; i < count; i++) {
        char in[32], out[32], *text;
        mq_error error = {0};
        mq_stream s = draw_stream(), o;
        int channels = draw(1, 6), pixels = draw(1, 4);
        if (i % 3 == 1) channels = s.channels * draw(1, 3);
        if (i % 3 == 2) s.channels = channels * draw(1, 3);
        snprintf(in, sizeof in, "regroup%d_i", i);
        snprintf(out, sizeof out, "regroup%d_o", i);
        mq_status status = mq_rtl_regroup(&s, channels, pixels, in, out, &text, &o, NULL, &error);
        if (status != MQ_OK) fail_msg("%s", error.text);
        int source = source_of(b, &s, in), sink = sink_of(b, &o, out);
        say(b, status, text, &error);
        for (int t = 0; t < FRAMES; t++) {
            draw_frame(&f, &s);
            put_frame(b, source, &s, &f);
            put_frame(b, sink, &o, &f);
        }
    }
}

static void put_output(rtl_bench *b, int count) {
    (void)count;
    static frame f;
    one_node o;
    make_node(&o, MQ_INET_OUTPUT, 1);
    o.in[0] = (mq_stream){3, 4, 5, 2, 1, 8, true};
    rtl_say(b, "  wire output0_o_last;\n  integer lasts = 0;\n  wire [7:0] lasts_data_now = lasts[7:0];\n");
    put_node(b, &o, "output", 0);
    int sink = rtl_sink(b, "lasts", 32, 0); /* beats between two lasts */
    rtl_say(
        b,
        "  reg [31:0] beats = 0;\n  always @(posedge clk) if (output0_o_valid && output0_o_ready) beats <= "
        "output0_o_last ? 0 : beats + 1;\n  assign lasts_valid = output0_o_valid && output0_o_ready && "
        "output0_o_last;\n  assign lasts_data = beats + 1;\n");
    for (int t = 0; t < FRAMES; t++) {
        draw_frame(&f, &o.in[0]);
        put_frame(b, o.port[0], &o.in[0], &f);
        put_frame(b, o.sink, &o.out, &f);
        rtl_beat(b, sink);
        rtl_put(b, sink, 0, (uint64_t)mq_stream_beats(&o.out), 32);
    }
}

typedef void family(rtl_bench *b, int count);
static family *const families[] = {put_fifos,   put_forks,  put_pools,    put_reorgs,
                                   put_concats, put_images, put_regroups, put_output};

static void put_all(rtl_bench *b, const char *dir, int count) {
    rtl_start(b, dir);
    rng = mq_rng_stream(11, "units", 0);
    drawn = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) families[i](b, count);
}

static void streams_in_verilator(void **state) {
    static rtl_bench b;
    if (!rtl_have("verilator")) skip();
    put_all(&b, ((temp_dir *)*state)->path, 5);
    rtl_verilator(&b, "");
    rtl_check_all(&b);
    rtl_free(&b);
}

static void streams_in_icarus(void **state) {
    static rtl_bench b;
    if (!rtl_have("iverilog")) skip();
    put_all(&b, ((temp_dir *)*state)->path, 6);
    rtl_icarus(&b, "");
    rtl_check_all(&b);
    rtl_free(&b);
}

/* Each of these must be noticed. */
static const struct mutant {
    const char *module, *from, *to;
    family *put;
} mutants[] = {
    {"mixq_skid", "assign in_ready = !have_second;", "assign in_ready = 1'b1;", put_fifos},
    {"mixq_fifo", "next == FULL", "1'b0", put_fifos},
    {"mixq_fork", "&(taken | out_ready)", "|(taken | out_ready)", put_forks},
    {"mixq_max_pool", "held_first ? held_row", "1'b0 ? held_row", put_pools},
    {"mixq_max_pool", "out_x != BEATS[XW-1:0]", "1'b1", put_pools},
    {"mixq_max_pool", "out_x == LAST_BEAT[XW-1:0] ?", "1'b0 ?", put_pools},
    {"mixq_reorg", "r_last(pass_last && dx)", "r_last(pass_last)", put_reorgs},
    {"mixq_pingpong", "full != 2'd2", "1'b1", put_reorgs},
    {"mixq_concat", "|last ? {CW", "1'b0 ? {CW", put_concats},
    {"mixq_widen", "SIGNED != 0 && in_data[i*IN+IN-1]", "1'b0", put_concats},
    {"mixq_image", "p >= LAST_PX && last", "1'b0", put_images},
    {"mixq_pixels_apart", "|| row_end;", ";", put_regroups},
    {"mixq_pixels_together", "|| row_end;", ";", put_regroups},
    {"mixq_channels_apart", "|| row_end;", ";", put_regroups},
    {"mixq_channels_together", "i >= LAST_PARTS && shown_last", "1'b0", put_regroups},
    {"mixq_output", "out_last ? {NW", "1'b0 ? {NW", put_output},
};

static void broken_copies_are_noticed(void **state) {
    static rtl_bench b;
    (void)state;
    if (!rtl_have("iverilog")) skip();
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        void *dir = NULL;
        int wrong = 0;
        assert_int_equal(temp_dir_make(&dir), 0);
        const struct mutant *m = &mutants[i];
        rtl_start(&b, ((temp_dir *)dir)->path);
        rng = mq_rng_stream(13, "broken", i);
        drawn = 0;
        m->put(&b, 10);
        b.broken = true;
        rtl_broken_copy(&b, m->module, m->module, m->from, m->to);
        rtl_icarus(&b, "");
        for (int k = 0; k < b.ports; k++)
            if (b.port[k].sink) wrong += rtl_wrong(&b, k);
        if (!wrong) fail_msg("%s with %s was not noticed", m->module, m->to);
        rtl_free(&b);
        temp_dir_remove(&dir);
    }
}

static void refuses_by_name(void **state) {
    (void)state;
    one_node o;
    char *text;
    mq_error error = {0};
    mq_inet_node *n = make_node(&o, MQ_INET_MAX_POOL, 1);
    const char *names[] = {"a"};
    o.in[0] = (mq_stream){6, 6, 4, 2, 1, 3, false};
    o.node[0].edge.h = 6, o.node[0].edge.w = 6, o.node[0].edge.c = 4;
    n->pool.kernel = 3, n->pool.stride = 2;
    assert_int_equal(mq_rtl_stage(&o.build, NODES - 1, o.in, names, "o", &text, &o.out, &error),
                     MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "node7: kernel 3 with stride 2"));
    n->pool.stride = 3, o.in[0].c = 5;
    assert_int_equal(mq_rtl_stage(&o.build, NODES - 1, o.in, names, "o", &text, &o.out, &error),
                     MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "node7: a stream of 6 x 6 x 5"));
    o.in[0].c = 4, n->kind = MQ_INET_RESCALE;
    assert_int_equal(mq_rtl_stage(&o.build, NODES - 1, o.in, names, "o", &text, &o.out, &error),
                     MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "rescale"));
    n->kind = MQ_INET_REORG, o.in[0].h = o.node[0].edge.h = 5;
    assert_int_equal(mq_rtl_stage(&o.build, NODES - 1, o.in, names, "o", &text, &o.out, &error),
                     MQ_BAD_INPUT);
    assert_int_equal(mq_rtl_fifo(&o.in[0], -1, "a", "b", &text, &error), MQ_BAD_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(streams_in_verilator, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(streams_in_icarus, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(broken_copies_are_noticed), cmocka_unit_test(refuses_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
