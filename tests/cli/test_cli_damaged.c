/* test_cli_damaged.c - training and testing a small detector on a folder with a damaged image: it goes on and
 * says so, or stops when it shall. */
#include "cli_run.h"

static const char NETWORK[] = "name: tiny\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                              "input: {channels: 3, height: 32, width: 64}\nlayers:\n"
                              "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                              "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                              "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                              "  - conv: {out: 6, kernel: 1, bias: true}\n";
#define TRAIN "train --model tiny.yaml --data dac-sdc:scenes --float --epochs 1 --batch 8 --threads 1"

static int make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", NETWORK);
    cli_works(state, "data export shapes:64 scenes --limit 24");
    return 0;
}

/* The first image of the split loses its second half. */
static void damage(void **state, const char *split) {
    char name[128];
    static const char *const classes[] = {"ellipse", "triangle", "rectangle", "hexagon",
                                          "star",    "plus",     "arrow",     "half-disc"};
    for (int c = 0; c < 8; c++) {
        snprintf(name, sizeof name, "scenes/%s/%s/000000.jpg", split, classes[c]);
        if (!cli_exists(state, name)) continue;
        size_t size;
        uint8_t *bytes = cli_get(state, name, &size);
        cli_put(state, name, bytes, size / 2);
        free(bytes);
        return;
    }
    fail_msg("no image 000000 in %s", split);
}

static void goes_on(void **state) {
    damage(state, "train");
    damage(state, "test");
    cli_contains("train", cli_works(state, TRAIN " --out run")->err,
                 "1 damaged images|000000.jpg|grey without objects");
    json_t *r = cli_json(state, "test run --data dac-sdc:scenes");
    assert_int_equal(cli_number(r, "images"), 24);
    assert_true(cli_number(r, "iou") >= 0);
    json_decref(r);
}

static void stops(void **state) {
    damage(state, "train");
    cli_fails(state, 3, "000000.jpg|damaged JPEG", TRAIN " --out run --set strict=1");
}

static void stops_in_the_test(void **state) {
    damage(state, "test");
    cli_fails(state, 3, "000000.jpg|damaged JPEG", TRAIN " --out run --set strict=1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_on, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(stops, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(stops_in_the_test, make, temp_dir_remove),
    };
    return cmocka_run_group_tests_name("cli_damaged", tests, NULL, NULL);
}
