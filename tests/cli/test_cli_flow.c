/* test_cli_flow.c - the whole way through the program: search, training, test, import, export, simulation. */
#include "helper_cli.h"

#include <math.h>

#include "golden_files.h"
#include "io/npy.h"
#include "io/safetensors.h"

static void search_train_test(void **state) {
    json_t *r = cli_json(state, "search " TINY_RUN " --epochs 2 --cd 1e-3 --out search");
    cli_has_keys(r,
                 "out model bitw bita dsp_ops_M bit_ops_M factors epochs accuracy seconds images_per_second");
    assert_int_equal(strlen(cli_text(r, "bitw")), 2);
    const char *files[] = {"run.json", "metrics.jsonl", "bits.json", "last.safetensors", "best.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64];
        snprintf(path, sizeof path, "search/%s", files[i]);
        assert_true(cli_exists(state, path));
    }
    json_t *bits = json_load_file(temp_dir_path(state, "search/bits.json"), 0, NULL);
    cli_has_keys(bits, "bitw bita dsp_ops_M factors bit_ops_M");
    assert_string_equal(cli_text(bits, "bitw"), cli_text(r, "bitw"));

    json_t *t =
        cli_json(state, "train " TINY_RUN " --epochs 12 --lr 0.1 --bits search --init search --out main");
    cli_has_keys(t, "out model bitw bita epochs accuracy best loss seconds images_per_second");
    assert_string_equal(cli_text(t, "bitw"), cli_text(bits, "bitw"));
    assert_string_equal(cli_text(t, "bita"), cli_text(bits, "bita"));
    assert_true(cli_number(t, "best") > 0.5); /* guessing gives 0.1 */

    json_t *f = cli_json(state, "test main --data mnist:data --threads 1");
    cli_has_keys(f, "model accuracy loss images confusion");
    json_t *matrix = json_object_get(json_object_get(f, "confusion"), "matrix");
    double right = 0, images = 0; /* the diagonal is the accuracy; every class has 5 images */
    for (size_t row = 0; row < 10; row++) {
        double in_row = 0;
        for (size_t column = 0; column < 10; column++) {
            double n = json_number_value(json_array_get(json_array_get(matrix, row), column));
            in_row += n;
            if (row == column) right += n;
        }
        assert_true(in_row == 5);
        images += in_row;
    }
    assert_true(fabs(right / images - cli_number(f, "accuracy")) < 1e-9);
    assert_string_equal(cli_text(f, "engine"), "float");
    assert_true(cli_number(f, "accuracy") == cli_number(t, "best"));
    assert_int_equal(cli_number(f, "images"), 50);
    json_t *i = cli_json(state, "test main --data mnist:data --threads 1 --engine integer --compare");
    assert_string_equal(cli_text(i, "engine"), "integer");
    assert_true(cli_number(i, "differing") <= 1);
    assert_true(cli_number(i, "outputs_differing") <= 2);
    assert_true(cli_number(i, "largest_difference") < 0.1);
    assert_int_equal(cli_number(i, "images"), 50);
    json_t *few = cli_json(state, "test main/last.safetensors --data mnist:data --limit 7 --engine integer");
    assert_int_equal(cli_number(few, "images"), 7);
    json_t *all[] = {r, bits, t, f, i, few};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) json_decref(all[k]);
}

static void float_and_unshared(void **state) {
    json_t *r = cli_json(state, "train " TINY_RUN " --float --epochs 1 --out float");
    assert_string_equal(cli_text(r, "bitw"), "");
    json_decref(r);
    json_decref(cli_json(state, "search " TINY_RUN " --epochs 1 --no-share --init float --fix conv0=w8a8 "
                                "--precision f32 --out unshared"));
    json_t *bits = json_load_file(temp_dir_path(state, "unshared/bits.json"), 0, NULL);
    assert_int_equal(cli_text(bits, "bitw")[0], '8');
    assert_int_equal(cli_text(bits, "bita")[0], '8');
    json_decref(bits);
    json_decref(cli_json(state, "train " TINY_RUN " --epochs 1 --bits unshared/bits.json --init unshared "
                                "--symmetric --out symmetric"));
    cli_works(state, "test float --data mnist:data --threads 1");
    cli_works(state, "test unshared --data mnist:data --threads 1");
    /* only networks of fixed bits have an integer network */
    cli_fails(state, 3, "float|a float checkpoint has no integer network", "export float --out never");
    cli_fails(state, 3, "unshared|a search checkpoint", "simulate unshared --data mnist:data");
    cli_fails(state, 3, "a float checkpoint", "test float --data mnist:data --engine integer");
    assert_false(cli_exists(state, "never"));
}

/* The other quantisers take the same way, and their checkpoints know it. */
static void dorefa(void **state) {
    cli_put_text(state, "dorefa.yaml", "quantizer: dorefa\n" CLI_TINY);
#define DOREFA_RUN                                                                                           \
    "--model dorefa.yaml --data mnist:data --threads 1 --batch 20 --set flip=0 --set pad=0 --quiet"
    json_decref(cli_json(state, "train " DOREFA_RUN " --float --epochs 2 --lr 0.1 --out dofloat"));
    json_decref(cli_json(state, "search " DOREFA_RUN " --epochs 1 --cd 1e-3 --init dofloat --out dosearch"));
    json_t *t = cli_json(state, "train " DOREFA_RUN
                                " --epochs 12 --lr 0.1 --bits dosearch --init dosearch --out domain");
    assert_true(cli_number(t, "best") > 0.5);
    cli_put_text(state, "dorefa.yaml", "no longer needed");
    json_t *f = cli_json(state, "test domain --data mnist:data --threads 1");
    assert_true(cli_number(f, "accuracy") == cli_number(t, "best"));
    json_t *i = cli_json(state, "test domain --data mnist:data --threads 1 --engine integer --compare");
    assert_true(cli_number(i, "differing") <= 1);
    json_t *e = cli_json(state, "export domain --out doexport");
    json_t *s = cli_json(state, "simulate doexport --data mnist:data");
    assert_true(cli_number(s, "accuracy") == cli_number(i, "accuracy"));
    json_t *all[] = {t, f, i, e, s};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) json_decref(all[k]);
}

/* The output of simulate as int64 [50][10]. */
static void check_output(void **state, const char *name, int64_t images) {
    mq_tensor out;
    mq_error error = {0};
    if (mq_npy_load(temp_dir_path(state, name), &out, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(out.dtype, MQ_I64);
    assert_int_equal(out.shape.rank, 2);
    assert_int_equal(out.shape.dim[0], images);
    assert_int_equal(out.shape.dim[1], 10);
    mq_tensor_free(&out);
}

/* The test split's pixels as a file in each of the forms that --input takes. */
static void put_images(void **state) {
    size_t size;
    mq_error error = {0};
    uint8_t *file = cli_get(state, "data/t10k-images-idx3-ubyte", &size);
    mq_tensor bytes = {.dtype = MQ_U8, .shape = mq_shape4(50, 1, 8, 8), .data = file + 16};
    int64_t wide[50 * 64];
    float real[50 * 64];
    for (int i = 0; i < 50 * 64; i++) wide[i] = file[16 + i], real[i] = file[16 + i];
    mq_tensor wide_tensor = {.dtype = MQ_I64, .shape = bytes.shape, .data = wide};
    mq_tensor real_tensor = {.dtype = MQ_F32, .shape = bytes.shape, .data = real};
    assert_int_equal(mq_npy_save(temp_dir_path(state, "u8.npy"), &bytes, &error), MQ_OK);
    assert_int_equal(mq_npy_save(temp_dir_path(state, "i64.npy"), &wide_tensor, &error), MQ_OK);
    mq_st_writer *writer;
    assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
    assert_int_equal(mq_st_add(writer, "images", &real_tensor, &error), MQ_OK);
    assert_int_equal(mq_st_write(writer, temp_dir_path(state, "f32.safetensors"), &error), MQ_OK);
    mq_st_writer_free(writer);
    real[3] = 0.5f;
    assert_int_equal(mq_npy_save(temp_dir_path(state, "half.npy"), &real_tensor, &error), MQ_OK);
    wide[100] = 256;
    assert_int_equal(mq_npy_save(temp_dir_path(state, "large.npy"), &wide_tensor, &error), MQ_OK);
    wide_tensor.shape = mq_shape4(25, 2, 8, 8);
    assert_int_equal(mq_npy_save(temp_dir_path(state, "shape.npy"), &wide_tensor, &error), MQ_OK);
    free(file);
}

static void export_and_simulate(void **state) {
    json_t *e = cli_json(state, "export run --out exported");
    cli_has_keys(e, "out model bitw bita compat net_sha256 weights_sha256 formats");
    assert_string_equal(json_string_value(json_array_get(json_object_get(e, "formats"), 0)), "hls");
    const char *files[] = {"net.json", "weights.safetensors", "config.h", "weights.hpp"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64];
        snprintf(path, sizeof path, "exported/%s", files[i]);
        assert_true(cli_exists(state, path));
    }
    assert_false(cli_exists(state, "exported/.partial"));
    json_t *folder = cli_json(state, "simulate exported --data mnist:data --output data.npy --dump dumped");
    cli_has_keys(folder, "model accuracy images images_per_second output_sha256");
    assert_string_equal(cli_text(folder, "net_sha256"), cli_text(e, "net_sha256"));
    check_output(state, "data.npy", 50);
    const char *layers[] = {"conv0", "conv1", "linear0"};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        char path[64];
        snprintf(path, sizeof path, "dumped/%s.npy", layers[i]);
        assert_true(cli_exists(state, path));
    }
    put_images(state);
    const char *same[] = {"exported/net.json --data mnist:data --level integer",
                          "run --data mnist:data --threads 1",
                          "run/best.safetensors --data mnist:data --limit 1000",
                          "exported --input u8.npy --threads 2",
                          "exported --input i64.npy",
                          "exported --input f32.safetensors --output file.npy"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        json_t *s = cli_json(state, "simulate %s", same[i]);
        assert_string_equal(cli_text(s, "output_sha256"), cli_text(folder, "output_sha256"));
        assert_int_equal(cli_number(s, "images"), 50);
        assert_int_equal(json_object_get(s, "accuracy") != NULL, strstr(same[i], "--data") != NULL);
        json_decref(s);
    }
    cli_same_file(state, "file.npy", "data.npy");
    cli_works(state, "simulate exported --input u8.npy --limit 3 --output three.npy");
    check_output(state, "three.npy", 3);
    json_t *t = cli_json(state, "test run --data mnist:data --engine integer --threads 1");
    assert_true(cli_number(t, "accuracy") == cli_number(folder, "accuracy"));
    json_decref(t);

    cli_fails(state, 3, "half.npy|element 3 is 0.5|whole numbers", "simulate exported --input half.npy");
    cli_fails(state, 3, "large.npy|element 100 is 256", "simulate exported --input large.npy");
    cli_fails(state, 3, "shape.npy|[25, 2, 8, 8]|[N, 1, 8, 8]", "simulate exported --input shape.npy");
    cli_fails(state, 3, "missing.npy|No such file", "simulate exported --input missing.npy");
    cli_fails(state, 2, "--input images.png|.npy", "simulate exported --input images.png");
    cli_fails(state, 3, "no tensor 'images'", "simulate exported --input exported/weights.safetensors");
    cli_fails(state, 2, "--data D and --input F", "simulate exported");
    cli_fails(state, 2, "--data D and --input F", "simulate exported --data mnist:data --input u8.npy");
    cli_fails(state, 2, "--level|packet|integer", "simulate exported --data mnist:data --level packet");
    cli_fails(state, 3, "nowhere/o.npy", "simulate exported --input u8.npy --output nowhere/o.npy");
    json_decref(e);
    json_decref(folder);
}

static void export_rules(void **state) {
    /* an unknown network needs its shift */
    cli_fails(state, 2, "--compat|tiny|--lshift", "export run --out compat --compat anypacking");
    cli_fails(state, 2, "--lshift belongs to --compat", "export run --out compat --lshift 16");
    cli_fails(state, 2, "--compat|finn|anypacking", "export run --out compat --compat finn");
    cli_fails(state, 2, "--format|qonnz|hls", "export run --out compat --format qonnz");
    assert_false(cli_exists(state, "compat"));
    cli_put_text(state, "par.txt", "simd pe\n1 8\n8 4\n");
    json_t *c =
        cli_json(state, "export run --out compat --compat anypacking --lshift 16 --parallelism par.txt");
    assert_true(json_is_true(json_object_get(c, "compat")));
    size_t size;
    uint8_t *config = cli_get(state, "compat/config.h", &size);
    assert_non_null(strstr((const char *)config, "#define CONV_1_SIMD 8"));
    assert_non_null(strstr((const char *)config, "#define CONV_1_PE 4"));
    assert_non_null(strstr((const char *)config, "#define CONV_0_L_SHIFT 16"));
    free(config);
    json_decref(c);
    json_t *s = cli_json(state, "simulate compat --data mnist:data");
    assert_true(json_is_true(json_object_get(s, "compat")));
    json_decref(s);
    cli_put_text(state, "bad.txt", "simd pe\n1 8\n7 4\n");
    cli_fails(state, 3, "bad.txt:3|simd|7", "export run --out other --parallelism bad.txt");
    cli_put_text(state, "short.txt", "simd pe\n1 8\n");
    cli_fails(state, 3, "short.txt|1 rows", "export run --out other --parallelism short.txt");
    cli_fails(state, 3, "no.txt|No such file", "export run --out other --parallelism no.txt");
    assert_false(cli_exists(state, "other"));

    /* stride 2: the integer network yes, the published headers no */
    cli_put_text(state, "strided.yaml",
                 "name: strided\nclasses: 10\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
                 "  - conv: {out: 8, kernel: 3, stride: 2}\n  - batch_norm\n  - linear: {out: 10}\n");
    cli_works(state,
              "train --model strided.yaml --data mnist:data --bitw 44 --bita 44 --epochs 1 --threads 1 "
              "--quiet --out strided");
    cli_fails(state, 2, "conv0|stride", "export strided --out hls --format hls");
    assert_false(cli_exists(state, "hls"));
    cli_result *r = cli_works(state, "export strided --out integer");
    cli_contains("export strided", r->err, "warning|conv0|stride");
    assert_true(cli_exists(state, "integer/net.json"));
    assert_false(cli_exists(state, "integer/config.h"));
    cli_works(state, "simulate integer --data mnist:data");
    /* what a killed export left behind does not come with the next one */
    assert_int_equal(mkdir(temp_dir_path(state, "integer/.partial"), 0777), 0);
    cli_put_text(state, "integer/.partial/config.h", "of another network");
    cli_works(state, "export strided --out integer --force");
    assert_false(cli_exists(state, "integer/config.h"));
    assert_false(cli_exists(state, "integer/.partial"));
}

static void existing_export(void **state) {
    cli_works(state, "export run --out exported");
    cli_fails(state, 2, "exported|not empty|--force", "export run --out exported");
    cli_put_text(state, "exported/mine.txt", "kept");
    cli_works(state, "train " TINY_RUN " --bitw 53 --bita 35 --epochs 1 --out second");
    json_t *e = cli_json(state, "export second --out exported --force");
    json_t *s = cli_json(state, "simulate exported --data mnist:data");
    assert_string_equal(cli_text(s, "net_sha256"), cli_text(e, "net_sha256"));
    assert_true(cli_exists(state, "exported/mine.txt"));
    json_decref(e);
    json_decref(s);
    cli_put_text(state, "file", "not a folder");
    cli_fails(state, 2, "--out file|folder expected", "export run --out file --force");

    /* no room: what was there is still there */
    cli_copy(state, "exported/net.json", "before.json");
    cli_result *r = cli_finish(state, cli_start(state, "export run --out exported --force", 1000));
    assert_int_equal(r->code, 3);
    cli_contains("export", r->err, "cannot write|File too large");
    cli_same_file(state, "exported/net.json", "before.json");
    assert_false(cli_exists(state, "exported/.partial"));
    cli_works(state, "simulate exported --data mnist:data");
    r = cli_finish(state, cli_start(state, "export run --out fresh", 1000));
    assert_int_equal(r->code, 3);
    assert_false(cli_exists(state, "fresh"));
}

/* The tiny network under names as the published framework gives them. */
static void put_published(void **state, const char *name, const char *bitw) {
    static float weights[640];
    for (int i = 0; i < 640; i++) weights[i] = (float)((i * 37) % 101 - 50) / 100.0f;
    static const struct {
        const char *name;
        int rank;
        int64_t dim[4];
    } tensors[] = {
        {"layers.0.conv.weight", 4, {8, 1, 3, 3}},
        {"layers.1.weight", 1, {8}},
        {"layers.1.bias", 1, {8}},
        {"layers.1.running_mean", 1, {8}},
        {"layers.1.running_var", 1, {8}},
        {"layers.3.conv.weight", 4, {8, 8, 3, 3}},
        {"layers.4.weight", 1, {8}},
        {"layers.4.bias", 1, {8}},
        {"layers.4.running_mean", 1, {8}},
        {"layers.4.running_var", 1, {8}},
        {"layers.6.linear.weight", 2, {10, 128}},
        {"layers.6.linear.bias", 1, {10}},
    };
    static float large[10 * 128];
    static const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (int i = 0; i < 10 * 128; i++) large[i] = weights[i % 640];
    mq_error error = {0};
    mq_st_writer *writer;
    assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        mq_tensor t = {.dtype = MQ_F32, .shape = {.rank = tensors[i].rank}, .data = large};
        if (strstr(tensors[i].name, "running_var")) t.data = (void *)(uintptr_t)ones;
        memcpy(t.shape.dim, tensors[i].dim, sizeof tensors[i].dim);
        assert_int_equal(mq_st_add(writer, tensors[i].name, &t, &error), MQ_OK);
    }
    if (bitw) assert_int_equal(mq_st_add_meta(writer, "bitw", bitw, &error), MQ_OK);
    if (bitw) assert_int_equal(mq_st_add_meta(writer, "bita", "8,4", &error), MQ_OK);
    assert_int_equal(mq_st_write(writer, temp_dir_path(state, name), &error), MQ_OK);
    mq_st_writer_free(writer);
}

static void import(void **state) {
    put_published(state, "published.safetensors", "4,2");
    json_t *r = cli_json(state, "import published.safetensors --model tiny.yaml --out mine.safetensors");
    cli_has_keys(r, "out model mode bitw bita epoch");
    assert_string_equal(cli_text(r, "mode"), "fixed");
    assert_string_equal(cli_text(r, "bitw"), "42");
    assert_string_equal(cli_text(r, "bita"), "84");
    json_decref(r);
    cli_works(state, "test mine.safetensors --data mnist:data --threads 1 --compare --engine integer");
    put_published(state, "float.safetensors", NULL);
    r = cli_json(state, "import float.safetensors --model tiny.yaml --out float.mixq");
    assert_string_equal(cli_text(r, "mode"), "float");
    json_decref(r);
    cli_fails(state, 2, "--out is missing", "import published.safetensors");
    cli_fails(state, 3, "fits none of the built-in", "import published.safetensors --out x");
    cli_fails(state, 3, "published.safetensors|conv",
              "import published.safetensors --model vgg_tiny --out x");
    cli_fails(state, 3, "already", "import run/best.safetensors --out x");
    cli_fails(state, 3, "tiny.yaml|.pt", "import tiny.yaml --out x");
    cli_fails(state, 3, "none.pt|No such file", "import none.pt --out x");
    cli_put_text(state, "text.pt", "this is not a zip archive");
    cli_fails(state, 3, "text.pt", "import text.pt --out x");
    /* a checkpoint that has not been imported */
    cli_fails(state, 3, "published.safetensors|mixq import", "test published.safetensors --data mnist:data");
    assert_false(cli_exists(state, "x"));
}

static void import_golden(void **state) {
    char path[GOLDEN_PATH];
    if (!golden_path(path, golden_root(), "vgg_tiny_fixed/export/checkpoint.pt") || access(path, F_OK) != 0) {
        print_message("no %s: skipped\n", path);
        skip();
    }
    json_t *r = cli_json(state, "import %s --out vgg.safetensors", path);
    assert_string_equal(cli_text(r, "model"), "vgg_tiny");
    assert_string_equal(cli_text(r, "bitw"), "822222");
    assert_string_equal(cli_text(r, "bita"), "833363");
    json_decref(r);
    cli_works(state, "export vgg.safetensors --compat anypacking --format hls --out vgg");
    assert_true(cli_exists(state, "vgg/weights.hpp"));
}

/* The published fixed setting and its DSP operations (AnyPackingNet's report for vgg_tiny), beside uniform
 * bits. */
static void cost(void **state) {
    json_t *r = cli_json(state, "cost --model vgg_tiny --bitw 822222 --bita 833363 --factors published");
    const double dsp = cli_number(r, "dsp_ops_M");
    assert_true(dsp > 12.2093 && dsp < 12.2094);
    assert_int_equal(json_array_size(json_object_get(r, "layers")), 7);
    json_decref(r);
    cli_contains(
        "cost",
        cli_works(state, "cost --model vgg_tiny --bitw 888888 --bita 888888 --factors published")->out,
        "76.382|25.461|pinned");
    cli_fails(state, 2, "w1a1|--factors",
              "cost --model vgg_tiny --bitw 111111 --bita 111111 --factors published");
    cli_works(state, "cost --model vgg_tiny --bitw 111111 --bita 111111"); /* ours prices one bit */
    cli_fails(state, 2, "5 digits|6 expected", "cost --model vgg_tiny --bitw 88888 --bita 888888");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(search_train_test, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(float_and_unshared, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(dorefa, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(export_and_simulate, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(export_rules, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(existing_export, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(import, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(import_golden, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(cost, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
