/* test_cli_deploy.c - the commands that every build has, also the one without the training side: simulate on
 * a network whose outputs are known by hand, models, data info, doctor. */
#include "cli_run.h"

#include "base/digest.h"
#include "inet/inet.h"
#include "io/npy.h"
#include "io/npz.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, IMAGES = 30 };

/* Output c = the sum of the pixels in the c-th tenth of the image, plus c. */
static void put_network(void **state) {
    int8_t weight[CLASSES * PIXELS] = {0};
    int64_t bias[CLASSES];
    for (int p = 0; p < PIXELS; p++) weight[p * CLASSES / PIXELS * PIXELS + p] = 1;
    for (int c = 0; c < CLASSES; c++) bias[c] = c;
    mq_error error = {0};
    mq_inet *net;
    assert_int_equal(mq_inet_create(&net, &error), MQ_OK);
    strcpy(net->model, "tenths");
    net->task = MQ_INET_CLASSIFICATION;
    net->classes = CLASSES;
    strcpy(net->bitw, "2");
    strcpy(net->bita, "8");
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .image = {SIDE, SIDE, 1, 8}};
    mq_inet_node linear = {.kind = MQ_INET_LINEAR, .name = "linear0", .dump = "linear0", .input_count = 1};
    linear.linear = (mq_inet_linear){
        .out_features = CLASSES, .weight_bits = 2, .weight_scale = 0.5, .weight = weight, .bias = bias};
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .input = {1}, .input_count = 1};
    output.output.divisor = 512;
    assert_int_equal(mq_inet_add(net, &image, NULL, &error), MQ_OK);
    assert_int_equal(mq_inet_add(net, &linear, NULL, &error), MQ_OK);
    assert_int_equal(mq_inet_add(net, &output, NULL, &error), MQ_OK);
    assert_int_equal(mq_inet_finish(net, &error), MQ_OK);
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    mq_inet_free(net);
}

static int make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_data(state, "data", 20, IMAGES, SIDE);
    put_network(state);
    return 0;
}

static void simulate(void **state) {
    int64_t expected[IMAGES * CLASSES];
    char digest[MQ_DIGEST_TEXT];
    size_t size;
    mq_error error = {0};
    uint8_t *images = cli_get(state, "data/t10k-images-idx3-ubyte", &size);
    for (int i = 0; i < IMAGES * CLASSES; i++) expected[i] = i % CLASSES;
    for (int i = 0; i < IMAGES * PIXELS; i++)
        expected[i / PIXELS * CLASSES + i % PIXELS * CLASSES / PIXELS] += images[16 + i];
    mq_sha256(expected, sizeof expected, digest);

    json_t *r = cli_json(state, "simulate net --data mnist:data --output o.npy --dump dump");
    assert_true(cli_number(r, "accuracy") == 1);
    assert_int_equal(cli_number(r, "images"), IMAGES);
    assert_true(cli_number(r, "images_per_second") > 0);
    assert_string_equal(cli_text(r, "output_sha256"), digest);
    json_decref(r);
    mq_tensor out;
    assert_int_equal(mq_npy_load(temp_dir_path(state, "o.npy"), &out, &error), MQ_OK);
    assert_int_equal(out.dtype, MQ_I64);
    assert_int_equal(out.shape.rank, 2);
    assert_memory_equal(out.data, expected, sizeof expected);
    mq_tensor_free(&out);
    assert_int_equal(mq_npy_load(temp_dir_path(state, "dump/linear0.npy"), &out, &error), MQ_OK);
    assert_int_equal(out.shape.rank, 4);
    assert_int_equal(out.shape.dim[0], IMAGES);
    assert_int_equal(out.shape.dim[1], CLASSES);
    mq_tensor_free(&out);

    /* Images as a file are [N, C, H, W]; labels are not known then. */
    mq_tensor file = {.dtype = MQ_U8, .shape = mq_shape4(IMAGES, 1, SIDE, SIDE), .data = images + 16};
    assert_int_equal(mq_npy_save(temp_dir_path(state, "i.npy"), &file, &error), MQ_OK);
    r = cli_json(state, "simulate net/net.json --input i.npy --threads 2");
    assert_string_equal(cli_text(r, "output_sha256"), digest);
    assert_null(json_object_get(r, "accuracy"));
    json_decref(r);
    const mq_npz_array in = {"x", &file};
    assert_int_equal(mq_npz_save(temp_dir_path(state, "i.npz"), &in, 1, true, &error), MQ_OK);
    r = cli_json(state, "simulate net --input i.npz --output o.npz");
    assert_string_equal(cli_text(r, "output_sha256"), digest);
    json_decref(r);
    static const char *const names[] = {"outputs", NULL};
    assert_int_equal(mq_array_load(temp_dir_path(state, "o.npz"), names, &out, &error), MQ_OK);
    assert_memory_equal(out.data, expected, sizeof expected);
    mq_tensor_free(&out);
    cli_fails(state, 2, "i.txt|.npz", "simulate net --input i.txt");
    cli_contains("simulate", cli_works(state, "simulate net --data mnist:data --limit 5")->out,
                 "tenths|accuracy 1.0000|5 images|sha256");
    free(images);

    cli_fails(state, 3, "nowhere", "simulate nowhere --data mnist:data");
    cli_fails(state, 3, "data|net.json", "simulate data --data mnist:data");
    cli_fails(state, 2, "unknown option|--limt|--limit", "simulate net --data mnist:data --limt 3");
    cli_fails(state, 2, "data set|fashion", "simulate net --data fasion-mnist");
    cli_put_data(state, "large", 20, 20, 9);
    cli_fails(state, 2, "mnist|8 x 8|9 x 9", "simulate net --data mnist:large");
}

static void models(void **state) {
    static const char *const names[] = {"vgg_tiny", "vgg_small",       "lenet",
                                        "ultranet", "ultranet_bypass", "skynet",
                                        "skynetk5", "ultranet_bjtu",   "ultranet_ismart"};
    enum { NAMES = sizeof names / sizeof *names };
    json_t *r = cli_json(state, "models"), *list = json_object_get(r, "models"), *item;
    size_t i;
    assert_int_equal(json_array_size(list), NAMES);
    for (int n = 0; n < NAMES; n++) {
        int found = 0;
        json_array_foreach(list, i, item) found += strcmp(cli_text(item, "name"), names[n]) == 0;
        assert_int_equal(found, 1);
    }
    json_array_foreach(list, i, item) cli_has_keys(item, "name task quantizer classes input parameters macs");
    json_decref(r);

    r = cli_json(state, "models vgg_tiny");
    assert_int_equal(cli_number(r, "parameters"), 1187274);
    assert_int_equal(cli_number(r, "macs"), 152805376);
    assert_int_equal(cli_number(r, "searched_layers"), 6);
    assert_string_equal(cli_text(r, "quantizer"), "hwgq");
    item = json_array_get(json_object_get(r, "layers"), json_array_size(json_object_get(r, "layers")) - 1);
    assert_string_equal(cli_text(item, "op"), "linear");
    assert_true(json_is_true(json_object_get(item, "pinned")));
    assert_int_equal(cli_number(item, "weight_bits"), 8);
    json_decref(r);

    cli_put_text(state, "tiny.yaml", CLI_TINY);
    r = cli_json(state, "models tiny.yaml");
    /* conv 8*9, bn 16, conv 8*72, bn 16, linear 10*128 + 10 */
    assert_int_equal(cli_number(r, "parameters"), 72 + 16 + 576 + 16 + 1290);
    assert_int_equal(cli_number(r, "macs"), 64 * 72 + 16 * 576 + 1280);
    json_decref(r);
    cli_contains("models", cli_works(state, "models tiny.yaml")->out, "conv1|8 x 4 x 4|w8 a8|searched");
    cli_contains("models", cli_works(state, "models")->out, "skynetk5|13 layers");
    cli_contains("models", cli_works(state, "models ultranet_ismart")->out,
                 "ultranet_ismart: detection|dorefa quantisers");
    cli_put_text(state, "wrong.yaml", CLI_TINY "  - conv: {out: 3, kernel: 3, strid: 2}\n");
    cli_fails(state, 3, "wrong.yaml:11|strid|stride", "models wrong.yaml");
    cli_fails(state, 2, "skynett|skynet", "models skynett");
}

static void data_info(void **state) {
    json_t *r = cli_json(state, "data info mnist:data"), *test = json_object_get(r, "test");
    cli_has_keys(r, "name train test");
    cli_has_keys(test, "images channels height width classes class_counts mean deviation images_sha256");
    assert_int_equal(cli_number(test, "images"), IMAGES);
    assert_int_equal(cli_number(json_object_get(r, "train"), "images"), 20);
    assert_int_equal(json_array_size(json_object_get(test, "class_counts")), CLASSES);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(test, "class_counts"), 9)),
                     IMAGES / 10);
    json_decref(r);
    cli_contains("data info", cli_works(state, "data info mnist:data")->out,
                 "mnist train: 20 images|mnist test: 30 images|class 9|mean|sha256");
}

static void doctor(void **state) {
    json_t *r = cli_json(state, "doctor --threads 1");
    cli_has_keys(r, "version cpu features threads onednn models datasets");
    assert_int_equal(cli_number(r, "models"), 9);
    assert_int_equal(cli_number(r, "threads"), 1);
    assert_string_equal(cli_text(json_array_get(json_object_get(r, "datasets"), 0), "name"), "fashion-mnist");
    json_decref(r);
    cli_contains("doctor", cli_works(state, "doctor")->out, "processor:|threads:|fashion-mnist");
}

/* What the program says of how its threads wait, with these in its environment. */
static void waits(void **state, const char *policy, const char *spins, char text[64]) {
    if (policy)
        setenv("OMP_WAIT_POLICY", policy, 1);
    else
        unsetenv("OMP_WAIT_POLICY");
    if (spins)
        setenv("GOMP_SPINCOUNT", spins, 1);
    else
        unsetenv("GOMP_SPINCOUNT");
    json_t *r = cli_json(state, "doctor --threads 1");
    const char *wait = json_string_value(json_object_get(r, "wait"));
    snprintf(text, 64, "%s", wait ? wait : "none");
    assert_int_equal(cli_number(r, "threads"), 1); /* its arguments survive that it begins again */
    json_decref(r);
}

static void threads_wait_briefly(void **state) {
    char text[64], *policy = getenv("OMP_WAIT_POLICY"), *before = policy ? strdup(policy) : NULL;
    waits(state, "passive", NULL, text);
    assert_string_equal(text, "OMP_WAIT_POLICY=passive");
    waits(state, NULL, "7", text);
    assert_string_equal(text, "GOMP_SPINCOUNT=7");
    waits(state, NULL, NULL, text);
#if defined(__x86_64__) && !defined(__clang__)
    int count = 0;
    assert_int_equal(sscanf(text, "GOMP_SPINCOUNT=%d", &count), 1);
    assert_in_range(count, 1000, 300000);
#else
    assert_string_equal(text, "none");
#endif
    if (before) setenv("OMP_WAIT_POLICY", before, 1);
    free(before);
}

/* An export alone is enough for a report, a C program and the pages of help. */
static void made_of_it(void **state) {
    json_decref(cli_json(state, "report net --out page.html"));
    json_t *r = cli_json(state, "build net --target c --out program");
    assert_string_equal(cli_text(r, "function"), "tenths_run");
    json_decref(r);
    assert_true(cli_exists(state, "program/tenths.c"));
    r = cli_json(state, "help");
    assert_true(json_array_size(json_object_get(r, "commands")) > 5);
    json_decref(r);
    cli_contains("help", cli_works(state, "help report")->out, "mixq report FOLDER...|--out F.html");
    cli_contains("help", cli_works(state, "help --format md")->out, "| [`mixq simulate`](simulate.md) |");
    cli_fails(state, 2, "unknown command 'repord' (did you mean 'report'?)", "help repord");
    cli_fails(state, 2, "--format man is of all commands", "help report --format man");
    cli_fails(state, 2, "--format|text, md, man, bash", "help --format troff");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(made_of_it, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(simulate, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(models, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(data_info, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(doctor, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(threads_wait_briefly, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
