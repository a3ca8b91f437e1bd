/* test_accelerator.c - a whole accelerator of every kind of stage: its folder, its Verilog in both simulators
 * against the reference, layer by layer, with and without stalls; what it must notice; what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/temp_dir.h"
#include "gen/accelerator.h"
#include "gen/helper_accelerator.h"
#include "gen/rtl_count.h"
#include "gen/rtl_run.h"
#include "inet/manifest.h"
#include "inet/small_net.h"
#include "sim/sim.h"

enum { IMAGES = 3, IMAGE_BYTES = 8 * 12 * 3, PATIENCE = 20000 };

static char net_dir[600], build_dir[600], work_dir[600];
static mq_inet *net;
static mq_inet_plan *plan;
static mq_build *build;
static uint8_t images[IMAGES * IMAGE_BYTES];
static int64_t *expected[64]; /* [node]: [image][h][w][c] of dumped nodes */

static void must(mq_status status, const mq_error *error) {
    if (status != MQ_OK) fail_msg("%s", error->text);
}

static mq_status write_build(const char *out, bool force, mq_build **built, mq_error *error) {
    mq_accelerator_request r = {.net = net, .plan = plan, .source = net_dir, .out = out, .force = force};
    return mq_accelerator_write(&r, built, error);
}

static void keep(void *context, size_t image, int node, const int64_t *codes) {
    (void)context;
    const mq_inet_edge *e = &net->nodes[node].edge;
    size_t n = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    memcpy(expected[node] + image * n, codes, n * sizeof *codes);
}

static int set_up(void **state) {
    mq_error error = {0};
    mq_sim *sim;
    if (temp_dir_make(state) != 0) return -1;
    snprintf(net_dir, sizeof net_dir, "%s", temp_dir_path(state, "net"));
    snprintf(build_dir, sizeof build_dir, "%s", temp_dir_path(state, "build"));
    snprintf(work_dir, sizeof work_dir, "%s", temp_dir_path(state, "work"));
    net = tiny_net(net_dir, 5);
    plan = tiny_plan(net);
    if (mkdir(work_dir, 0777) != 0 || write_build(build_dir, false, &build, &error) != MQ_OK) {
        print_error("%s\n", error.text);
        return -1;
    }
    mq_rng rng = mq_rng_stream(9, "images", 0);
    for (uint64_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)mq_rng_below(&rng, i, 256);
    memset(images, 255, 96);
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_edge *e = &net->nodes[i].edge;
        expected[i] = calloc((size_t)(IMAGES * e->h * e->w * e->c), sizeof **expected);
    }
    const mq_sim_visitor visitor = {.see = keep};
    if (mq_sim_create(net, &sim, &error) != MQ_OK ||
        mq_sim_run(sim, images, IMAGES, MQ_SIM_NCHW, &visitor, NULL, NULL, &error) != MQ_OK)
        return -1;
    mq_sim_free(sim);
    return 0;
}

static int tear_down(void **state) {
    for (int i = 0; i < net->node_count; i++) free(expected[i]);
    mq_build_free(build);
    mq_inet_plan_free(plan);
    mq_inet_free(net);
    return temp_dir_remove(state);
}

/* ---- comparing ---- */

typedef struct comparison {
    int node, wrong;
} comparison;

static void see(void *context, int64_t frame, int c, int row, int column, int64_t value) {
    comparison *k = context;
    const mq_inet_edge *e = &net->nodes[k->node].edge;
    k->wrong += expected[k->node][((frame * e->h + row) * e->w + column) * e->c + c] != value;
}

/* The first dumped stage with wrong codes, or -1. */
static int first_wrong(const mq_rtl_bench *bench, int frames) {
    for (int i = 0; i < build->count; i++) {
        comparison k = {.node = build->stage[i].result};
        const char *dump = net->nodes[k.node].dump;
        mq_error error = {0};
        if (!dump[0]) continue;
        must(mq_rtl_codes(bench, i, dump, frames, see, &k, &error), &error);
        if (k.wrong) return i;
    }
    return -1;
}

static mq_rtl_bench bench_of(const char *dir, mq_rtl_simulator simulator) {
    return (mq_rtl_bench){.dir = dir, .work = work_dir, .build = build, .simulator = simulator};
}

static mq_status run(const mq_rtl_bench *bench, int frames, int stalls, uint64_t seed, mq_rtl_measure *m,
                     mq_error *error) {
    const mq_rtl_request r = {.images = images,
                              .count = frames < IMAGES ? frames : IMAGES,
                              .frames = frames,
                              .stalls = stalls,
                              .seed = seed,
                              .patience = PATIENCE,
                              .seconds = 120};
    return mq_rtl_simulate(bench, &r, m, error);
}

static bool without(mq_rtl_simulator simulator) {
    if (mq_program_found(mq_rtl_simulator_names[simulator]) && mq_program_found("make")) return false;
    print_message("%s is not installed\n", mq_rtl_simulator_names[simulator]);
    return true;
}

/* ---- the folder ---- */

static bool has(const mq_folder_list *files, const char *name) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->name[i], name) == 0) return true;
    return false;
}

static void folder_is_whole(void **state) {
    (void)state;
    static const char *const names[] = {
        "net.json",        "weights.safetensors", "certificate.json",       "plan.json",
        "build.json",      "rtl/tiny_net_top.v",  "rtl/stage_conv0.v",      "rtl/stage_concat0.v",
        "rtl/mixq_fifo.v", "rtl/sim/DSP48E2.v",   "sim/main.cpp",           "sim/bench.v",
        "sim/Makefile",    "sim/sim_config.h",    "synth/stage_linear4.ys", "synth/tiny_net_top.ys",
        "synth/vivado.tcl"};
    mq_folder_list files;
    json_t *manifest;
    size_t count, wrong;
    mq_error error = {0};
    must(mq_folder_files(build_dir, &files, &error), &error);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!has(&files, names[i])) fail_msg("no %s", names[i]);
    must(mq_manifest_load(build_dir, &manifest, &error), &error);
    must(mq_manifest_check(build_dir, manifest, &count, &wrong, &error), &error);
    assert_int_equal(count, files.count - 1); /* all but itself */
    assert_string_equal(json_string_value(json_object_get(manifest, "device")), "ultra96v2");
    json_decref(manifest);
    mq_folder_list_free(&files);

    /* The same again, byte by byte. */
    mq_build *again, *read;
    char path[700];
    snprintf(path, sizeof path, "%s2", build_dir);
    must(write_build(path, false, &again, &error), &error);
    must(mq_manifest_load(path, &manifest, &error), &error);
    must(mq_manifest_check(build_dir, manifest, &count, &wrong, &error), &error);
    json_decref(manifest);
    mq_build_free(again);

    must(mq_build_load(build_dir, net, &read, &error), &error);
    assert_int_equal(read->count, build->count);
    assert_memory_equal(&read->stage[3].out, &build->stage[3].out, sizeof read->stage[3].out);
    assert_int_equal(read->in_bits, mq_axis_bits(8 * 3 * plan->in_pixels));
    mq_build_free(read);
}

static void refusals(void **state) {
    mq_build *built;
    mq_error error = {0};
    assert_int_equal(write_build(build_dir, false, &built, &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "--force"));
    must(write_build(build_dir, true, &built, &error), &error);
    mq_build_free(built);
    assert_int_equal(write_build(net_dir, true, &built, &error), MQ_USAGE); /* an export is no build */
    assert_non_null(strstr(error.text, "no build folder"));
    assert_int_equal(write_build("/proc/nowhere/build", false, &built, &error), MQ_BAD_INPUT);

    /* A stage that cannot be: nothing is left, and what was there still is. */
    int entries = temp_dir_count(state);
    mq_plan_layer kept = plan->layer[1];
    plan->layer[1].simd = 2; /* of a depthwise layer */
    assert_int_equal(write_build(temp_dir_path(state, "broken"), false, &built, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "conv1"));
    assert_int_equal(write_build(build_dir, true, &built, &error), MQ_BAD_INPUT);
    plan->layer[1] = kept;
    assert_int_equal(temp_dir_count(state), entries);
    mq_build *read;
    must(mq_build_load(build_dir, net, &read, &error), &error);
    mq_build_free(read);

    /* A node without hardware. */
    mq_rtl_graph graph;
    mq_inet *odd = small_net_random(1); /* compat: with a rescaling */
    mq_inet_plan *odd_plan;
    mq_dsp dsp;
    must(mq_dsp_find("dsp48e2", &dsp, &error), &error);
    must(mq_inet_plan_choose(odd, &dsp, MQ_CLASS_I, &odd_plan, &error), &error);
    assert_int_equal(mq_rtl_graph_make(odd, odd_plan, &graph, &error), MQ_BAD_INPUT);
    mq_inet_plan_free(odd_plan);
    mq_inet_free(odd);
}

/* ---- simulation ---- */

static void verilator_agrees(void **state) {
    (void)state;
    mq_rtl_bench bench = bench_of(build_dir, MQ_RTL_VERILATOR);
    mq_rtl_measure quiet, stalled, other;
    mq_error error = {0};
    if (without(MQ_RTL_VERILATOR)) skip();
    setenv("MODEL_FLAGS", "-O0", 1);
    setenv("BENCH_FLAGS", "-O0", 1);
    must(mq_rtl_compile(&bench, &error), &error);
    must(run(&bench, 6, 0, 0, &quiet, &error), &error);
    assert_int_equal(first_wrong(&bench, IMAGES), -1);
    assert_int_equal(quiet.frames, 6);
    assert_true(quiet.first > 0 && quiet.first <= quiet.first_end);
    assert_true(mq_rtl_interval(&quiet) >= 96 && mq_rtl_interval(&quiet) < quiet.first_end);
    must(run(&bench, IMAGES, 40, 1, &stalled, &error), &error);
    assert_int_equal(first_wrong(&bench, IMAGES), -1);
    must(run(&bench, IMAGES, 40, 2, &other, &error), &error);
    assert_int_equal(first_wrong(&bench, IMAGES), -1);
    assert_true(stalled.cycles != other.cycles);
    assert_true(stalled.first_end > quiet.first_end);
}

static void icarus_agrees(void **state) {
    (void)state;
    mq_rtl_bench bench = bench_of(build_dir, MQ_RTL_ICARUS);
    mq_rtl_measure quiet, stalled;
    mq_error error = {0};
    if (without(MQ_RTL_ICARUS)) skip();
    must(mq_rtl_compile(&bench, &error), &error);
    must(run(&bench, IMAGES, 0, 0, &quiet, &error), &error);
    assert_int_equal(first_wrong(&bench, IMAGES), -1);
    must(run(&bench, IMAGES, 30, 3, &stalled, &error), &error);
    assert_int_equal(first_wrong(&bench, IMAGES), -1);
    assert_true(stalled.first_end > quiet.first_end);
}

/* One bit of every memory file: the layer it belongs to is the first that differs, if any does. */
static void flipped_memories(void **state) {
    (void)state;
    mq_rtl_bench bench = bench_of(build_dir, MQ_RTL_ICARUS);
    mq_rtl_measure m;
    mq_folder_list files;
    mq_error error = {0};
    char dir[700];
    int seen = 0, tried = 0;
    if (without(MQ_RTL_ICARUS)) skip();
    snprintf(dir, sizeof dir, "%s/mem", build_dir);
    must(mq_folder_files(dir, &files, &error), &error);
    assert_true(files.count > 0);
    must(mq_rtl_compile(&bench, &error), &error);
    for (size_t i = 0; i < files.count; i++) {
        char path[MQ_PATH], module[MQ_BUILD_NAME + 8];
        uint8_t *bytes;
        size_t size, at = 0;
        must(mq_path_join(dir, files.name[i], path, &error), &error);
        must(mq_file_read(path, 1 << 24, &bytes, &size, &error), &error);
        for (at = size / 3; at < size && bytes[at] == '\n'; at++)
            ;
        uint8_t kept = bytes[at];
        bytes[at] = kept == '0' ? '1' : '0';
        must(mq_file_write(path, bytes, size, &error), &error);
        mq_status status = run(&bench, 1, 0, 0, &m, &error);
        int wrong = status == MQ_OK ? first_wrong(&bench, 1) : -1;
        tried++;
        if (wrong >= 0) {
            snprintf(module, sizeof module, "%s_", build->stage[wrong].module);
            if (strncmp(files.name[i], module, strlen(module)) != 0)
                fail_msg("%s: the first wrong stage is %s", files.name[i], build->stage[wrong].module);
            seen++;
        }
        bytes[at] = kept;
        must(mq_file_write(path, bytes, size, &error), &error);
        mq_free(bytes);
    }
    print_message("%d of %d flipped memory files seen\n", seen, tried);
    assert_true(3 * seen > tried);
    mq_folder_list_free(&files);
    must(run(&bench, 1, 0, 0, &m, &error), &error);
    assert_int_equal(first_wrong(&bench, 1), -1);
}

/* Breaks a library module of a copied build: `from` becomes `to`. */
static void break_module(const char *dir, const char *module, const char *from, const char *to) {
    char path[MQ_PATH], name[64];
    mq_error error = {0};
    uint8_t *text;
    size_t size;
    snprintf(name, sizeof name, "rtl/%s.v", module);
    must(mq_path_join(dir, name, path, &error), &error);
    must(mq_file_read(path, 1 << 20, &text, &size, &error), &error);
    const char *at = strstr((char *)text, from);
    if (!at) fail_msg("%s: no '%s'", path, from);
    char *changed = malloc(size + strlen(to) + 1);
    int n = sprintf(changed, "%.*s%s%s", (int)(at - (char *)text), (char *)text, to, at + strlen(from));
    must(mq_file_write(path, changed, (size_t)n, &error), &error);
    free(changed);
    mq_free(text);
}

/* The right codes over a port that breaks its handshake: said by the bench, by name of what it is. */
static void handshakes_are_watched(void **state) {
    static const struct {
        const char *module, *from, *to, *words;
    } cases[] = {
        {"mixq_output", "assign out_last = n == LAST;", "assign out_last = n != LAST;",
         "m_axis: tlast wrong at"},
        {"mixq_output", "assign out_data = in_data;",
         "reg odd = 0;\n  always @(posedge clk) odd <= !odd;\n"
         "  assign out_data = in_data ^ (out_ready ? 0 : odd);",
         "changes of a beat that waited"},
        {"mixq_image", "assign out_valid = in_valid;",
         "reg odd = 0;\n  always @(posedge clk) odd <= !odd;\n"
         "  assign out_valid = in_valid && (out_ready || odd);",
         "image: valid fell before ready"},
    };
    mq_error error = {0};
    mq_rtl_measure m;
    if (without(MQ_RTL_ICARUS)) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[700];
        mq_build *copy;
        snprintf(path, sizeof path, "%s", temp_dir_path(state, "shake"));
        must(write_build(path, true, &copy, &error), &error);
        mq_rtl_bench bench = bench_of(path, MQ_RTL_ICARUS);
        break_module(path, cases[i].module, cases[i].from, cases[i].to);
        must(mq_rtl_compile(&bench, &error), &error);
        assert_int_equal(run(&bench, IMAGES, 40, 1, &m, &error), MQ_CHECK_FAILED);
        if (!strstr(error.text, cases[i].words)) fail_msg("'%s' expected: %s", cases[i].words, error.text);
        mq_build_free(copy);
    }
}

/* Without the FIFO that the concat needs nothing moves any more, and that is said. */
static void deadlock_is_reported(void **state) {
    char path[700];
    mq_build *short_of;
    mq_error error = {0};
    mq_rtl_measure m;
    if (without(MQ_RTL_ICARUS)) skip();
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "short"));
    plan->stream[0].depth = 0;
    must(write_build(path, false, &short_of, &error), &error);
    plan->stream[0].depth = 16;
    mq_rtl_bench bench = bench_of(path, MQ_RTL_ICARUS);
    must(mq_rtl_compile(&bench, &error), &error);
    assert_int_equal(run(&bench, IMAGES, 0, 0, &m, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "deadlock"));
    mq_build_free(short_of);

    /* Verilog that is none: the compiler's words are passed on. */
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "short/rtl/stage_conv0.v"));
    must(mq_file_write(path, "module stage_conv0;", 19, &error), &error);
    assert_int_equal(mq_rtl_compile(&bench, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "stage_conv0.v"));
}

/* ---- cells ---- */

static void cells_are_counted(void **state) {
    (void)state;
    json_t *cells =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "LUT6", 3, "LUT6_2", 2, "RAM64M8", 1,
                  "FDRE", 7, "RAMB18E2", 1, "RAMB36E2", 2, "DSP48E2", 5, "CARRY8", 9, "BUFG", 1, "SRL16E", 1);
    mq_build_counts n;
    mq_rtl_count_cells(cells, &n);
    assert_int_equal(n.lut, 3 + 2 + 8 + 1);
    assert_int_equal(n.ff, 7);
    assert_int_equal(n.bram18, 5);
    assert_int_equal(n.dsp, 5);
    json_decref(cells);
}

static void yosys_counts_a_stage(void **state) {
    (void)state;
    mq_build_counts pool, streams;
    mq_error error = {0};
    if (!mq_program_found("yosys")) {
        print_message("yosys is not installed\n");
        skip();
    }
    must(mq_rtl_count(build_dir, work_dir, "stage_pool0", 300, &pool, &error), &error);
    assert_true(pool.lut > 20 && pool.lut < 400);
    assert_true(pool.ff > 8 && pool.dsp == 0);
    must(mq_rtl_count(build_dir, work_dir, build->top, 300, &streams, &error), &error);
    assert_true(streams.ff > 100 && streams.dsp == 0);
    assert_int_equal(mq_rtl_count(build_dir, work_dir, "stage_nothing", 300, &pool, &error), MQ_CHECK_FAILED);
    assert_int_equal(mq_rtl_count(build_dir, work_dir, build->top, 0.01, &pool, &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "not done after"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_is_whole),        cmocka_unit_test(refusals),
        cmocka_unit_test(verilator_agrees),       cmocka_unit_test(icarus_agrees),
        cmocka_unit_test(flipped_memories),       cmocka_unit_test(deadlock_is_reported),
        cmocka_unit_test(handshakes_are_watched), cmocka_unit_test(cells_are_counted),
        cmocka_unit_test(yosys_counts_a_stage),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
