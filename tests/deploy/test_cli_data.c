/* test_cli_data.c - `mixq data` on detection sets: info, draw, export, and what it refuses. */
#include "cli_run.h"

#include <stdbool.h>

static bool is_png(void **state, const char *name) {
    size_t size;
    uint8_t *bytes = cli_get(state, name, &size);
    bool png = size > 100 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
    free(bytes);
    return png;
}

static void check_split(json_t *root, const char *split, int images) {
    json_t *s = json_object_get(root, split), *areas = json_object_get(s, "box_areas");
    assert_int_equal(json_integer_value(json_object_get(s, "images")), images);
    assert_int_equal(json_integer_value(json_object_get(s, "classes")), 8);
    assert_int_equal(json_integer_value(json_object_get(s, "damaged")), 0);
    assert_int_equal(json_array_size(areas), 5);
    assert_true(json_real_value(json_array_get(areas, 0)) >= 0.005);
    assert_true(json_real_value(json_array_get(areas, 4)) <= 0.0901);
    double iou = json_real_value(json_object_get(s, "constant_iou"));
    assert_true(iou > 0.01 && iou < 0.3);
}

static void test_info(void **state) {
    json_t *r = cli_json(state, "data info shapes:80"),
           *other = cli_json(state, "data info shapes:80 --seed 1");
    check_split(r, "train", 80);
    check_split(r, "test", 64);
    check_split(other, "train", 80);
    const char *key = "images_sha256";
    assert_string_not_equal(json_string_value(json_object_get(json_object_get(r, "train"), key)),
                            json_string_value(json_object_get(json_object_get(other, "train"), key)));
    json_decref(r);
    json_decref(other);
}

static void test_export(void **state) {
    json_t *r = cli_json(state, "data export shapes:70 scenes --seed 2"),
           *made = cli_json(state, "data info shapes:70 --seed 2");
    assert_int_equal(cli_number(r, "train"), 70);
    assert_int_equal(cli_number(r, "test"), 64);
    json_decref(r);
    cli_fails(state, 2, "scenes|not empty", "data export shapes:70 scenes");
    r = cli_json(state, "data info dac-sdc:scenes");
    check_split(r, "train", 70);
    check_split(r, "test", 64);
    for (int i = 0; i < 3; i++) { /* the same images but for their compression */
        double a =
            json_real_value(json_array_get(json_object_get(json_object_get(r, "train"), "mean"), (size_t)i));
        double b = json_real_value(
            json_array_get(json_object_get(json_object_get(made, "train"), "mean"), (size_t)i));
        assert_true(a - b < 0.5 && b - a < 0.5);
    }
    assert_true(json_equal(json_object_get(json_object_get(r, "train"), "box_areas"),
                           json_object_get(json_object_get(made, "train"), "box_areas")));
    json_decref(made);
    json_decref(r);
    r = cli_json(state, "data export dac-sdc:scenes few --limit 3"); /* names are kept */
    assert_int_equal(cli_number(r, "test"), 3);
    json_decref(r);
    cli_put(state, "few/train/bad.jpg", "x", 1);
    cli_works(state, "data info dac-sdc:few");
    cli_contains("data info", cli_works(state, "data info dac-sdc:few")->err,
                 "1 of 4 images left out: 1 without XML (bad)");
    cli_fails(state, 3, "bad.jpg|without XML", "data info dac-sdc:few --set strict=1");
    cli_fails(state, 3, "bad.jpg|without XML", "data export dac-sdc:few more --set strict=1");
}

static void test_draw(void **state) {
    json_t *r = cli_json(state, "data draw shapes:70 sheets --limit 30");
    assert_int_equal(cli_number(r, "sheets"), 4);
    json_decref(r);
    assert_true(is_png(state, "sheets/train_000.png") && is_png(state, "sheets/test_001.png"));
    cli_works(state, "data draw shapes:70 moved --augment");
    assert_true(is_png(state, "moved/train_000.png"));
}

static void test_refused(void **state) {
    cli_fails(state, 2, "got 'inform'|draw", "data inform shapes");
    cli_fails(state, 2, "data draw|D DIR", "data draw shapes");
    cli_fails(state, 2, "data info|expected D", "data info shapes folder");
    cli_fails(state, 2, "number of scenes|\"x\"", "data info shapes:x");
    cli_fails(state, 2, "dac-sdc:DIR", "data info dac-sdc");
    cli_fails(state, 3, "nowhere|no such folder", "data info dac-sdc:nowhere");
    cli_put_data(state, "data", 20, 20, 8);
    cli_fails(state, 2, "mnist has no boxes", "data draw mnist:data sheets");
    json_t *r = cli_json(state, "data export mnist:data digits --limit 4");
    assert_int_equal(cli_number(r, "train"), 4);
    json_decref(r);
}

/* A classification set as one .npz, and read again: the same images and labels. */
static void test_archive(void **state) {
    cli_put_data(state, "data", 20, 12, 8);
    json_t *r = cli_json(state, "data export mnist:data digits.npz"), *made, *again;
    assert_int_equal(cli_number(r, "train"), 20);
    assert_int_equal(cli_number(r, "test"), 12);
    json_decref(r);
    made = cli_json(state, "data info mnist:data");
    again = cli_json(state, "data info npy:digits.npz");
    for (int test = 0; test < 2; test++) {
        json_t *a = json_object_get(made, test ? "test" : "train"),
               *b = json_object_get(again, test ? "test" : "train");
        assert_true(json_equal(json_object_get(a, "images_sha256"), json_object_get(b, "images_sha256")));
        assert_true(json_equal(json_object_get(a, "labels_sha256"), json_object_get(b, "labels_sha256")));
    }
    json_decref(made);
    json_decref(again);
    cli_fails(state, 2, "digits.npz|exists", "data export mnist:data digits.npz");
    cli_fails(state, 2, "shapes|one class each", "data export shapes:70 scenes.npz");
    cli_fails(state, 3, "data/t10k|No such file", "data info npy:data/t10k.npz");
    cli_fails(state, 2, "TRAIN.npz,TEST.npz", "data info npy:digits.npz,y.npy");
    size_t size;
    uint8_t *bytes = cli_get(state, "digits.npz", &size);
    bytes[size / 3] ^= 4;
    cli_put(state, "digits.npz", bytes, size);
    free(bytes);
    cli_fails(state, 3, "digits.npz|damaged", "data info npy:digits.npz");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_info, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(test_export, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(test_draw, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(test_archive, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(test_refused, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests_name("cli_data", tests, NULL, NULL);
}
