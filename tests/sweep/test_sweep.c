/* test_sweep.c - lists, points, fronts and groups of a sweep; its files; locks between processes; Slurm's
 * script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "sweep/claim.h"
#include "sweep/launch.h"
#include "sweep/slurm.h"
#include "sweep/sweep_file.h"
#include "ok.h"

static void fails(mq_status status, mq_status expected, const mq_error *error, const char *words) {
    assert_int_equal(status, expected);
    if (!strstr(error->text, words)) fail_msg("expected '%s' in: %s", words, error->text);
}

/* ---- lists and points ---- */

static void lists(void **state) {
    (void)state;
    mq_sweep_list list;
    mq_error error;
    OK(mq_sweep_parse_list("--cd", "1e-5,3,0", 0, 10, &list, ERROR));
    assert_int_equal(list.count, 3);
    assert_true(list.value[0] == 1e-5 && list.value[1] == 3 && list.value[2] == 0);
    static const char *const bad[] = {
        "",     ",",  "1,",  ",1",   "1,,2",  "1;2",  "1,x",
        "1,11", "-1", "nan", "1, 2", "1,inf", "1,0x", "123456789012345678901234567890123456789"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        fails(mq_sweep_parse_list("--cd", bad[i], 0, 10, &list, &error), MQ_USAGE, &error, "--cd: got '");
    fails(mq_sweep_parse_list("--cd", "1,2,1.0", 0, 10, &list, &error), MQ_USAGE, &error,
          "1.0 stands there twice");
    char many[4 * (MQ_SWEEP_VALUES + 2)] = "0";
    for (int i = 1; i <= MQ_SWEEP_VALUES; i++) sprintf(many + strlen(many), ",%d", i);
    fails(mq_sweep_parse_list("--cd", many, 0, 1000, &list, &error), MQ_USAGE, &error, "at most 64");

    mq_sweep_plan plan;
    OK(mq_sweep_parse_methods("uniform,search", &plan, ERROR));
    assert_true(plan.method[MQ_SWEEP_SEARCH] && plan.method[MQ_SWEEP_UNIFORM] &&
                !plan.method[MQ_SWEEP_PUBLISHED]);
    fails(mq_sweep_parse_methods("unifrom", &plan, &error), MQ_USAGE, &error, "did you mean 'uniform'");
    fails(mq_sweep_parse_methods("search,", &plan, &error), MQ_USAGE, &error, "got ''");
    fails(mq_sweep_parse_methods("search,search", &plan, &error), MQ_USAGE, &error, "twice");
}

static mq_sweep_plan small_plan(void) {
    return (mq_sweep_plan){.method = {[MQ_SWEEP_SEARCH] = true, [MQ_SWEEP_UNIFORM] = true},
                           .prices = {2, {1e-5, 3e-5}},
                           .published = {1, {1}},
                           .targets = {1, {2.5}},
                           .widths = {1, {4}},
                           .seed = 7,
                           .seeds = 2};
}

static void points(void **state) {
    (void)state;
    mq_sweep_plan plan = small_plan();
    mq_sweep sweep;
    mq_error error;
    OK(mq_sweep_make(&plan, &sweep, ERROR));
    static const char *const names[] = {
        "search-cd1e-05-seed7", "search-cd1e-05-seed8", "search-cd3e-05-seed7", "search-cd3e-05-seed8",
        "search-dsp2.5-seed7",  "search-dsp2.5-seed8",  "uniform-w4-seed7",     "uniform-w4-seed8"};
    assert_int_equal(sweep.count, 8);
    for (int i = 0; i < sweep.count; i++) assert_string_equal(sweep.point[i].name, names[i]);
    mq_sweep_free(&sweep);
    plan.prices.value[1] = 1.00000001e-5;
    fails(mq_sweep_make(&plan, &sweep, &error), MQ_USAGE, &error,
          "search-cd1e-05-seed7: values differ too little");
    plan.seeds = 1000;
    plan.prices.count = 0;
    plan.widths.count = 7;
    fails(mq_sweep_make(&plan, &sweep, &error), MQ_USAGE, &error, "a sweep of 8000 points");
}

/* ---- fronts, against the definition by all pairs ---- */

static void fronts(void **state) {
    (void)state;
    enum { N = 40 };
    double cost[N], quality[N];
    int kind[N];
    uint32_t x = 1;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < N; i++) { /* few values, so that equal ones are many */
            x = x * 1664525u + 1013904223u;
            cost[i] = (x >> 28) == 0 ? NAN : (double)(x >> 16 & 7);
            quality[i] = (double)(x >> 20 & 7);
            kind[i] = (int)(x >> 24 & 1);
        }
        for (int k = 0; k < 2; k++) {
            int kept = 0;
            double last = -1;
            for (double c = 0; c < 8; c++) { /* by rising cost, every better quality once */
                double best = -1;
                for (int i = 0; i < N; i++)
                    if (kind[i] == k && cost[i] == c) best = fmax(best, quality[i]);
                kept += best > last;
                last = fmax(last, best);
            }
            int found = 0;
            for (int i = 0; i < N; i++) {
                if (kind[i] != k || !mq_sweep_unbeaten(cost, quality, kind, N, i)) continue;
                found++;
                for (int j = 0; j < N; j++)
                    if (kind[j] == k && !isnan(cost[j])) {
                        assert_false(cost[j] <= cost[i] && quality[j] > quality[i]);
                        assert_false(cost[j] < cost[i] && quality[j] >= quality[i]);
                    }
            }
            assert_int_equal(found, kept);
        }
    }
}

static void set(mq_sweep *sweep, int i, mq_sweep_stage stage, double dsp, double searched, double quality) {
    mq_sweep_point *p = &sweep->point[i];
    p->stage = stage;
    p->dsp_ops_M = dsp;
    p->searched = searched;
    p->quality = quality;
    snprintf(p->bitw, sizeof p->bitw, "%d4", i);
    snprintf(p->bita, sizeof p->bita, "44");
}

static void what_is_trained(void **state) {
    (void)state;
    mq_sweep_plan plan = small_plan();
    mq_sweep sweep;
    int waits;
    OK(mq_sweep_make(&plan, &sweep, ERROR));
    set(&sweep, 0, MQ_STAGE_SEARCHED, 3, 0.9, NAN); /* seed 7 */
    set(&sweep, 2, MQ_STAGE_SEARCHED, 2, 0.95, NAN);
    set(&sweep, 6, MQ_STAGE_SEARCHED, 1, NAN, NAN);
    assert_false(mq_sweep_to_train(&sweep, 0, true, &waits));
    assert_int_equal(waits, 1); /* search-dsp2.5-seed7 */
    assert_true(mq_sweep_to_train(&sweep, 0, false, &waits));
    assert_true(mq_sweep_to_train(&sweep, 6, true, &waits)); /* no search */
    assert_false(mq_sweep_to_train(&sweep, 7, true, &waits));
    assert_int_equal(waits, 1); /* its own bits */
    set(&sweep, 4, MQ_STAGE_FAILED, NAN, NAN, NAN);
    assert_false(mq_sweep_to_train(&sweep, 0, true, &waits)); /* beaten by 2 */
    assert_int_equal(waits, 0);
    assert_true(mq_sweep_to_train(&sweep, 2, true, &waits));
    assert_false(mq_sweep_to_train(&sweep, 4, true, &waits));
    sweep.point[2].searched = 0.85;
    assert_true(mq_sweep_to_train(&sweep, 0, true, &waits));
    assert_true(mq_sweep_to_train(&sweep, 2, true, &waits));
    sweep.point[2].dsp_ops_M = 3;
    sweep.point[2].searched = 0.9; /* equal: the first of them */
    assert_true(mq_sweep_to_train(&sweep, 0, true, &waits));
    assert_false(mq_sweep_to_train(&sweep, 2, true, &waits));
    sweep.point[2].stage = MQ_STAGE_TRAINED; /* still known */
    assert_false(mq_sweep_to_train(&sweep, 2, true, &waits));
    mq_sweep_free(&sweep);
}

static void groups(void **state) {
    (void)state;
    mq_sweep_plan plan = small_plan();
    mq_sweep sweep;
    mq_sweep_group *g;
    int count;
    OK(mq_sweep_make(&plan, &sweep, ERROR));
    set(&sweep, 0, MQ_STAGE_TRAINED, 2, 0.9, 0.8);
    set(&sweep, 1, MQ_STAGE_TRAINED, 4, 0.9, 0.9);
    set(&sweep, 2, MQ_STAGE_TRAINED, 5, 0.9, 0.84);
    set(&sweep, 3, MQ_STAGE_SEARCHED, 9, 0.9, NAN);
    set(&sweep, 7, MQ_STAGE_TRAINED, 1, NAN, 0.7);
    sweep.point[0].cycles = 100;
    sweep.point[1].cycles = 300;
    sweep.point[7].cycles = 0; /* the device is too small */
    OK(mq_sweep_groups(&sweep, &g, &count, ERROR));
    assert_int_equal(count, 3);
    assert_int_equal(g[0].seeds, 2);
    assert_int_equal(g[0].best, 1);
    assert_true(fabs(g[0].quality - 0.85) < 1e-12 && fabs(g[0].quality_spread - 0.1 / sqrt(2)) < 1e-12);
    assert_true(g[0].lowest == 0.8 && g[0].highest == 0.9);
    assert_true(g[0].dsp_ops_M == 3 && fabs(g[0].dsp_ops_spread - sqrt(2)) < 1e-12 && g[0].cycles == 200);
    assert_true(g[1].seeds == 1 && g[1].quality_spread == 0 && g[1].dsp_ops_M == 5);
    assert_true(g[2].first == 7 && isnan(g[2].cycles));
    assert_true(g[0].front && !g[1].front && g[2].front);
    json_t *root;
    OK(mq_sweep_results(&sweep, "net", "iou", NULL, &root, ERROR));
    assert_int_equal(json_array_size(json_object_get(root, "front")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "points")), 8);
    const json_t *first = json_array_get(json_object_get(root, "front"), 0);
    assert_true(json_real_value(json_object_get(first, "cd")) == 1e-5);
    assert_true(json_real_value(json_object_get(first, "accuracy")) ==
                json_real_value(json_object_get(first, "iou")));
    assert_string_equal(json_string_value(json_object_get(first, "bitw")), "14");
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(root, "front"), 1), "cd")));
    json_decref(root);
    mq_free(g);
    mq_sweep_free(&sweep);
}

/* ---- files ---- */

static void replace(void **state, const char *file, const char *from, const char *to) {
    const char *path = temp_dir_path(state, file);
    uint8_t *text;
    size_t size;
    OK(mq_file_read(path, 1 << 20, &text, &size, ERROR));
    char *at = strstr((char *)text, from);
    assert_non_null(at);
    char *out = malloc(size + strlen(to) + 1);
    const size_t head = (size_t)(at - (char *)text);
    memcpy(out, text, head);
    strcpy(out + head, to);
    strcat(out, at + strlen(from));
    OK(mq_file_write(path, out, strlen(out), ERROR));
    free(out);
    mq_free(text);
}

static void files(void **state) {
    mq_sweep_plan plan = small_plan();
    mq_sweep sweep, again;
    mq_error error;
    char dir[512], digest[MQ_DIGEST_TEXT], other[MQ_DIGEST_TEXT];
    snprintf(dir, sizeof dir, "%s", ((temp_dir *)*state)->path);
    OK(mq_sweep_make(&plan, &sweep, ERROR));
    OK(mq_sweep_make(&plan, &again, ERROR));
    json_t *settings = json_pack("{s:i, s:s}", "epochs", 3, "model", "m"),
           *words = json_pack("[s, s]", "--epochs", "3"), *read;
    OK(mq_sweep_digest(settings, digest, ERROR));
    fails(mq_sweep_load_words(dir, false, &read, &error), MQ_BAD_INPUT, &error, "no sweep there");
    OK(mq_sweep_save(dir, &sweep, settings, words, ERROR));
    OK(mq_sweep_load_words(dir, false, &read, ERROR));
    assert_true(json_equal(words, read));
    json_decref(read);
    OK(mq_sweep_compare(dir, &sweep, settings, ERROR));
    json_object_set_new(settings, "epochs", json_integer(4));
    fails(mq_sweep_compare(dir, &sweep, settings, &error), MQ_USAGE, &error, "epochs: got 4, expected 3");
    OK(mq_sweep_digest(settings, other, ERROR));
    assert_string_not_equal(digest, other);
    json_object_set_new(settings, "epochs", json_integer(3));
    sweep.count--;
    fails(mq_sweep_compare(dir, &sweep, settings, &error), MQ_BAD_INPUT, &error, "points");
    sweep.count++;

    /* points there and back */
    assert_int_equal(mkdir(temp_dir_path(state, "points"), 0777), 0);
    assert_int_equal(mkdir(temp_dir_path(state, "points/search-cd1e-05-seed7"), 0777), 0);
    set(&sweep, 0, MQ_STAGE_SEARCHED, 0.1, 1.0 / 3, NAN);
    OK(mq_sweep_save_point(dir, digest, &sweep.point[0], ERROR));
    OK(mq_sweep_load_points(dir, digest, &again, ERROR));
    assert_int_equal(again.point[0].stage, MQ_STAGE_SEARCHED);
    assert_true(again.point[0].dsp_ops_M == 0.1 && again.point[0].searched == 1.0 / 3 &&
                isnan(again.point[0].quality));
    assert_string_equal(again.point[0].bitw, "04");
    assert_int_equal(again.point[1].stage, MQ_STAGE_NEW);
    fails(mq_sweep_load_points(dir, other, &again, &error), MQ_BAD_INPUT, &error,
          "not a point of this sweep");
    replace(state, "points/search-cd1e-05-seed7/point.json", "searched", "trained");
    fails(mq_sweep_load_points(dir, digest, &again, &error), MQ_BAD_INPUT, &error,
          "numbers of stage 'trained'");
    replace(state, "points/search-cd1e-05-seed7/point.json", "trained", "hatched");
    fails(mq_sweep_load_points(dir, digest, &again, &error), MQ_BAD_INPUT, &error, "stage: got 'hatched'");
    replace(state, "points/search-cd1e-05-seed7/point.json", "{", "[");
    fails(mq_sweep_load_points(dir, digest, &again, &error), MQ_BAD_INPUT, &error, "point.json");

    /* other programs */
    char build[MQ_DIGEST_TEXT];
    mq_sweep_build(build);
    assert_int_equal(strlen(build), 64);
    replace(state, "sweep.json", build, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    fails(mq_sweep_load_words(dir, false, &read, &error), MQ_USAGE, &error, "another build");
    OK(mq_sweep_load_words(dir, true, &read, ERROR));
    json_decref(read);
    replace(state, "sweep.json", "\"version\": \"", "\"version\": \"9");
    fails(mq_sweep_load_words(dir, true, &read, &error), MQ_USAGE, &error,
          "all workers of a sweep have one version");
    replace(state, "sweep.json", "mixq-sweep-1", "mixq-sweep-2");
    fails(mq_sweep_load_words(dir, true, &read, &error), MQ_BAD_INPUT, &error, "expected 'mixq-sweep-1'");
    json_decref(settings);
    json_decref(words);
    mq_sweep_free(&sweep);
    mq_sweep_free(&again);
}

/* ---- locks ---- */

/* A child that holds the lock until it is killed. */
static pid_t hold(const char *path) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int claim;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive a test that fails */
        if (mq_claim_take(path, &claim, NULL) != MQ_OK || claim < 0 || write(ready[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void locks(void **state) {
    char path[512], holder[MQ_CLAIM_TEXT], expected[64];
    int claim, second;
    mq_error error;
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "lock"));
    pid_t pid = hold(path);
    OK(mq_claim_take(path, &claim, ERROR));
    assert_int_equal(claim, -1);
    mq_claim_holder(path, holder);
    snprintf(expected, sizeof expected, ", process %ld", (long)pid);
    assert_non_null(strstr(holder, expected));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    OK(mq_claim_take(path, &claim, ERROR)); /* taken over */
    assert_true(claim >= 0);
    OK(mq_claim_take(path, &second, ERROR)); /* within one process, too */
    assert_int_equal(second, -1);
    mq_claim_release(&claim);
    assert_int_equal(claim, -1);
    OK(mq_claim_take(path, &second, ERROR));
    assert_true(second >= 0);
    mq_claim_release(&second);
    mq_claim_holder(temp_dir_path(state, "none"), holder);
    assert_string_equal(holder, "another process");
    fails(mq_claim_take(temp_dir_path(state, "none/lock"), &claim, &error), MQ_BAD_INPUT, &error,
          "cannot write the lock file");
    fails(mq_claim_take("/proc/version", &claim, &error), MQ_BAD_INPUT, &error, "/proc/version");
}

/* ---- launchers ---- */

static void clear_launchers(void) {
    static const char *const names[] = {
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "PMI_RANK", "PMI_SIZE",
        "MPI_LOCALNRANKS",      "SLURM_PROCID",         "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
}

static void launchers(void **state) {
    (void)state;
    clear_launchers();
    mq_launch l = mq_launch_get();
    assert_true(l.rank == 0 && l.size == 1 && l.local == 1);
    setenv("SLURM_PROCID", "0", 1); /* a batch script */
    l = mq_launch_get();
    assert_true(l.rank == 0 && l.size == 1);
    setenv("SLURM_PROCID", "3", 1);
    setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    l = mq_launch_get();
    assert_true(l.rank == 3 && l.size == 4 && l.local == 1);
    setenv("OMPI_COMM_WORLD_RANK", "1", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2", 1);
    l = mq_launch_get();
    assert_true(l.rank == 1 && l.size == 2 && l.local == 2);
    setenv("OMPI_COMM_WORLD_RANK", "nonsense", 1);
    l = mq_launch_get();
    assert_true(l.rank == 3 && l.size == 4);
    clear_launchers();
}

/* The script runs what it should, by bash, with a program that prints its arguments. */
static void slurm(void **state) {
    mq_sweep_plan plan = small_plan();
    mq_sweep sweep;
    mq_error error;
    char script[512], program[512], here[512], line[2048], command[1200];
    snprintf(script, sizeof script, "%s", temp_dir_path(state, "job.sh"));
    snprintf(here, sizeof here, "%s", temp_dir_path(state, "it's $here"));
    snprintf(program, sizeof program, "%s", temp_dir_path(state, "pro gram"));
    assert_int_equal(mkdir(here, 0777), 0);
    static const char text[] = "#!/bin/bash\npwd\nprintf '<%s>' \"$@\"\n";
    OK(mq_file_write(program, text, strlen(text), ERROR));
    assert_int_equal(chmod(program, 0755), 0);
    OK(mq_sweep_make(&plan, &sweep, ERROR));
    OK(mq_slurm_write(script, &sweep, program, here, "/a b/'c'", 3, true, ERROR));
    snprintf(command, sizeof command, "SLURM_ARRAY_TASK_ID=5 bash '%s'", script);
    FILE *pipe_ = popen(command, "r");
    assert_non_null(pipe_);
    const size_t n = fread(line, 1, sizeof line - 1, pipe_);
    line[n] = 0;
    assert_int_equal(pclose(pipe_), 0);
    assert_non_null(strstr(line, "it's $here\n"));
    assert_non_null(strstr(line, "<pareto><--out></a b/'c'><--point><5><--threads><3>"));
    uint8_t *all;
    size_t size;
    OK(mq_file_read(script, 1 << 20, &all, &size, ERROR));
    assert_non_null(strstr((char *)all, "#SBATCH --array=1-8\n"));
    assert_non_null(strstr((char *)all, "#SBATCH --cpus-per-task=3\n"));
    assert_non_null(strstr((char *)all, "submit twice"));
    mq_free(all);
    fails(mq_slurm_write(script, &sweep, program, "/a\nb", "/out", 1, false, &error), MQ_USAGE, &error,
          "line breaks");
    mq_sweep_free(&sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(points),
        cmocka_unit_test(fronts),
        cmocka_unit_test(what_is_trained),
        cmocka_unit_test(groups),
        cmocka_unit_test_setup_teardown(files, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(locks, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(launchers),
        cmocka_unit_test_setup_teardown(slurm, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
