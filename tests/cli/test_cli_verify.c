/* test_cli_verify.c - certificates, vectors and `verify`: what an export proves, and that any flipped bit in
 * its folder is found and named. */
#include "helper_cli.h"

#include "inet/manifest.h"
#include "io/npy.h"

enum { VECTORS = 5 };

static int make(void **state) {
    if (tiny_make(state) != 0) return -1;
    cli_works(state, "export run --out e --data mnist:data --vectors %d", VECTORS);
    return 0;
}

/* Runs `verify`, which must fail with exit code 1, say one line of error with the words, and report steps. */
static void verify_fails(void **state, const char *line, const char *words) {
    char full[CLI_RUN_LINE];
    snprintf(full, sizeof full, "verify %s --json", line);
    cli_result *r = cli_finish(state, cli_start(state, full, 0));
    if (r->code != 1) fail_msg("mixq %s: exit %d, expected 1:\n%s%s", full, r->code, r->out, r->err);
    cli_contains(full, r->err, words);
    json_t *root = json_loads(r->out, 0, NULL);
    assert_non_null(root);
    assert_true(json_is_false(json_object_get(root, "passed")));
    cli_contains(full, cli_text(root, "failure"), words);
    json_t *steps = json_object_get(root, "steps"), *last = json_array_get(steps, json_array_size(steps) - 1);
    assert_true(json_is_false(json_object_get(last, "passed")));
    assert_true(cli_number(last, "mismatches") >= 1);
    json_decref(root);
}

static void exported(void **state) {
    json_t *e = cli_json(state, "export run --out f --data mnist:data --vectors 3");
    assert_int_equal(cli_number(e, "vectors"), 3);
    json_t *c = json_object_get(e, "certificate"), *totals = json_object_get(c, "totals");
    cli_has_keys(c, "net_sha256 weights_sha256 checkpoint_sha256 layers published head bias_rounding totals");
    assert_string_equal(cli_text(c, "net_sha256"), cli_text(e, "net_sha256"));
    assert_int_equal(cli_number(totals, "layers"), 2);
    assert_int_equal(cli_number(totals, "channels"), 16);
    assert_int_equal(cli_number(totals, "stored"), 0);
    assert_true(cli_number(totals, "thresholds") > 16);
    assert_true(cli_number(c, "bias_rounding") <= 0.5);
    json_t *layer = json_array_get(json_object_get(c, "layers"), 1);
    cli_has_keys(layer,
                 "name layer channels bits accumulator rules constant thresholds shift inc_bits bias_bits "
                 "steps_sha256");
    cli_has_keys(json_array_get(json_object_get(c, "published"), 1),
                 "shift inc_bits bias_bits channels_differing");
    json_t *file = json_load_file(temp_dir_path(state, "f/certificate.json"), 0, NULL);
    assert_true(json_equal(file, c));
    json_decref(file);
    json_decref(e);

    /* The vectors are what the simulator dumps. */
    static const char *const names[] = {"conv0", "conv1", "linear0"};
    cli_works(state, "simulate f --data mnist:data --limit 3 --dump d");
    for (int i = 0; i < 3; i++) {
        char a[32], b[32];
        snprintf(a, sizeof a, "f/vectors/%s.npy", names[i]);
        snprintf(b, sizeof b, "d/%s.npy", names[i]);
        cli_same_file(state, a, b);
    }
    mq_tensor images;
    mq_error error = {0};
    assert_int_equal(mq_npy_load(temp_dir_path(state, "f/vectors/images.npy"), &images, &error), MQ_OK);
    assert_int_equal(images.dtype, MQ_U8);
    assert_int_equal(images.shape.dim[0], 3);
    assert_int_equal(images.shape.dim[1], 1);
    mq_tensor_free(&images);

    /* From a file; and an export without vectors takes the old ones away. */
    cli_works(state, "export run --out g --input f/vectors/images.npy --vectors 2");
    cli_works(state, "verify g");
    cli_works(state, "export run --out g --force");
    assert_false(cli_exists(state, "g/vectors"));
    assert_false(cli_exists(state, "g/.partial"));
    cli_contains("verify", cli_works(state, "verify g")->out,
                 "files        passed|certificate  passed|trained      -|integer      -|packed       -");
    cli_contains("export", cli_works(state, "export run --out g --force --verbose")->out,
                 "certified|conv1.requant|published");

    cli_fails(state, 2, "--vectors", "export run --out h --data mnist:data");
    cli_fails(state, 2, "--data D and --input F", "export run --out h --vectors 3");
    cli_fails(state, 2, "--vectors 51|50 images", "export run --out h --vectors 51 --data mnist:data");
    cli_fails(state, 2, "compat",
              "export run --out h --vectors 3 --data mnist:data --compat anypacking --lshift 3");
    cli_put_data(state, "large", 10, 10, 9);
    cli_fails(state, 2, "9 x 9|8 x 8", "export run --out h --vectors 3 --data mnist:large");
    assert_false(cli_exists(state, "h"));
}

/* A detector, whose data set makes its images when asked. */
static void detector(void **state) {
    cli_put_text(state, "box.yaml",
                 "name: box\ntask: detection\nclasses: 1\nanchors: [[20, 20]]\n"
                 "input: {channels: 3, height: 32, width: 64}\nlayers:\n"
                 "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                 "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 2}\n"
                 "  - conv: {out: 6, kernel: 1, bias: true}\n");
    cli_works(state, "train --model box.yaml --data shapes:64 --bitw 444 --bita 844 --epochs 1 --threads 1 "
                     "--quiet --out box");
    cli_works(state, "export box --out b --data shapes:64 --vectors 3");
    json_t *r = cli_json(state, "verify b --checkpoint box");
    assert_int_equal(cli_number(r, "images"), 3);
    json_decref(r);
}

/* Weights at their own width: the same network in a smaller file. */
static void packed_weights(void **state) {
    size_t a, b;
    cli_works(state, "export run --out p --packed-weights --data mnist:data --vectors 2");
    cli_works(state, "verify p --checkpoint run");
    cli_works(state, "simulate p --data mnist:data --output p.npy");
    cli_works(state, "simulate e --data mnist:data --output e.npy");
    cli_same_file(state, "p.npy", "e.npy");
    cli_same_file(state, "p/weights.hpp", "e/weights.hpp");
    free(cli_get(state, "p/weights.safetensors", &a));
    free(cli_get(state, "e/weights.safetensors", &b));
    assert_true(a + (72 + 576) / 2 - 100 < b); /* 648 weights of 4 bits; the headers differ a little */
}

static void passes(void **state) {
    json_t *r = cli_json(state, "verify e"), *steps = json_object_get(r, "steps");
    assert_true(json_is_true(json_object_get(r, "passed")));
    assert_int_equal(cli_number(r, "images"), VECTORS);
    static const char *const names[] = {"files", "certificate", "trained", "integer", "packed"};
    assert_int_equal(json_array_size(steps), 5);
    for (size_t i = 0; i < 5; i++) {
        json_t *step = json_array_get(steps, i);
        cli_has_keys(step, "name passed mismatches cycles");
        assert_string_equal(cli_text(step, "name"), names[i]);
        assert_true(json_is_true(json_object_get(step, "passed")));
        assert_int_equal(cli_number(step, "mismatches"), 0);
    }
    json_decref(r);
    cli_contains("more than there are", cli_works(state, "verify e --images 40")->err,
                 "vectors of 5 images, 40 asked for");
    r = cli_json(state, "verify e --images 2 --checkpoint run");
    assert_int_equal(cli_number(r, "images"), 2);
    json_decref(r);
    cli_contains("verify", cli_works(state, "verify e --checkpoint run/best.safetensors")->out,
                 "proven again|evaluated again|reference simulator|word by word");

    cli_works(state, "train " TINY_RUN " --bitw 44 --bita 44 --epochs 1 --seed 9 --out other");
    verify_fails(state, "e --checkpoint other", "e: ");
    cli_works(state, "export run --out p --compat anypacking --lshift 16");
    assert_false(cli_exists(state, "p/certificate.json"));
    cli_contains("verify", cli_works(state, "verify p")->out, "certificate  -|published rules");

    cli_fails(state, 3, "nowhere", "verify nowhere");
    cli_fails(state, 3, "data|manifest.json|mixq export", "verify data");
    cli_fails(state, 2, "--images", "verify e --images 0");
    cli_fails(state, 3, "nowhere", "verify e --checkpoint nowhere");
}

/* One bit flipped at many places of every file. */
static void flipped_bits(void **state) {
    static const char *const files[] = {
        "net.json",          "weights.safetensors", "certificate.json",   "plan.json",
        "config.h",          "weights.hpp",         "vectors/images.npy", "vectors/conv0.npy",
        "vectors/conv1.npy", "vectors/linear0.npy"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char path[64];
        size_t size;
        snprintf(path, sizeof path, "e/%s", files[f]);
        uint8_t *bytes = cli_get(state, path, &size);
        for (size_t k = 0; k < 3; k++) {
            size_t at = (size / 2 + k * 997) % size;
            bytes[at] ^= (uint8_t)(1 << (k + f) % 8);
            cli_put(state, path, bytes, size);
            verify_fails(state, "e", files[f]);
            bytes[at] ^= (uint8_t)(1 << (k + f) % 8);
        }
        cli_put(state, path, bytes, size - 1);
        verify_fails(state, "e", files[f]);
        cli_put(state, path, bytes, size);
        free(bytes);
    }
    cli_works(state, "verify e");
    /* The manifest itself: whatever bit it is, it no longer passes. */
    size_t size;
    uint8_t *bytes = cli_get(state, "e/manifest.json", &size);
    for (size_t i = 0; i < size; i += 61) {
        char line[64] = "verify e";
        bytes[i] ^= (uint8_t)(1 << i % 8);
        cli_put(state, "e/manifest.json", bytes, size);
        cli_result *r = cli_finish(state, cli_start(state, line, 0));
        const char *version = strstr((const char *)bytes, "\"mixq\"");
        bool free_text = version && bytes + i > (uint8_t *)version && bytes + i < (uint8_t *)version + 20;
        if (r->code != 1 && r->code != 3 && !free_text) fail_msg("byte %zu: exit %d", i, r->code);
        bytes[i] ^= (uint8_t)(1 << i % 8);
    }
    cli_put(state, "e/manifest.json", bytes, size);
    free(bytes);
    assert_int_equal(unlink(temp_dir_path(state, "e/vectors/conv1.npy")), 0);
    verify_fails(state, "e", "vectors/conv1.npy");
}

/* Somebody who also mends the hashes: the contents are found to differ. */
static void mended_hashes(void **state) {
    static const char *const names[] = {"weights.safetensors", "certificate.json",  "net.json",
                                        "vectors/images.npy",  "vectors/conv0.npy", "vectors/conv1.npy",
                                        "vectors/linear0.npy"};
    enum { NAMES = sizeof names / sizeof *names };
    mq_error error = {0};
    size_t size;
    uint8_t *bytes = cli_get(state, "e/vectors/conv1.npy", &size);
    bytes[size - 1] ^= 1;
    cli_put(state, "e/vectors/conv1.npy", bytes, size);
    assert_int_equal(mq_manifest_write(temp_dir_path(state, "e"), names, NAMES, &error), MQ_OK);
    verify_fails(state, "e", "integer: 1 codes differ|conv1: image 4, channel 7, row 3, column 3: got");
    cli_works(state, "verify e --images 4");
    verify_fails(state, "e --checkpoint run", "vectors: 1 codes differ|conv1: image 4, channel 7");
    bytes[size - 1] ^= 1;
    cli_put(state, "e/vectors/conv1.npy", bytes, size);
    free(bytes);

    bytes = cli_get(state, "e/certificate.json", &size);
    char *at = strstr((char *)bytes, "\"thresholds\": ");
    assert_non_null(at);
    at[14] ^= 1;
    cli_put(state, "e/certificate.json", bytes, size);
    assert_int_equal(mq_manifest_write(temp_dir_path(state, "e"), names, NAMES, &error), MQ_OK);
    verify_fails(state, "e", "certificate: layers[0] 'conv0.requant': thresholds: got");
    at[14] ^= 1;
    at = strstr((char *)bytes, "\"channels_differing\": ");
    assert_non_null(at);
    at[22] ^= 1;
    cli_put(state, "e/certificate.json", bytes, size);
    assert_int_equal(mq_manifest_write(temp_dir_path(state, "e"), names, NAMES, &error), MQ_OK);
    verify_fails(state, "e --checkpoint run", "certificate: published[0]: channels_differing: got");
    free(bytes);

    cli_put_text(state, "e/certificate.json", "{}");
    assert_int_equal(mq_manifest_write(temp_dir_path(state, "e"), names, NAMES, &error), MQ_OK);
    verify_fails(state, "e", "certificate: format: got nothing");
    cli_put_text(state, "e/vectors/linear0.npy", "no array");
    assert_int_equal(mq_manifest_write(temp_dir_path(state, "e"), names, NAMES, &error), MQ_OK);
    cli_fails(state, 3, "linear0.npy", "verify e");
    cli_copy(state, "e/vectors/conv0.npy", "e/vectors/linear0.npy");
    assert_int_equal(mq_manifest_write(temp_dir_path(state, "e"), names, NAMES, &error), MQ_OK);
    cli_fails(state, 3, "linear0.npy|shape|[5, 8, 8, 8]|[5, 10, 1, 1]", "verify e");
    cli_put_text(state, "e/manifest.json",
                 "{\"format\": \"mixq-manifest\", \"version\": 1, \"mixq\": \"0\", \"files\": "
                 "[{\"name\": \"../run/run.json\", \"sha256\": \"\"}]}");
    cli_fails(state, 3, "manifest.json|../run/run.json|inside", "verify e");
}

/* No weight has the lowest code, and the files say so. */
static void symmetric(void **state) {
    cli_works(state, "search " TINY_RUN " --epochs 1 --symmetric --out search");
    cli_works(state,
              "train " TINY_RUN " --bitw 22 --bita 44 --epochs 1 --init search --symmetric --out main");
    cli_works(state, "export main --out s --data mnist:data --vectors 2");
    cli_works(state, "verify s --checkpoint main");
    json_t *net = json_load_file(temp_dir_path(state, "s/net.json"), 0, NULL), *node;
    size_t i, size;
    int layers = 0;
    json_array_foreach(json_object_get(net, "nodes"), i, node) {
        json_t *narrow = json_object_get(json_object_get(node, "attributes"), "weight_narrow");
        if (!narrow) continue;
        assert_true(json_is_true(narrow));
        layers++;
    }
    assert_int_equal(layers, 3);
    json_decref(net);
    uint8_t *data;
    json_t *header = st_open(state, "s/weights.safetensors", &data, &size);
    json_t *range = json_object_get(json_object_get(header, "conv1.weight"), "data_offsets");
    json_int_t from = json_integer_value(json_array_get(range, 0)),
               to = json_integer_value(json_array_get(range, 1));
    assert_int_equal(to - from, 8 * 8 * 9);
    int ones = 0;
    for (json_int_t k = from; k < to; k++) {
        assert_true((int8_t)data[k] >= -1 && (int8_t)data[k] <= 1);
        ones += (int8_t)data[k] == -1;
    }
    assert_true(ones > 0);
    free(data);
    json_decref(header);
    for (int k = 0; k < 2; k++) { /* also in the search's and the run's own files */
        header = st_open(state, k ? "search/best.safetensors" : "main/best.safetensors", &data, &size);
        assert_string_equal(cli_text(json_object_get(header, "__metadata__"), "symmetric"), "true");
        free(data);
        json_decref(header);
    }
}

/* The same weights without it keep their lowest code: nothing is clamped after training. */
static void never_clamped(void **state) {
    cli_works(state, "train " TINY_RUN " --bitw 22 --bita 44 --epochs 1 --out main");
    cli_works(state, "export main --out s");
    uint8_t *data;
    size_t size;
    json_t *header = st_open(state, "s/weights.safetensors", &data, &size);
    json_t *range = json_object_get(json_object_get(header, "conv1.weight"), "data_offsets");
    int lowest = 0;
    for (json_int_t k = json_integer_value(json_array_get(range, 0)),
                    end = json_integer_value(json_array_get(range, 1));
         k < end; k++)
        lowest += (int8_t)data[k] == -2;
    assert_true(lowest > 0);
    free(data);
    json_decref(header);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exported, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(detector, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(packed_weights, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(passes, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(flipped_bits, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(mended_hashes, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(symmetric, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(never_clamped, tiny_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
