/* test_cli_detect.c - detectors as a user runs them, on generated scenes: search shared and unshared, train
 * by both optimizers, test by both engines, resume, bench; and what is refused. */
#include "helper_cli.h"

#include <math.h>

/* Two anchors, cells of 4 x 4 pixels. */
static const char NET[] = "name: finder\ntask: detection\nclasses: 1\nanchors: [[14, 10], [8, 8]]\n"
                          "input: {channels: 3, height: 32, width: 64}\n"
                          "layers:\n"
                          "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool\n"
                          "  - conv: {out: 12, kernel: 3}\n  - batch_norm\n  - max_pool\n"
                          "  - conv: {out: 12, kernel: 1, bias: true}\n";
static const char CLASSES[] = "name: finder3\ntask: detection\nclasses: 3\nanchors: [[14, 10]]\n"
                              "input: {channels: 3, height: 32, width: 64}\n"
                              "layers:\n  - conv: {out: 8, kernel: 3}\n";

#define RUN "--model finder.yaml --data shapes:96 --threads 1 --batch 16 --quiet"

static int make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "finder.yaml", NET);
    cli_put_text(state, "finder3.yaml", CLASSES);
    return 0;
}

static double number_of(void **state, const char *file, const char *key) {
    json_error_t where;
    json_t *root = json_load_file(temp_dir_path(state, file), 0, &where);
    assert_non_null(root);
    const json_t *settings = json_object_get(root, "settings");
    const json_t *value = json_object_get(settings ? settings : root, key);
    if (!value) fail_msg("%s: no %s", file, key);
    const double number = json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
    json_decref(root);
    return number;
}

/* Published numbers arrive in run.json. */
static void recipes(void **state) {
    static const struct {
        const char *key;
        double value;
    } both[] = {{"lr", 0.01},        {"momentum", 0.937}, {"nesterov", 1},
                {"weight_decay", 0}, {"lr_end", 0.001},   {"bias_rate", 2},
                {"warm_up", -1},     {"warm_up_lr", 0.1}, {"warm_up_momentum", 0.9},
                {"accumulate", 1},   {"flip", 1}};
    cli_works(state,
              "train --model finder.yaml --data shapes:8 --limit 8 --threads 1 --quiet --float --epochs 1 "
              "--out t");
    cli_works(state,
              "search --model finder.yaml --data shapes:8 --limit 8 --threads 1 --quiet --epochs 1 --out s");
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        assert_true(fabs(number_of(state, "t/run.json", both[i].key) - both[i].value) < 1e-12);
        assert_true(fabs(number_of(state, "s/run.json", both[i].key) - both[i].value) < 1e-12);
    }
    assert_true(number_of(state, "t/run.json", "batch") == 64);
    assert_true(fabs(number_of(state, "t/run.json", "rotate") - 1.98) < 1e-6);
    assert_true(number_of(state, "s/run.json", "lra") == 0.01);
    assert_true(number_of(state, "s/run.json", "alpha_momentum") == 0.937);
    assert_true(number_of(state, "s/run.json", "alpha_weight_decay") == 4.84e-4);
    assert_true(number_of(state, "s/run.json", "lra_end") == 0.1);
    cli_contains("search --help", cli_works(state, "search --help")->out,
                 "35 epochs|--accumulate|--optimizer|four");
}

static void check_search(void **state, const char *more, const char *out) {
    json_t *r = cli_json(state, "search " RUN " --epochs 2 --cd 1e-3 --set warm_up=1 %s --out %s", more, out);
    cli_has_keys(r, "iou constant_iou bitw bita dsp_ops_M");
    assert_true(cli_number(r, "constant_iou") > 0 && cli_number(r, "iou") >= 0);
    json_decref(r);
    /* four times the prices: loss parts and costs of the last line */
    char name[64];
    snprintf(name, sizeof name, "%s/metrics.jsonl", out);
    FILE *file = fopen(temp_dir_path(state, name), "r");
    char line[8192], last[8192] = "";
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) memcpy(last, line, sizeof last);
    fclose(file);
    json_error_t where;
    json_t *m = json_loads(last, 0, &where);
    cli_has_keys(m,
                 "box objectness mean_iou test_box test_objectness test_mean_iou train_iou iou constant_iou");
    const double extra = cli_number(m, "extra_loss"), complexity = cli_number(m, "complexity");
    assert_true(complexity > 0 && fabs(extra / (4e-3 * complexity) - 1) < 0.1);
    json_decref(m);
}

static void the_whole_way(void **state) {
    check_search(state, "", "s");
    check_search(state, "--no-share --accumulate 2", "u");
    for (int k = 0; k < 2; k++) {
        const char *from = k ? "u" : "s", *out = k ? "tu" : "ts";
        json_t *r = cli_json(state, "train " RUN " --bits %s --init %s --epochs 2 %s --out %s", from, from,
                             k ? "--optimizer adam --set weight_decay=1e-4" : "--accumulate 3", out);
        cli_has_keys(r, "iou best constant_iou");
        const double best = cli_number(r, "best"), constant = cli_number(r, "constant_iou");
        json_decref(r);
        r = cli_json(state, "test %s --data shapes:96 --threads 1 --compare", out);
        cli_has_keys(r,
                     "iou loss box objectness mean_iou constant_iou images differing largest_difference_px "
                     "iou_lost");
        assert_true(fabs(cli_number(r, "iou") - best) < 1e-9);
        assert_true(fabs(cli_number(r, "constant_iou") - constant) < 1e-12);
        assert_true(fabs(cli_number(r, "iou_lost")) < 0.1);
        json_decref(r);
        r = cli_json(state, "test %s --data shapes:96 --threads 1 --engine integer", out);
        assert_string_equal(cli_text(r, "engine"), "integer");
        json_decref(r);
    }
    assert_true(number_of(state, "tu/run.json", "lr") == 0.01);
    assert_true(number_of(state, "tu/run.json", "weight_decay") == 1e-4);
    cli_contains("test", cli_works(state, "test ts --data shapes:96 --threads 1 --compare")->out,
                 "finder (fixed): iou |best constant box|64 images|the cell differs");
    cli_works(state, "train " RUN " --bits u --init u --epochs 2 --optimizer adam --set weight_decay=1e-4 "
                     "--resume --out tu");
    cli_fails(state, 2, "optimizer: got \"sgd\", expected \"adam\"",
              "train " RUN
              " --bits u --init u --epochs 2 --set weight_decay=1e-4 --lr 0.01 --resume --out tu");
}

static void bench(void **state) {
    static const char *const modes[] = {"search", "search --no-share", "train", "infer"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        json_t *r =
            cli_json(state, "bench --model finder.yaml --threads 1 --batch 2 --steps 2 --mode %s", modes[i]);
        assert_true(cli_number(r, "images_per_second") > 0);
        json_decref(r);
    }
    cli_fails(state, 2, "3 classes", "bench --model finder3.yaml --mode train --batch 1 --steps 1");
}

static void refused(void **state) {
    cli_fails(state, 2, "finder3|3 classes", "train --model finder3.yaml --data shapes:8 --float --out x");
    cli_fails(state, 2, "boxes of objects|the network classifies images",
              "train --model vgg_tiny --data shapes:8 --limit 2 --float --out x");
    cli_fails(state, 2, "--set pad is for classifiers", "train " RUN " --float --set pad=2 --out x");
    cli_fails(state, 2, "--set shear is for detectors",
              "train --model vgg_tiny --data shapes:8 --float --set shear=2 --out x");
    cli_fails(state, 2, "shear", "train " RUN " --float --set shear=90 --out x");
    cli_fails(state, 2, "whole numbers", "train " RUN " --float --set warm_up=1.5 --out x");
    cli_fails(state, 2, "--accumulate|'0'", "train " RUN " --float --accumulate 0 --out x");
    cli_fails(state, 2, "--optimizer|'adamw'|adam", "train " RUN " --float --optimizer adamw --out x");
    assert_false(cli_exists(state, "x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(recipes, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(the_whole_way, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(bench, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(refused, make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
