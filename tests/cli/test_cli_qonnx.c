/* QONNX through the program: there and back, foreign networks, and every wrong word. */
#include "cli/helper_cli.h"

#include "io/npy.h"
#include "io/onnx.h"

#define SMALL MIXQ_SOURCE_DIR "/tests/qonnx/files/small.onnx"
#define OWN   MIXQ_SOURCE_DIR "/tests/qonnx/files/own.onnx"

static void there_and_back(void **state) {
    json_t *j = cli_json(state, "export run --out first --format qonnx,onnx,hls");
    assert_int_equal(json_array_size(json_object_get(j, "formats")), 3);
    json_decref(j);
    assert_true(cli_exists(state, "first/qonnx.onnx") && cli_exists(state, "first/plain.onnx") &&
                cli_exists(state, "first/config.h"));
    j = cli_json(state, "import first/qonnx.onnx --out back.safetensors");
    assert_true(json_is_true(json_object_get(j, "own")));
    assert_string_equal(cli_text(j, "model"), "tiny");
    json_decref(j);
    cli_works(state, "export back.safetensors --out second --format qonnx");
    cli_same_file(state, "first/net.json", "second/net.json");
    cli_same_file(state, "first/weights.safetensors", "second/weights.safetensors");
    cli_same_file(state, "first/qonnx.onnx", "second/qonnx.onnx");
    assert_false(cli_exists(state, "second/config.h"));
    cli_works(state, "verify second");
    cli_works(state, "export back.safetensors --out second --force"); /* and what was there goes */
    assert_false(cli_exists(state, "second/qonnx.onnx"));
    assert_true(cli_exists(state, "second/config.h"));
}

/* Real inputs as float32, as pixels, from a data set; dumps; vectors; every engine the same. */
static void foreign(void **state) {
    json_t *j = cli_json(state, "import %s --out small.safetensors", SMALL);
    assert_true(json_is_false(json_object_get(j, "own")));
    assert_string_equal(cli_text(j, "bitw"), "45");
    assert_string_equal(cli_text(j, "bita"), "44");
    json_decref(j);
    mq_tensor x;
    assert_int_equal(mq_tensor_create(MQ_F32, mq_shape4(7, 2, 6, 6), &x, NULL), MQ_OK);
    for (int i = 0; i < 7 * 72; i++) ((float *)x.data)[i] = (float)(i % 37) / 30 - 0.6f;
    assert_int_equal(mq_npy_save(temp_dir_path(state, "x.npy"), &x, NULL), MQ_OK);
    ((float *)x.data)[100] = 0.0f / 0.0f;
    assert_int_equal(mq_npy_save(temp_dir_path(state, "nan.npy"), &x, NULL), MQ_OK);
    mq_tensor_free(&x);
    assert_int_equal(mq_tensor_create(MQ_U8, mq_shape4(2, 2, 6, 6), &x, NULL), MQ_OK);
    for (int i = 0; i < 144; i++) ((uint8_t *)x.data)[i] = (uint8_t)(5 * i);
    assert_int_equal(mq_npy_save(temp_dir_path(state, "pixels.npy"), &x, NULL), MQ_OK);
    mq_tensor_free(&x);
    assert_int_equal(mq_tensor_create(MQ_I16, mq_shape4(2, 2, 6, 6), &x, NULL), MQ_OK);
    ((int16_t *)x.data)[3] = -5;
    assert_int_equal(mq_npy_save(temp_dir_path(state, "below.npy"), &x, NULL), MQ_OK);
    mq_tensor_free(&x);
    cli_works(state, "export small.safetensors --out small");
    char first[80];
    static const char *const engines[] = {"small --engine fast", "small --engine reference",
                                          "small --level packed", "small.safetensors"};
    for (int i = 0; i < 4; i++) {
        j = cli_json(state, "simulate %s --input x.npy", engines[i]);
        if (i == 0) snprintf(first, sizeof first, "%s", cli_text(j, "output_sha256"));
        assert_string_equal(cli_text(j, "output_sha256"), first);
        json_decref(j);
    }
    cli_works(state, "simulate small --input pixels.npy --dump dump");
    cli_fails(state, 3, "nan.npy|image 1, channel 0, pixel 28: NaN", "simulate small --input nan.npy");
    cli_fails(state, 3, "below.npy|element 3 is -5|or real numbers as float32",
              "simulate small --input below.npy");
    cli_works(state, "export small.safetensors --out vectors --vectors 5 --input x.npy");
    cli_works(state, "verify vectors --checkpoint small.safetensors");
    cli_works(state, "export small.safetensors --out again --format qonnx");
    cli_works(state, "import again/qonnx.onnx --out again.safetensors");
    cli_same_file(state, "small.safetensors", "again.safetensors");
}

/* A data set's pixels through the divisor: the integer network's classes, with the divisor that was asked
 * for. */
static void data_sets(void **state) {
    cli_works(state, "export run --out tiny --force --format qonnx");
    size_t size;
    uint8_t *bytes = cli_get(state, "tiny/qonnx.onnx", &size);
    /* Another name in the graph: nobody's file any more, but for its producer. */
    for (size_t i = 0; i + 6 < size; i++)
        if (memcmp(bytes + i, "image.", 6) == 0) bytes[i + 4] = 'E';
    cli_put(state, "other.onnx", bytes, size);
    free(bytes);
    json_t *j = cli_json(state, "import other.onnx --out other.safetensors");
    assert_true(json_is_false(json_object_get(j, "own")));
    json_decref(j);
    j = cli_json(state, "simulate tiny --data mnist:data");
    json_t *k = cli_json(state, "simulate other.safetensors --data mnist:data");
    assert_string_equal(cli_text(j, "output_sha256"), cli_text(k, "output_sha256"));
    double accuracy = cli_number(k, "accuracy");
    json_decref(j);
    json_decref(k);
    j = cli_json(state, "test other.safetensors --data mnist:data");
    assert_true(cli_number(j, "accuracy") == accuracy);
    assert_string_equal(cli_text(j, "engine"), "integer");
    json_decref(j);
    cli_fails(state, 2, "other was imported as an exact network",
              "test other.safetensors --data mnist:data --compare");
    cli_fails(state, 2, "other was imported as an exact network",
              "test other.safetensors --data mnist:data --engine float");
}

static void float_network(void **state) {
    cli_works(state, "train --float --epochs 1 %s --out floating", TINY_RUN);
    cli_works(state, "export floating --format onnx --out fl");
    assert_true(cli_exists(state, "fl/float.onnx"));
    assert_false(cli_exists(state, "fl/net.json"));
    cli_fails(state, 2, "fl: the folder exists", "export floating --format onnx --out fl");
    cli_fails(state, 3, "a float checkpoint has no integer network",
              "export floating --format qonnx --out fl2");
    cli_fails(state, 3,
              "node conv0 (Conv): its input is not quantised: a Quant node before it expected (the file has "
              "none: a "
              "float network)",
              "import fl/float.onnx --out no.safetensors");
    assert_false(cli_exists(state, "no.safetensors") || cli_exists(state, "no.safetensors.partial"));
}

static void wrong_words(void **state) {
    cli_works(state, "import %s --out small.safetensors", SMALL);
    cli_fails(state, 2, "--format: got 'onxx', expected hls, qonnx, onnx or folding",
              "export run --out f --format onxx");
    cli_fails(state, 2, "--format: got 'qonnx,'", "export run --out f --format qonnx,");
    cli_fails(state, 2, "--model belongs to checkpoints", "import %s --model tiny.yaml --out m.safetensors",
              SMALL);
    cli_fails(state, 2, "--pixel-divisor", "import %s --pixel-divisor 0 --out m.safetensors", SMALL);
    cli_fails(state, 2, "--pixel-divisor belongs to files",
              "import back.pt --pixel-divisor 2 --out m.safetensors");
    cli_fails(state, 3, "nothing.onnx", "import nothing.onnx --out m.safetensors");
    cli_put_text(state, "text.onnx", "not a model at all");
    cli_fails(state, 3, "text.onnx|not an ONNX file", "import text.onnx --out m.safetensors");
    cli_fails(state, 2, "--format hls|signed", "export small.safetensors --out f --format hls");
    cli_fails(state, 2, "--compat: small was imported",
              "export small.safetensors --out f --compat anypacking --lshift 16");
    cli_fails(state, 3, "--init small.safetensors: an imported network holds codes",
              "train %s --bitw 44 --bita 44 --epochs 1 --out never --init small.safetensors", TINY_RUN);
    /* The description of an imported network is a model like any other, but for training. */
    size_t size;
    char *text = (char *)cli_get(state, "small.safetensors", &size);
    const char *from = strstr(text + 8, "name: small"), *to = strstr(text + 8, "\\n\"}");
    assert_true(from && to);
    char yaml[4096];
    size_t n = 0;
    for (; from < to; from++) {
        if (from[0] == '\\' && from[1] == 'n') {
            yaml[n++] = '\n';
            from++;
        } else {
            yaml[n++] = *from;
        }
    }
    yaml[n] = 0;
    free(text);
    cli_put_text(state, "given.yaml", yaml);
    cli_works(state, "models given.yaml");
    cli_fails(state, 2, "small: its quantisers are given",
              "train --model given.yaml --data mnist:data --bitw 44 --bita 44 --out g");
    cli_fails(state, 2, "small: its quantisers are given", "bench --model given.yaml --mode train");
}

/* folding_config.json, by our names and by FINN's, is the parallelism of config_simd_pe.txt. */
static void folding(void **state) {
    cli_put_text(state, "simd_pe.txt", "simd pe\n3 4\n8 2\n");
    cli_works(state, "export run --out fold0 --parallelism simd_pe.txt --format hls,folding");
    size_t size;
    char *text = (char *)cli_get(state, "fold0/folding_config.json", &size);
    assert_non_null(strstr(text, "\"conv0\": {\n    \"PE\": 4,\n    \"SIMD\": 3\n  }"));
    free(text);
    cli_works(state, "export run --out fold1 --parallelism fold0/folding_config.json --format hls,folding");
    cli_same_file(state, "fold0/config_simd_pe.txt", "fold1/config_simd_pe.txt");
    cli_same_file(state, "fold0/folding_config.json", "fold1/folding_config.json");
    cli_works(state, "export run --out fold3 --parallelism fold0/config_simd_pe.txt --format folding");
    cli_same_file(state, "fold0/folding_config.json", "fold3/folding_config.json");
    cli_same_file(state, "fold0/weights.hpp", "fold1/weights.hpp");
    cli_put_text(
        state, "finn.json",
        "{\"Defaults\": {}, \"MVAU_hls_0\": {\"PE\": 4, \"SIMD\": 3, \"ram_style\": \"auto\"},\n"
        " \"MatrixVectorActivation_1\": {\"PE\": 2, \"SIMD\": 8}, \"MVAU_hls_2\": {\"PE\": 5, \"SIMD\": 7}}");
    cli_works(state, "export run --out fold2 --parallelism finn.json --format hls");
    cli_same_file(state, "fold0/weights.hpp", "fold2/weights.hpp");
    cli_put_text(state, "less.json", "{\"conv0\": {\"PE\": 4, \"SIMD\": 3}}");
    cli_fails(state, 3, "less.json: no entry for conv1", "export run --out fold3 --parallelism less.json");
    cli_put_text(state, "zero.json", "{\"conv0\": {\"PE\": 0, \"SIMD\": 3}}");
    cli_fails(state, 3, "zero.json: conv0: PE: expected an integer",
              "export run --out fold3 --parallelism zero.json");
    cli_put_text(state, "odd.json",
                 "{\"conv0\": {\"PE\": 3, \"SIMD\": 3}, \"conv1\": {\"PE\": 2, \"SIMD\": 8}}");
    cli_fails(state, 3, "odd.json|conv0: pe: got 3", "export run --out fold3 --parallelism odd.json");
    cli_put_text(state, "cut.json", "{\"conv0\": ");
    cli_fails(state, 3, "cut.json", "export run --out fold3 --parallelism cut.json");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(foreign),     cmocka_unit_test(data_sets),
        cmocka_unit_test(float_network),  cmocka_unit_test(wrong_words), cmocka_unit_test(folding),
    };
    return cmocka_run_group_tests(tests, tiny_make, temp_dir_remove);
}
