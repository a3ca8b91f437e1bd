/* test_cli_target.c - `mixq search` at a target: within 3 % of it, the same after an interruption, and every
 * target out of reach refused with the nearest that is possible. */
#include "helper_cli.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static double operations(void **state, int weight, int activation) {
    json_t *r = cli_json(state, "cost --model tiny.yaml --bitw %d%d --bita %d%d", weight, weight, activation,
                         activation);
    const double ops = cli_number(r, "dsp_ops_M");
    json_decref(r);
    return ops;
}

static json_t *last_metrics(void **state, const char *run) {
    static char text[CLI_RUN_TEXT];
    char name[64];
    snprintf(name, sizeof name, "%s/metrics.jsonl", run);
    cli_read(state, name, text);
    text[strcspn(text, "\n") + 1] = 0; /* the first one */
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    return line;
}

static void operations_met(void **state) {
    const double least = operations(state, 2, 2), most = operations(state, 8, 8);
    for (int i = 1; i <= 3; i++) {
        const double target = least + (most - least) * i * i / 12;
        char out[16], path[64];
        snprintf(out, sizeof out, "dsp%d", i);
        json_t *r =
            cli_json(state, "search " TINY_RUN " --epochs 3 --target-dsp-ops %.9g --out %s", target, out);
        cli_has_keys(r, "bitw bita dsp_ops_M target_dsp_ops_M target_met target");
        const double got = cli_number(r, "dsp_ops_M");
        if (!json_is_true(json_object_get(r, "target_met")) || got > target * (1 + 1e-8) ||
            got < 0.97 * target)
            fail_msg("target %g: %g, %s", target, got, cli_text(r, "target"));
        snprintf(path, sizeof path, "%s/bits.json", out);
        json_t *bits = json_load_file(temp_dir_path(state, path), 0, NULL);
        assert_true(cli_number(bits, "dsp_ops_M") == got);
        assert_string_equal(cli_text(bits, "bitw"), cli_text(r, "bitw"));
        json_decref(bits);
        json_decref(r);
        json_t *line = last_metrics(state, out);
        cli_has_keys(line, "multiplier target_cost mixed_cost largest_cost chosen_cost");
        assert_true(fabs(cli_number(line, "chosen_cost") - cli_number(line, "dsp_ops_M")) < 1e-9);
        assert_true(fabs(cli_number(line, "mixed_cost") - cli_number(line, "mix_dsp_ops_M")) < 1e-6);
        json_decref(line);
    }
    cli_result *text = cli_works(state,
                                 "search " TINY_RUN " --epochs 1 --fix conv0=w8a8 --measure-gap "
                                 "--target-dsp-ops %.9g --set rest=0.5 --set anneal=1 --out gap",
                                 0.5 * most);
    cli_contains("search", text->out, "M DSP operations: met, ");
    json_t *line = last_metrics(state, "gap");
    cli_has_keys(line, "chosen_accuracy chosen_loss settled_accuracy settled_loss");
    assert_int_equal(cli_text(line, "bitw")[0], '8');
    json_decref(line);
    cli_works(state, "train " TINY_RUN " --bits gap --init gap --epochs 1 --out main");
}

static int by_value(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* One layer alone has gaps: the bits that come nearest from below, and that is said. */
static void between_steps(void **state) {
    double cost[49];
    for (int i = 0; i < 49; i++) {
        json_t *r = cli_json(state, "cost --model tiny.yaml --bitw %d4 --bita %d4", 2 + i / 7, 2 + i % 7);
        cost[i] = cli_number(r, "dsp_ops_M");
        json_decref(r);
    }
    qsort(cost, 49, sizeof *cost, by_value);
    int gap = 1;
    while (gap < 49 && cost[gap - 1] > 0.96 * cost[gap]) gap++;
    assert_true(gap < 49);
    const double target = 0.9999 * cost[gap];
    const char *line = "search " TINY_RUN " --epochs 2 --fix conv1=w4a4 --target-dsp-ops %.9g --out %s";
    json_t *r = cli_json(state, line, target, "gaps");
    assert_true(json_is_false(json_object_get(r, "target_met")));
    assert_true(fabs(cli_number(r, "dsp_ops_M") - cost[gap - 1]) < 1e-6 * target);
    json_decref(r);
    cli_result *text = cli_works(state, line, target, "text");
    cli_contains("search", text->err, "no bits take between|the nearest below take");
    cli_contains("search", text->out, "not met within 3 %");
}

static void frame_rate(void **state) {
    json_t *r =
        cli_json(state, "search " TINY_RUN " --epochs 2 --device little.yaml --target-fps 600000 --out fps");
    cli_has_keys(r, "device target_fps device_share device_fps target_met target");
    assert_true(cli_number(r, "device_fps") >= 600000);
    if (!json_is_true(json_object_get(r, "target_met")))
        cli_contains("target", cli_text(r, "target"), "not met");
    json_decref(r);
    /* with --cd the rate is a price's again */
    r = cli_json(state,
                 "search " TINY_RUN " --epochs 1 --device little.yaml --target-fps 600000 --cd 1e-3 --out p");
    assert_null(json_object_get(r, "target_met"));
    json_decref(r);
}

static void refused(void **state) {
    const double least = operations(state, 2, 2), most = operations(state, 8, 8);
    cli_fails(state, 3, "--target-dsp-ops|out of reach|2 bits everywhere take|the nearest possible target is",
              "search " TINY_RUN " --target-dsp-ops %.9g --out x", 0.9 * least);
    cli_fails(state, 3, "2 bits everywhere but in the fixed layers take",
              "search " TINY_RUN " --fix conv1=w8a8 --target-dsp-ops %.9g --out x", 1.1 * least);
    cli_fails(state, 3, "8 bits everywhere take|the nearest possible target is",
              "search " TINY_RUN " --target-dsp-ops %.9g --out x", 1.1 * most);
    cli_fails(state, 2, "--target-dsp-ops and --cd",
              "search " TINY_RUN " --target-dsp-ops 1 --cd 1e-4 --out x");
    cli_fails(state, 2, "--target-dsp-ops and --device|--target-fps",
              "search " TINY_RUN " --target-dsp-ops 1 --device little.yaml --out x");
    cli_fails(state, 2, "--target-dsp-ops|'0'", "search " TINY_RUN " --target-dsp-ops 0 --out x");
    cli_fails(state, 2, "--target-dsp-ops|'much'", "search " TINY_RUN " --target-dsp-ops much --out x");
    cli_fails(state, 2, "anneal=0.5: less than anneal_end",
              "search " TINY_RUN " --set anneal=0.5 --set anneal_end=0.4 --out x");
    cli_fails(state, 2, "anneal_entropy|'0'", "search " TINY_RUN " --set anneal_entropy=0 --out x");
    cli_fails(state, 2, "rest|'-1'", "search " TINY_RUN " --set rest=-1 --out x");
    cli_fails(state, 3, "--target-fps 10|8 bits everywhere reach|the nearest possible target is",
              "search " TINY_RUN " --device little.yaml --target-fps 10 --out x");
    cli_fails(state, 3, "2 bits everywhere|the best is",
              "search " TINY_RUN " --device little.yaml --target-fps 9e7 --out x");
    assert_false(cli_exists(state, "x"));
}

/* What is named as the nearest is possible. */
static void nearest_is_possible(void **state) {
    const double least = operations(state, 2, 2), most = operations(state, 8, 8);
    const double beyond[] = {0.5 * least, 2 * most};
    for (int i = 0; i < 2; i++) {
        char line[300], out[8];
        snprintf(line, sizeof line, "search " TINY_RUN " --epochs 1 --target-dsp-ops %.9g --out x",
                 beyond[i]);
        cli_result *r = cli_finish(state, cli_start(state, line, 0));
        const char *near = strstr(r->err, "the nearest possible target is ");
        assert_non_null(near);
        double target = 0;
        assert_int_equal(sscanf(near, "the nearest possible target is %lf", &target), 1);
        snprintf(out, sizeof out, "near%d", i);
        json_t *done =
            cli_json(state, "search " TINY_RUN " --epochs 1 --target-dsp-ops %.9g --out %s", target, out);
        assert_true(json_is_true(json_object_get(done, "target_met")));
        json_decref(done);
    }
}

/* Interrupted in the middle of an epoch: the multiplier goes on where it was. */
static void resumed(void **state) {
    const char *run =
        "search --model tiny.yaml --data mnist:many --threads 1 --batch 12 --lr 0.01 --epochs 2 "
        "--quiet --target-dsp-ops %.9g --out %s %s";
    const double target = 0.4 * operations(state, 8, 8);
    char line[300];
    cli_put_data(state, "many", 6000, 50, 8);
    cli_works(state, run, target, "whole", "");
    for (int tries = 0; tries < 20; tries++) {
        snprintf(line, sizeof line, run, target, "parts", "--force");
        pid_t pid = cli_start(state, line, 0);
        for (int i = 0; i < 60000 && !cli_exists(state, "parts/run.json"); i++)
            nanosleep(&(struct timespec){0, 1000000}, NULL);
        nanosleep(&(struct timespec){0, 20000000L * (tries + 1)}, NULL);
        assert_int_equal(kill(pid, SIGINT), 0);
        if (cli_finish(state, pid)->code == 130) break;
    }
    cli_works(state, run, target, "parts", "--resume");
    cli_same_file(state, "parts/last.safetensors", "whole/last.safetensors");
    cli_same_file(state, "parts/best.safetensors", "whole/best.safetensors");
    cli_same_file(state, "parts/bits.json", "whole/bits.json");
    cli_fails(state, 2, "target_dsp_ops_M", run, 1.1 * target, "parts", "--resume");
}

static int make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "data", 200, 50, 8);
    cli_put_text(state, "little.yaml",
                 "name: little\npart: none\ndsp: {kind: dsp48e1, count: 20}\nlut: 10000\nff: 40000\n"
                 "bram36: 20\nbuild: false\nwhy: for tests\n");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_met), cmocka_unit_test(between_steps),       cmocka_unit_test(frame_rate),
        cmocka_unit_test(refused),        cmocka_unit_test(nearest_is_possible), cmocka_unit_test(resumed),
    };
    return cmocka_run_group_tests(tests, make, temp_dir_remove);
}
