/* test_cli_diff.c - simulate's engines and dumps, and `mixq diff` between them: equal, different at a known
 * place, and everything that is no pair of dumps. */
#include "cli_run.h"

#include "inet/small_net.h"
#include "io/npy.h"

enum { IMAGES = 4 };

/* A small network with layers image, conv0, conv1, pool1, linear2, and images for it. */
static int make(void **state) {
    mq_error error = {0};
    if (temp_dir_make(state) != 0) return -1;
    mq_inet *net = small_net_random(4);
    const mq_inet_edge in = net->nodes[0].edge;
    const size_t count = (size_t)(IMAGES * in.h * in.w * in.c);
    mq_rng rng = mq_rng_stream(1, "images", 0);
    uint8_t *images = malloc(count);
    for (size_t i = 0; i < count; i++) images[i] = (uint8_t)mq_rng_u32(&rng, i);
    mq_tensor file = {.dtype = MQ_U8, .shape = mq_shape4(IMAGES, in.c, in.h, in.w), .data = images};
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    assert_int_equal(mq_npy_save(temp_dir_path(state, "i.npy"), &file, &error), MQ_OK);
    file.shape.dim[3]++;
    file.data = calloc(mq_tensor_count(&file), 1);
    assert_int_equal(mq_npy_save(temp_dir_path(state, "wide.npy"), &file, &error), MQ_OK);
    free(file.data);
    free(images);
    mq_inet_free(net);
    cli_works(state, "simulate net --input i.npy --dump a --threads 2");
    return 0;
}

/* Adds `by` to element `at` of a dumped layer, as int64. */
static void change(void **state, const char *name, size_t at, int by) {
    mq_error error = {0};
    mq_tensor t, wide;
    assert_int_equal(mq_npy_load(temp_dir_path(state, name), &t, &error), MQ_OK);
    assert_int_equal(mq_tensor_create(MQ_I64, t.shape, &wide, &error), MQ_OK);
    for (size_t i = 0; i < mq_tensor_count(&t); i++)
        ((int64_t *)wide.data)[i] = t.dtype == MQ_U8    ? ((uint8_t *)t.data)[i]
                                    : t.dtype == MQ_I8  ? ((int8_t *)t.data)[i]
                                    : t.dtype == MQ_I16 ? ((int16_t *)t.data)[i]
                                    : t.dtype == MQ_I32 ? ((int32_t *)t.data)[i]
                                                        : ((int64_t *)t.data)[i];
    ((int64_t *)wide.data)[at] += by;
    assert_int_equal(mq_npy_save(temp_dir_path(state, name), &wide, &error), MQ_OK);
    mq_tensor_free(&t);
    mq_tensor_free(&wide);
}

static const char *const FILES[] = {"image.npy", "conv0.npy",   "conv1.npy",
                                    "pool1.npy", "linear2.npy", "dump.json"};

static void engines(void **state) {
    json_t *a = cli_json(state, "simulate net --input i.npy --engine reference --dump b --output b.npy");
    json_t *b =
        cli_json(state, "simulate net --input i.npy --engine fast --dump c --output c.npy --threads 1");
    assert_string_equal(cli_text(a, "output_sha256"), cli_text(b, "output_sha256"));
    assert_string_equal(cli_text(a, "engine"), "reference");
    assert_string_equal(cli_text(a, "kernels"), "plain C");
    assert_string_equal(cli_text(b, "engine"), "fast");
    cli_same_file(state, "b.npy", "c.npy");
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char x[64], y[64];
        snprintf(x, sizeof x, "b/%s", FILES[i]);
        snprintf(y, sizeof y, "c/%s", FILES[i]);
        cli_same_file(state, x, y);
    }
    json_decref(a);
    json_decref(b);
    cli_fails(state, 2, "--engine|quick|fast", "simulate net --input i.npy --engine quick");
    cli_fails(state, 3, "cannot make a folder|i.npy", "simulate net --input i.npy --dump i.npy");
    cli_fails(state, 3, "wide.npy|shape", "simulate net --input wide.npy");
    size_t size;
    uint8_t *bytes = cli_get(state, "i.npy", &size);
    cli_put(state, "short.npy", bytes, size - 3);
    cli_put(state, "head.npy", bytes, 40);
    cli_fails(state, 3, "short.npy|bytes of data", "simulate net --input short.npy");
    cli_fails(state, 3, "head.npy|cut short", "simulate net --input head.npy");
    free(bytes);
    mq_error error = {0};
    mq_tensor real;
    assert_int_equal(mq_npy_load(temp_dir_path(state, "i.npy"), &real, &error), MQ_OK);
    mq_tensor doubles;
    assert_int_equal(mq_tensor_create(MQ_F64, real.shape, &doubles, &error), MQ_OK);
    assert_int_equal(mq_npy_save(temp_dir_path(state, "f64.npy"), &doubles, &error), MQ_OK);
    cli_fails(state, 3, "f64.npy|float64|integers or float32", "simulate net --input f64.npy");
    mq_tensor_free(&real);
    mq_tensor_free(&doubles);
}

/* The i-th element of a layer's file, [N, C, H, W]. */
static void expect_at(void **state, const char *layer, size_t at, int by) {
    char name[64];
    mq_error error = {0};
    mq_tensor t;
    snprintf(name, sizeof name, "a/%s.npy", layer);
    assert_int_equal(mq_npy_load(temp_dir_path(state, name), &t, &error), MQ_OK);
    const int64_t *dim = t.shape.dim;
    cli_result *r = cli_finish(state, cli_start(state, "diff a b --json", 0));
    assert_int_equal(r->code, 1);
    json_t *root = json_loads(r->out, JSON_REJECT_DUPLICATES, NULL), *d;
    assert_true(json_is_false(json_object_get(root, "equal")));
    d = json_object_get(root, "first_difference");
    assert_string_equal(cli_text(d, "layer"), layer);
    size_t found = (size_t)cli_number(d, "image");
    found = found * (size_t)dim[1] + (size_t)cli_number(d, "channel");
    found = found * (size_t)dim[2] + (size_t)cli_number(d, "row");
    found = found * (size_t)dim[3] + (size_t)cli_number(d, "column");
    assert_int_equal(found, at);
    assert_int_equal(cli_number(d, "second") - cli_number(d, "first"), by);
    assert_int_equal(cli_number(d, "differing"), 1);
    assert_int_equal(cli_number(d, "elements"), mq_tensor_count(&t));
    json_decref(root);
    mq_tensor_free(&t);
}

static void differences(void **state) {
    cli_works(state, "simulate net --input i.npy --dump b");
    json_t *r = cli_json(state, "diff a b");
    assert_true(json_is_true(json_object_get(r, "equal")));
    assert_int_equal(cli_number(r, "layers"), 5);
    assert_true(json_is_null(json_object_get(r, "first_difference")));
    json_decref(r);
    cli_contains("diff", cli_works(state, "diff a b")->out, "equal|5 layers");

    change(state, "b/pool1.npy", 0, 0); /* another type, the same numbers */
    cli_works(state, "diff a b");
    change(state, "b/linear2.npy", 7, -100000);
    expect_at(state, "linear2", 7, -100000);
    change(state, "b/conv1.npy", 13, 1); /* earlier in the network, later in the alphabet than nothing */
    expect_at(state, "conv1", 13, 1);
    change(state, "b/image.npy", 5, 2);
    expect_at(state, "image", 5, 2);
    cli_contains("diff", cli_finish(state, cli_start(state, "diff a b", 0))->out,
                 "layer image|channel 0|row 0");

    /* One index is enough; two must agree. */
    assert_int_equal(unlink(temp_dir_path(state, "b/dump.json")), 0);
    expect_at(state, "image", 5, 2);
}

static void refused(void **state) {
    cli_works(state, "simulate net --input i.npy --dump b");
    cli_works(state, "simulate net --input i.npy --dump few --limit 2");
    cli_fails(state, 2, "1 argument", "diff a");
    cli_fails(state, 3, "nowhere|not there", "diff a nowhere");
    cli_fails(state, 3, "i.npy|not a folder", "diff i.npy a");
    cli_fails(state, 3, "image|first dump|second", "diff a few");
    cli_fails(state, 3, "net|dump.json", "diff net net");

    size_t size;
    uint8_t *bytes = cli_get(state, "b/conv1.npy", &size);
    cli_put(state, "b/conv1.npy", bytes, size - 1);
    cli_fails(state, 3, "conv1.npy|bytes of data", "diff a b");
    cli_fails(state, 3, "conv1.npy|bytes of data", "diff b a");
    free(bytes);
    assert_int_equal(unlink(temp_dir_path(state, "b/conv1.npy")), 0);
    cli_fails(state, 3, "cannot read|conv1.npy", "diff a b");
    mq_error error = {0};
    float number[1] = {1};
    mq_tensor real = {.dtype = MQ_F32, .shape = mq_shape4(1, 1, 1, 1), .data = number};
    assert_int_equal(mq_npy_save(temp_dir_path(state, "b/conv1.npy"), &real, &error), MQ_OK);
    cli_fails(state, 3, "conv1.npy|float32|integers", "diff a b");
    real = (mq_tensor){.dtype = MQ_I32, .shape = mq_shape2(1, 1), .data = number};
    assert_int_equal(mq_npy_save(temp_dir_path(state, "b/conv1.npy"), &real, &error), MQ_OK);
    cli_fails(state, 3, "conv1.npy|[1, 1]|[N, C, H, W]", "diff a b");

    static const struct {
        const char *text, *words;
    } damaged[] = {
        {"{\"format\": \"mixq-dump\", \"version\": 1, \"layers\": [\"image\", \"conv0\"]}", "other layers"},
        {"{\"format\": \"mixq-dump\", \"version\": 1, \"layers\": [\"../image\"]}", "layers[0]|name"},
        {"{\"format\": \"mixq-dump\", \"version\": 1, \"layers\": []}", "layers|expected 1"},
        {"{\"format\": \"mixq-dump\", \"version\": 2, \"layers\": [\"image\"]}", "version"},
        {"{\"format\": \"dump\", \"version\": 1, \"layers\": [\"image\"]}", "format|mixq-dump"},
        {"{\"format\": ", "dump.json"},
    };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        cli_put_text(state, "b/dump.json", damaged[i].text);
        cli_fails(state, 3, damaged[i].words, "diff a b");
        cli_fails(state, 3, damaged[i].words, "diff b a");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(engines, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(differences, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(refused, make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
