/* test_cli_pareto.c - sweeps as a user runs them: methods, front, several processes, kill -9 and resume, job
 * arrays, and everything that is refused. */
#include "helper_cli.h"

#include <time.h>

/* mnist:some: a run of one epoch takes a moment, so that signals meet it. */
#define SWEEP                                                                                                \
    "pareto --model tiny.yaml --data mnist:some --threads 1 --batch 10 --search-epochs 1 --epochs 1 --lr "   \
    "0.01 "                                                                                                  \
    "--set flip=0 --set pad=0 --precision f32 --quiet "
#define POINTS "--methods search,uniform --cd 1e-3,1 --uniform-bits 3 --seeds 2 --train all "
enum { POINT_COUNT = 6 };
static const char *const NAMES[POINT_COUNT] = {"search-cd0.001-seed0", "search-cd0.001-seed1",
                                               "search-cd1-seed0",     "search-cd1-seed1",
                                               "uniform-w3-seed0",     "uniform-w3-seed1"};

static void wait_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static int make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "some", 1500, 50, 8);
    return 0;
}

static const char *in_sweep(const char *sweep, const char *point, const char *file) {
    static char name[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(name[next], sizeof name[next], "%s/points/%s/%s", sweep, point, file);
    return name[next];
}

/* Every point of both is the same to the bit. */
static void same_sweeps(void **state, const char *a, const char *b) {
    static const char *const files[] = {"point.json", "main/last.safetensors", "main/bits.json"};
    char x[64], y[64];
    for (int i = 0; i < POINT_COUNT; i++)
        for (size_t f = 0; f < sizeof files / sizeof *files; f++)
            cli_same_file(state, in_sweep(a, NAMES[i], files[f]), in_sweep(b, NAMES[i], files[f]));
    snprintf(x, sizeof x, "%s/results.csv", a);
    snprintf(y, sizeof y, "%s/results.csv", b);
    cli_same_file(state, x, y);
}

static int points_done(void **state, const char *sweep) {
    int done = 0;
    for (int i = 0; i < POINT_COUNT; i++) done += cli_exists(state, in_sweep(sweep, NAMES[i], "point.json"));
    return done;
}

static void await(void **state, const char *file) {
    for (int i = 0; i < 60000 && !cli_exists(state, file); i++) wait_ms(1);
    assert_true(cli_exists(state, file));
}

/* ---- what it makes ---- */

static void four_methods(void **state) {
    json_t *r = cli_json(state, SWEEP
                         "--methods search,published,sensitivity,uniform --cd 1e-3,10 --published-cd 1 "
                         "--uniform-bits 2,5 --calibration 100 --out four --plot four.svg --device zcu104");
    cli_has_keys(r, "front groups points model quality device out");
    const json_t *points = json_object_get(r, "points"), *front = json_object_get(r, "front");
    assert_int_equal(json_array_size(points), 2 + 1 + 2 + 2);
    assert_true(json_array_size(front) >= 1);
    double last = -1;
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(r, "groups"), i, p) {
        cli_has_keys(p, "method cd bitw bita accuracy accuracy_spread dsp_ops_M cycles fps");
        assert_true(cli_number(p, "fps") > 0);
    }
    json_array_foreach(points, i, p) {
        const char *method = cli_text(p, "method"), *name = cli_text(p, "name");
        if (strcmp(cli_text(p, "stage"), "trained") != 0) { /* only searches can be beaten */
            assert_string_equal(method, "search");
            assert_false(cli_exists(state, in_sweep("four", name, "main")));
            continue;
        }
        last = cli_number(p, "accuracy");
        assert_true(last >= 0 && last <= 1 && cli_number(p, "dsp_ops_M") > 0);
        assert_int_equal(cli_exists(state, in_sweep("four", name, "search/bits.json")),
                         strcmp(method, "search") == 0 || strcmp(method, "published") == 0);
        if (strcmp(method, "sensitivity") == 0) { /* within what uniform bits cost */
            assert_true(cli_number(p, "predicted_increase") >= 0);
            assert_true(cli_number(p, "dsp_ops_M") <= cli_number(p, "target_dsp_ops_M") * (1 + 1e-9));
        }
        if (strcmp(name, "uniform-w5-seed0") == 0) assert_string_equal(cli_text(p, "bita"), "55");
        if (strcmp(name, "search-cd10-seed0") == 0) assert_string_equal(cli_text(p, "bitw"), "22");
    }
    json_decref(r);
    assert_true(cli_exists(state, "four/bases/seed0/base.json") && cli_exists(state, "four/results.json"));
    char text[CLI_RUN_TEXT];
    cli_read(state, "four.svg", text);
    cli_contains("pareto", text,
                 "<svg|tiny: accuracy against DSP operations|sensitivity</text>|published</text>");
    cli_same_file(state, "four.csv", "four/results.csv");
    /* the rest of the program reads the runs */
    cli_works(state, "test four/points/uniform-w5-seed0/main --data mnist:some --quiet");
    cli_contains("report", cli_works(state, "report four --quiet")->out,
                 "tiny: accuracy against DSP operations|o search");
    cli_works(state, "report four four/points/uniform-w5-seed0/main --out page.html --quiet");
    cli_read(state, "page.html", text);
    cli_contains("report", text, "Sweep four|Run main|<td>5 bits</td>|<svg");
    cli_contains("pareto", cli_works(state, "pareto --out four --resume --quiet --plot -")->out,
                 "sensitivity|published|uniform|7 points trained|M DSP operations");
}

/* Searches towards targets and searches with prices are curves of their own. */
static void targets(void **state) {
    json_t *r = cli_json(
        state, SWEEP "--methods search,published,sensitivity --cd 1e-3 --target-dsp-ops 0.002 --train all "
                     "--search-epochs 2 --set anneal=0.3 --measure-gap --out aimed --plot aimed.svg");
    size_t i;
    int at_target = 0;
    json_t *p;
    json_array_foreach(json_object_get(r, "points"), i, p) {
        const json_t *target = json_object_get(p, "target_dsp_ops_M");
        const double dsp = cli_number(p, "dsp_ops_M");
        if (!target) continue;
        at_target++;
        assert_true(json_is_null(json_object_get(p, "cd")) && json_real_value(target) == 0.002);
        assert_true(dsp <= 0.002 * (1 + 1e-9));
        if (strcmp(cli_text(p, "method"), "search") == 0) assert_true(dsp >= 0.002 * 0.8);
    }
    assert_int_equal(at_target, 2);
    json_decref(r);
    char text[CLI_RUN_TEXT];
    cli_read(state, "aimed.svg", text);
    cli_contains("pareto", text, "search, by target</text>|search, by price</text>|published</text>");
    cli_read(state, "aimed/points/search-dsp0.002-seed0/search/metrics.jsonl", text);
    cli_contains("pareto", text, "\"settled_accuracy\"|\"target_cost\"");
    cli_read(state, "aimed/points/search-cd0.001-seed0/search/run.json", text);
    cli_contains("pareto", text, "\"anneal\": 0.2");
    cli_read(state, "aimed/points/published-cd0.001-seed0/search/run.json", text);
    cli_contains("pareto", text, "\"factors\": \"published\"");
    assert_null(strstr(text, "\"anneal\"")); /* published as it was */
}

/* Main training from the method's own network. */
static void own_start(void **state) {
    cli_works(
        state, SWEEP
        "--methods search,uniform --cd 1e-3 --uniform-bits 4 --start own --pretrain-epochs 2 --out own");
    char text[CLI_RUN_TEXT];
    cli_read(state, "own/points/search-cd0.001-seed0/main/run.json", text);
    cli_contains("pareto", text, "/own/points/search-cd0.001-seed0/search\"");
    cli_read(state, "own/points/uniform-w4-seed0/main/run.json", text);
    cli_contains("pareto", text, "/own/bases/seed0/train\"");
    cli_read(state, "own/points/uniform-w4-seed0/point.json", text);
    cli_contains("pareto", text, "\"epochs_before\": 2");
}

static void diverging(void **state) {
    json_t *r = cli_json(state, SWEEP "--methods uniform --uniform-bits 3,4 --lr 1e25 --out wild");
    const json_t *p = json_array_get(json_object_get(r, "points"), 0);
    assert_string_equal(cli_text(p, "stage"), "failed");
    assert_non_null(strstr(cli_text(p, "failure"), "not finite"));
    assert_int_equal(json_array_size(json_object_get(r, "front")), 0);
    json_decref(r);
    cli_contains("pareto", cli_works(state, "pareto --out wild --resume --quiet")->out,
                 "0 of 2 points trained|2 diverged");
}

/* ---- any number of processes ---- */

static void killed(void **state) {
    cli_works(state, SWEEP POINTS "--out whole");
    assert_int_equal(points_done(state, "whole"), POINT_COUNT);
    static const int signals[] = {SIGKILL, SIGINT, SIGKILL, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        pid_t pid = cli_start(
            state, i ? "pareto --out parts --resume --quiet --threads 1" : SWEEP POINTS "--out parts", 0);
        if (i == 0) await(state, "parts/points/search-cd0.001-seed0/search/run.json");
        const int before = points_done(state, "parts");
        for (int k = 0; k < 20000 && i && points_done(state, "parts") == before && before < POINT_COUNT; k++)
            wait_ms(1);
        wait_ms(15);
        kill(pid, signals[i]);
        cli_result *r = cli_finish(state, pid);
        if (signals[i] == SIGKILL)
            assert_int_equal(r->code, 1000 + SIGKILL);
        else if (r->code != 130)
            fail_msg("exit %d: %s", r->code, r->err);
        else
            cli_contains("pareto", r->err, "interrupted|--resume");
    }
    cli_works(state, "pareto --out parts --resume --quiet --threads 1");
    same_sweeps(state, "parts", "whole");
}

/* The process that had a point last. */
static long holder(void **state, const char *sweep, int point) {
    char text[CLI_RUN_TEXT];
    cli_read(state, in_sweep(sweep, NAMES[point], "lock"), text);
    const char *at = strstr(text, "process ");
    return at ? strtol(at + strlen("process "), NULL, 10) : 0;
}

static void two_workers(void **state) {
    cli_works(state, SWEEP POINTS "--out whole");
    pid_t first = cli_start(state, SWEEP POINTS "--out shared", 0);
    await(state, "shared/sweep.json");
    pid_t second = cli_start(state, SWEEP POINTS "--out shared --resume", 0);
    assert_int_equal(cli_finish(state, second)->code, 0);
    assert_int_equal(cli_finish(state, first)->code, 0);
    same_sweeps(state, "shared", "whole");
    int of_first = 0, of_second = 0;
    for (int i = 0; i < POINT_COUNT; i++) {
        of_first += holder(state, "shared", i) == (long)first;
        of_second += holder(state, "shared", i) == (long)second;
    }
    assert_int_equal(of_first + of_second, POINT_COUNT);
    assert_true(of_first > 0 && of_second > 0);
}

/* Ranks of a launcher begin together; one dies, the other does the rest. */
static void ranks(void **state) {
    cli_works(state, SWEEP POINTS "--out whole");
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    setenv("OMPI_COMM_WORLD_RANK", "1", 1);
    pid_t second = cli_start(state, SWEEP POINTS "--out shared", 0);
    setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    pid_t first = cli_start(state, SWEEP POINTS "--out shared", 0);
    unsetenv("OMPI_COMM_WORLD_RANK");
    unsetenv("OMPI_COMM_WORLD_SIZE");
    for (int k = 0; k < 20000 && points_done(state, "shared") == 0; k++) wait_ms(1);
    kill(second, SIGKILL);
    assert_int_equal(cli_finish(state, second)->code, 1000 + SIGKILL);
    cli_result *r = cli_finish(state, first);
    assert_int_equal(r->code, 0);
    cli_contains("pareto", r->out, "6 of 6 points trained");
    same_sweeps(state, "shared", "whole");
}

static void job_array(void **state) {
    const char *few = SWEEP "--methods search,uniform --cd 1e-3,10 --uniform-bits 3 --out array ";
    json_t *r = cli_json(state, "%s--slurm job.sh", few);
    assert_int_equal(cli_number(r, "points"), 3);
    json_decref(r);
    char text[CLI_RUN_TEXT];
    cli_read(state, "job.sh", text);
    cli_contains("pareto", text,
                 "--array=1-3|submit twice|--point \"$SLURM_ARRAY_TASK_ID\"|search-cd10-seed0");
    r = cli_json(state, "pareto --out array --point 1 --quiet --threads 1");
    assert_string_equal(cli_text(r, "stage"), "searched");
    assert_int_equal(cli_number(r, "waits_for"), 1);
    json_decref(r);
    r = cli_json(state, "pareto --out array --collect --quiet");
    assert_int_equal(json_array_size(json_object_get(r, "front")), 0);
    json_decref(r);
    for (int round = 0; round < 2; round++)
        for (int k = 3; k >= 1; k--) cli_works(state, "pareto --out array --point %d --quiet --threads 1", k);
    r = cli_json(state, "pareto --out array --collect --quiet --plot array.svg");
    assert_true(cli_number(r, "trained") >= 2);
    json_decref(r);
    cli_works(state, "pareto --out array --resume --slurm again.sh --quiet");
    cli_read(state, "again.sh", text);
    cli_contains("pareto", text, "--array=1-3|search-cd10-seed0");
    cli_fails(state, 2, "--point|from 1 to 3", "pareto --out array --point 4");
    cli_fails(state, 2, "exclude", "pareto --out array --point 1 --collect");
    cli_fails(state, 2, "--plot: not with --point", "pareto --out array --point 1 --plot x.svg");
}

/* ---- what is refused ---- */

static void refused(void **state) {
    const char *ok = "pareto --model tiny.yaml --data mnist:some --out no";
    cli_fails(state, 2, "--out is missing", "pareto --model tiny.yaml --data mnist:some");
    cli_fails(state, 2, "--model is missing", "pareto --data mnist:some --out no");
    cli_fails(state, 2, "--data is missing", "pareto --model tiny.yaml --out no");
    cli_fails(state, 2, "got 'serch'|did you mean 'search'", "%s --methods serch", ok);
    cli_fails(state, 2, "--methods: got ''", "%s --methods search,", ok);
    cli_fails(state, 2, "--methods needs a value", "%s --methods=", ok);
    cli_fails(state, 2, "--cd needs a value: got an empty one", "%s --cd=", ok);
    cli_fails(state, 2, "--cd: got ''", "%s --cd ,", ok);
    cli_fails(state, 2, "--cd: got '-1'", "%s --cd -1", ok);
    cli_fails(state, 2, "--cd: 1e-5 stands there twice", "%s --cd 1e-5,1e-5", ok);
    cli_fails(state, 2, "--cd: none of the methods uses it", "%s --cd 1e-5 --methods uniform", ok);
    cli_fails(state, 3,
              "--target-dsp-ops 1e-06: out of reach: 2 bits everywhere take 0.00107339|nearest possible "
              "target is 0.0010734",
              "%s --target-dsp-ops 1e-6", ok);
    cli_fails(state, 3, "--target-dsp-ops 9: out of reach: 8 bits everywhere take|nearest possible target is",
              "%s --methods sensitivity --target-dsp-ops 0.002,9", ok);
    cli_fails(state, 2, "--target-fps: only with --device", "%s --target-fps 9", ok);
    cli_fails(state, 2, "--target-fps: none of the methods uses it", "%s --methods uniform --target-fps 9",
              ok);
    cli_fails(state, 3, "1e+09 frames a second asked for, the best is",
              "%s --quiet --target-fps 1e9 --device zcu104", ok);
    cli_fails(state, 2, "--measure-gap: none of the methods uses it", "%s --methods uniform --measure-gap",
              ok);
    cli_fails(state, 2, "anneal_end", "%s --set anneal=0.99", ok);
    cli_fails(state, 2, "--uniform-bits: got '9'", "%s --methods uniform --uniform-bits 9", ok);
    cli_fails(state, 2, "whole numbers", "%s --methods uniform --uniform-bits 2.5", ok);
    cli_fails(state, 2, "--seeds: got '0'", "%s --seeds 0", ok);
    cli_fails(state, 2, "--train: got 'none'", "%s --train none", ok);
    cli_fails(state, 2, "--clock: only with --device", "%s --clock 100", ok);
    cli_fails(state, 2, "unknown device 'zcu'", "%s --device zcu", ok);
    cli_fails(state, 2, "a sweep of 5000 points", "%s --seeds 1000", ok);
    cli_fails(state, 3, "nowhere", "pareto --model tiny.yaml --data mnist:nowhere --out no");
    cli_fails(state, 2, "classes of images|detector", "pareto --model ultranet --data mnist:some --out no");
    cli_fails(state, 2, "--plot -", "%s --plot - --json", ok);
    cli_fails(state, 2, "lr_end", "%s --set lr_end=2", ok);
    cli_fails(state, 2, "lra_end", "%s --set lra_end=2", ok);
    assert_false(cli_exists(state, "no"));

    cli_fails(state, 3, "no sweep there", "pareto --out no --resume");
    cli_fails(state, 3, "no sweep there", "pareto --out no --point 1");
    cli_fails(state, 3, "no sweep there", "pareto --out no --collect");
    cli_put_text(state, "file", "x");
    cli_fails(state, 2, "a folder expected", SWEEP "--out file");
    cli_fails(state, 2, "holds no sweep", SWEEP "--out some");
    cli_fails(state, 2, "holds no sweep", SWEEP "--out some --resume");
    cli_fails(state, 2, "holds no sweep", SWEEP "--out some --slurm x.sh");
    cli_fails(state, 3, "cannot make a folder", SWEEP "--out file/below");
    cli_fails(state, 3, "/proc/sweep", SWEEP "--out /proc/sweep");
}

static void replace(void **state, const char *name, const char *from, const char *to) {
    size_t size;
    char *text = (char *)cli_get(state, name, &size), *at = strstr(text, from);
    assert_non_null(at);
    char *out = malloc(size + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    cli_put_text(state, name, out);
    free(text);
    free(out);
}

static void other_workers(void **state) {
    const char *one = SWEEP "--methods uniform --uniform-bits 3 --out one ";
    cli_works(state, "%s", one);
    cli_fails(state, 2, "a sweep is there: give --resume", "%s", one);
    cli_works(state, "%s--resume", one);
    cli_works(state, "%s--resume --threads 2", one);
    cli_fails(state, 2, "epochs: got 2, expected 1", "%s--resume --epochs 2", one);
    cli_fails(state, 2, "uniform_bits: got [3.0,4.0], expected [3.0]", "%s--resume --uniform-bits 3,4", one);
    cli_fails(state, 2, "seed: got 5, expected 0", "%s--resume --seed 5", one);
    cli_fails(state, 2, "set: got", "%s--resume --set lr_end=0.5", one);
    cli_fails(state, 2, "--epochs: the sweep in one has its settings",
              "pareto --out one --resume --epochs 1");
    cli_copy(state, "tiny.yaml", "keep.yaml");
    replace(state, "tiny.yaml", "out: 8", "out: 16");
    cli_fails(state, 2, "model_sha256", "pareto --out one --resume");
    cli_copy(state, "keep.yaml", "tiny.yaml");
    cli_works(state, "pareto --out one --resume --quiet");

    /* a folder that cannot be written */
    assert_int_equal(remove(temp_dir_path(state, "one/points/uniform-w3-seed0/point.json")), 0);
    assert_int_equal(remove(temp_dir_path(state, "one/points/uniform-w3-seed0/lock")), 0);
    assert_int_equal(mkdir(temp_dir_path(state, "one/points/uniform-w3-seed0/lock"), 0777), 0);
    cli_fails(state, 3, "cannot write the lock file|uniform-w3-seed0/lock",
              "pareto --out one --resume --quiet");
    assert_int_equal(rmdir(temp_dir_path(state, "one/points/uniform-w3-seed0/lock")), 0);
    if (geteuid() != 0) {
        assert_int_equal(chmod(temp_dir_path(state, "one/points/uniform-w3-seed0"), 0555), 0);
        cli_fails(state, 3, "cannot write the lock file", "pareto --out one --resume --quiet");
        assert_int_equal(chmod(temp_dir_path(state, "one/points/uniform-w3-seed0"), 0777), 0);
    }
    cli_works(state, "pareto --out one --resume --quiet"); /* from its finished run */

    cli_copy(state, "one/sweep.json", "sweep.json");
    replace(state, "one/sweep.json", "\"build\": \"", "\"build\": \"0");
    cli_fails(state, 2, "another build|--other-build", "pareto --out one --resume --quiet");
    cli_works(state, "pareto --out one --resume --quiet --other-build");
    cli_works(state, "pareto --out one --collect --quiet");
    replace(state, "one/sweep.json", "\"version\": \"", "\"version\": \"7");
    cli_fails(state, 2, "all workers of a sweep have one version",
              "pareto --out one --resume --quiet --other-build");
    cli_copy(state, "sweep.json", "one/sweep.json");
    replace(state, "one/sweep.json", "\"--epochs\"", "\"--epoches\"");
    cli_fails(state, 3, "sweep.json|--epoches", "pareto --out one --resume --quiet");
    cli_put_text(state, "one/sweep.json", "{\"format\": 3}");
    cli_fails(state, 3, "sweep.json: format", "pareto --out one --resume --quiet");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(four_methods, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(targets, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(own_start, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(diverging, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(killed, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(two_workers, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(ranks, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(job_array, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(refused, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(other_workers, make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
