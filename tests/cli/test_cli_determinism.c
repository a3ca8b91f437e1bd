/* test_cli_determinism.c - the same seed and threads give the same bytes in another process: search,
 * training, export, builds, reports; simulators give the same numbers on every kernel, engine and number of
 * threads. */
#include "helper_cli.h"

#include "base/folder.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "io/npy.h"
#include "sim/sim.h"

#define RUN "--model tiny.yaml --data mnist:data --threads 2 --batch 20 --seed 5 --quiet"

enum { MOST_THREADS = 4 };

static int make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "data", 200, 50, 8);
    for (int k = 1; k <= 2; k++) {
        cli_works(state, "search " RUN " --epochs 2 --out s%d", k);
        cli_works(state, "train " RUN " --epochs 2 --bits s1 --init s1 --lr 0.1 --out t%d",
                  k); /* last.safetensors holds the settings */
        cli_works(state, "export t%d --out e%d --data mnist:data --vectors 3 --quiet", k, k);
    }
    return 0;
}

/* Every file of two folders; how many there were. */
static size_t same_folders(void **state, const char *a, const char *b) {
    mq_folder_list one, two;
    char dir[2][600], path[2][440];
    snprintf(dir[0], sizeof dir[0], "%s", temp_dir_path(state, a));
    snprintf(dir[1], sizeof dir[1], "%s", temp_dir_path(state, b));
    assert_int_equal(mq_folder_files(dir[0], &one, NULL), MQ_OK);
    assert_int_equal(mq_folder_files(dir[1], &two, NULL), MQ_OK);
    assert_int_equal(one.count, two.count);
    for (size_t i = 0; i < one.count; i++) {
        assert_string_equal(one.name[i], two.name[i]);
        snprintf(path[0], sizeof path[0], "%s/%s", a, one.name[i]);
        snprintf(path[1], sizeof path[1], "%s/%s", b, one.name[i]);
        cli_same_file(state, path[0], path[1]);
    }
    size_t count = one.count;
    mq_folder_list_free(&one);
    mq_folder_list_free(&two);
    return count;
}

/* metrics.jsonl without what a clock says. */
static void same_metrics(void **state, const char *a, const char *b) {
    char text[2][CLI_RUN_TEXT], *save[2], *line[2];
    cli_read(state, a, text[0]);
    cli_read(state, b, text[1]);
    for (int k = 0; k < 2; k++) line[k] = strtok_r(text[k], "\n", &save[k]);
    int lines = 0;
    for (; line[0] && line[1]; lines++) {
        json_t *object[2];
        for (int k = 0; k < 2; k++) {
            object[k] = json_loads(line[k], 0, NULL);
            assert_non_null(object[k]);
            json_object_del(object[k], "seconds");
            json_object_del(object[k], "images_per_second");
            line[k] = strtok_r(NULL, "\n", &save[k]);
        }
        assert_true(json_object_size(object[0]) > 3);
        if (!json_equal(object[0], object[1])) fail_msg("%s, line %d differs", a, lines + 1);
        json_decref(object[0]);
        json_decref(object[1]);
    }
    assert_int_equal(lines, 2);
    assert_true(!line[0] && !line[1]);
}

static void runs(void **state) {
    static const char *const files[] = {"last.safetensors", "best.safetensors", "bits.json"};
    for (int run = 0; run < 2; run++) {
        char a[64], b[64];
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            snprintf(a, sizeof a, "%c1/%s", "st"[run], files[i]);
            snprintf(b, sizeof b, "%c2/%s", "st"[run], files[i]);
            cli_same_file(state, a, b);
        }
        snprintf(a, sizeof a, "%c1/metrics.jsonl", "st"[run]);
        snprintf(b, sizeof b, "%c2/metrics.jsonl", "st"[run]);
        same_metrics(state, a, b);
    }
    cli_works(state, "train " RUN " --epochs 2 --bits s1 --init s1 --lr 0.1 --out other --seed 6");
    size_t size[2];
    uint8_t *mine = cli_get(state, "t1/best.safetensors", &size[0]),
            *other = cli_get(state, "other/best.safetensors", &size[1]);
    assert_true(size[0] != size[1] || memcmp(mine, other, size[0]) != 0); /* the seed does matter */
    free(mine);
    free(other);
}

static void exports_and_builds(void **state) {
    assert_true(same_folders(state, "e1", "e2") >= 8);
    for (int k = 1; k <= 2; k++) {
        cli_works(state,
                  "build e%d --device ultra96v2 --target rtl,hls --multipliers dsp --target-fps 20000 --out "
                  "b%d --quiet "
                  "--threads %d",
                  k, k, k);
        cli_works(state, "build e%d --target c --out c%d --quiet", k, k);
        cli_works(state, "estimate e%d --device ultra96v2 --json", k);
        cli_copy(state, "stdout.txt", k == 1 ? "estimate1" : "estimate2");
    }
    assert_true(same_folders(state, "b1", "b2") > 50);
    assert_true(same_folders(state, "c1", "c2") >= 4);
    cli_same_file(state, "estimate1", "estimate2");
}

/* Engines and threads through the program: outputs and the dumps of all layers. */
static void simulators(void **state) {
    static const char *const engines[] = {"--engine fast", "--engine reference", "--level packed"};
    int turn = 0;
    for (int e = 0; e < 3; e++)
        for (int threads = 1; threads <= MOST_THREADS; threads++, turn++) {
            cli_works(state,
                      "simulate e1 --data mnist:data --limit 7 %s --threads %d --dump %s --output %s.npy",
                      engines[e], threads, turn ? "d" : "first", turn ? "d" : "first");
            if (!turn) continue;
            cli_same_file(state, "first.npy", "d.npy");
            assert_true(same_folders(state, "first", "d") >= 4);
        }
}

/* The fast engine forced down to every table of kernels, plain C the last. */
static void kernels(void **state) {
    mq_inet *net;
    mq_tensor images;
    mq_error error = {0};
    int tables = 0;
    if (mq_inet_load(temp_dir_path(state, "e1"), &net, &error) != MQ_OK ||
        mq_npy_load(temp_dir_path(state, "e1/vectors/images.npy"), &images, &error) != MQ_OK)
        fail_msg("%s", error.text);
    enum { IMAGES = 3, CLASSES = 10 };
    int64_t first[IMAGES * CLASSES], got[IMAGES * CLASSES];
    float real[IMAGES * CLASSES], values[IMAGES * CLASSES];
    for (mq_sim_cpu cpu = 1; cpu < MQ_SIM_CPU_COUNT; cpu++) {
        if (!mq_sim_cpu_available(cpu)) continue;
        const mq_sim_options options = {.engine = MQ_SIM_FAST, .cpu = cpu};
        mq_sim *sim;
        assert_int_equal(mq_sim_create_with(net, &options, &sim, &error), MQ_OK);
        assert_string_equal(mq_sim_kernels(sim), mq_sim_cpu_name(cpu));
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            bool begin = tables == 0 && threads == 1;
            mq_threads_set(threads);
            assert_int_equal(mq_sim_run(sim, images.data, IMAGES, MQ_SIM_NCHW, NULL, begin ? first : got,
                                        begin ? real : values, &error),
                             MQ_OK);
            if (begin) continue;
            assert_memory_equal(first, got, sizeof got);
            assert_memory_equal(real, values, sizeof values);
        }
        tables++;
        mq_sim_free(sim);
    }
    assert_true(tables >= 1 && mq_sim_cpu_available(MQ_SIM_CPU_C));
    mq_tensor_free(&images);
    mq_inet_free(net);
}

/* A page about folders depends on them alone. */
static void reports(void **state) {
    for (int k = 1; k <= 2; k++) cli_works(state, "report s1 t1 e1 --out page%d.html --threads %d", k, k);
    cli_same_file(state, "page1.html", "page2.html");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs), cmocka_unit_test(exports_and_builds),
                                       cmocka_unit_test(simulators), cmocka_unit_test(kernels),
                                       cmocka_unit_test(reports)};
    return cmocka_run_group_tests(tests, make, temp_dir_remove);
}
