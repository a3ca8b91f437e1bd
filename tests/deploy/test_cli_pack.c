/* test_cli_pack.c - mixq pack: tables and their JSON, the committed cost tables made again, drawings,
 * packings by hand, proofs, and what is refused. */
#include "cli_run.h"

#include "base/file.h"
#include "base/memory.h"
#include "inet/inet.h"

/* The last run's whole output as JSON: tables are longer than a cli_result keeps. */
static json_t *whole_json(void **state) {
    json_error_t where;
    json_t *root = json_load_file(temp_dir_path(state, "stdout.txt"), JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) fail_msg("no JSON object: %s", where.text);
    return root;
}

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) fail_msg("no number '%s'", key);
    return json_number_value(value);
}

static void prints_a_table(void **state) {
    cli_works(state, "pack table --kernel 3 --json");
    json_t *root = whole_json(state);
    const json_t *cells = json_object_get(root, "cells"), *cell;
    size_t i;
    assert_int_equal(json_array_size(cells), 49);
    json_array_foreach(cells, i, cell) {
        cli_has_keys(
            cell, "wbit abit mults class kind kp np offsets accumulations luts proof realised bound parts");
        assert_int_equal(number(cell, "wbit"), 2 + i / 7);
        assert_int_equal(number(cell, "abit"), 2 + i % 7);
        assert_true(number(cell, "mults") >= 1.99 &&
                    number(cell, "mults") <= number(cell, "bound") * (1 + 1e-9));
        const json_t *offsets = json_object_get(cell, "offsets");
        assert_int_equal(json_array_size(json_object_get(offsets, "weights")), number(cell, "kp"));
        assert_int_equal(json_array_size(json_object_get(offsets, "activations")), number(cell, "np"));
        assert_true(json_is_true(json_object_get(json_object_get(cell, "proof"), "exact")));
    }
    json_decref(root);
    cli_result *r = cli_works(state, "pack table --kernel 1 --class i --range symmetric --dsp dsp58");
    cli_contains("pack table", r->out, "kernel 1 x 1|dsp58|class i,|symmetric|  w8 |of bound");
    r = cli_works(state, "pack table --kernel 3 --depthwise --stride 2 --kinds filter,lanes --accumulate 8");
    cli_contains("pack table", r->out, "stride 2, depthwise");
}

static void compares(void **state) {
    cli_works(state, "pack table --compare published --json");
    json_t *root = whole_json(state);
    assert_int_equal(json_array_size(json_object_get(root, "cells")), 147);
    assert_int_equal(number(root, "below"), 0);
    assert_int_equal(number(root, "beaten") + number(root, "matched"), 147);
    assert_true(number(root, "beaten") >= 110 && number(root, "not_exact") > 0);
    assert_true(number(root, "geometric_mean") > 1.25);
    json_decref(root);
    cli_result *r = cli_works(state, "pack table --compare published --kernel 1");
    cli_contains("pack table", r->out,
                 "k1 w4 a4  published  6.000  ours   6.000  matched|kernel 1: geometric mean|49 cells: ");
}

static void cost_tables_are_current(void **state) {
    static const char *const TABLES[] = {"ideal", "ours"};
    for (int i = 0; i < 2; i++) {
        char path[MQ_PATH];
        uint8_t *committed;
        size_t size;
        mq_error error = {0};
        snprintf(path, sizeof path, "%s/factors/%s.csv", MIXQ_SOURCE_DIR, TABLES[i]);
        if (mq_file_read(path, 1 << 20, &committed, &size, &error) != MQ_OK) fail_msg("%s", error.text);
        cli_result *r = cli_works(state, "pack table --csv %s", TABLES[i]);
        if (strcmp(r->out, (char *)committed) != 0)
            fail_msg("%s is not what `mixq pack table --csv %s` prints", path, TABLES[i]);
        mq_free(committed);
    }
    /* and they are built in: compared with itself, nothing is beaten */
    cli_works(state, "pack table --compare ideal --kernel 7 --json");
    json_t *root = whole_json(state);
    assert_int_equal(number(root, "matched"), 49);
    json_decref(root);
    cli_fails(state, 2, "--csv", "pack table --csv other");
    cli_fails(state, 2, "--csv: a cost table has", "pack table --csv ours --range symmetric");
}

static void draws(void **state) {
    cli_result *r = cli_works(state, "pack show --wbit 2 --abit 2 --kernel 3 --class i --svg drawing.svg");
    cli_contains("pack show", r->out,
                 "18 multiplications|0 LUT|w0*a0|in -18..9, plus 18: 0..27 < 2^5|proved: ");
    uint8_t *svg;
    size_t size;
    assert_int_equal(mq_file_read(temp_dir_path(state, "drawing.svg"), 1 << 20, &svg, &size, NULL), MQ_OK);
    assert_true(size > 1000 && strncmp((char *)svg, "<svg ", 5) == 0 && strstr((char *)svg, "</svg>\n"));
    mq_free(svg);
    json_t *root = cli_json(state, "pack show --wbit 5 --abit 7 --kernel 1");
    const json_t *packing = json_array_get(json_object_get(root, "packings"), 0);
    cli_has_keys(packing,
                 "dsp weight_codes activation_codes weights_port weights activations fields bias luts");
    assert_int_equal(number(root, "mults"), 4);
    json_decref(root);
    r = cli_works(state, "pack pareto --wbit 4 --abit 4 --kernel 3 --class iii");
    cli_contains("pack pareto", r->out, "mults|accumulations|filter");
    root = cli_json(state, "pack pareto --wbit 4 --abit 4 --kernel 1");
    assert_true(json_array_size(json_object_get(root, "front")) > 1);
    json_decref(root);
}

/* Three taps x pixels of w2a2 at a spacing. */
static void put_packing(void **state, int spacing, const char *extra) {
    char text[1024];
    snprintf(text, sizeof text,
             "{\"dsp\": \"dsp48e2\", \"weight_codes\": [-2, 1], \"activation_codes\": [0, 3], "
             "\"weights_port\": \"narrow\","
             "\"weights\": [{\"position\": 0}, {\"position\": %d, \"step\": 1}],"
             "\"activations\": [{\"position\": 0}, {\"position\": %d, \"step\": 1}]%s}",
             spacing, spacing, extra);
    assert_int_equal(mq_file_write(temp_dir_path(state, "by_hand.json"), text, strlen(text), NULL), MQ_OK);
}

static void by_hand(void **state) {
    put_packing(state, 5, "");
    cli_result *r = cli_works(state, "pack show --file by_hand.json");
    cli_contains("pack show", r->out, "by hand packing|class i:|4 useful multiplications");
    json_t *root = cli_json(state, "pack verify --file by_hand.json");
    assert_int_equal(number(root, "failures"), 0);
    assert_int_equal(number(root, "vectors"), 256); /* all there are */
    assert_int_equal(number(root, "controls"), number(root, "controls_caught"));
    json_decref(root);
    /* nothing in the lowest bits */
    const char *raised = "{\"dsp\": \"dsp48e2\", \"weight_codes\": [-8, 6], \"activation_codes\": [0, 15], "
                         "\"weights_port\": \"wide\", \"weights\": [{\"position\": 9}], "
                         "\"activations\": [{\"position\": 0, \"zero\": 8}]}";
    assert_int_equal(mq_file_write(temp_dir_path(state, "by_hand.json"), raised, strlen(raised), NULL),
                     MQ_OK);
    root = cli_json(state, "pack verify --file by_hand.json");
    assert_int_equal(number(root, "controls"), 4);
    assert_int_equal(number(root, "controls_caught"), 4);
    json_decref(root);
    put_packing(state, 2, "");
    cli_fails(state, 3, "by_hand.json|not exact|field 1 at bit 2|w0=-2 a1=3",
              "pack verify --file by_hand.json");
    put_packing(state, 5, ", \"cycles\": 100");
    cli_fails(state, 3, "by_hand.json|not exact|after 100 cycles", "pack show --file by_hand.json");
    put_packing(state, 70, "");
    cli_fails(state, 3, "by_hand.json|weights[1]|position|0..63", "pack show --file by_hand.json");
    put_packing(state, 30, "");
    cli_fails(state, 3, "by_hand.json|weight 1: position 30 is not on a port of 18 bits",
              "pack show --file by_hand.json");
    assert_int_equal(mq_file_write(temp_dir_path(state, "by_hand.json"), "[]", 2, NULL), MQ_OK);
    cli_fails(state, 3, "by_hand.json|an object expected", "pack show --file by_hand.json");
}

static void verifies(void **state) {
    json_t *root = cli_json(state, "pack verify --wbit 3 --abit 3 --kernel 3 --vectors 5000");
    cli_has_keys(root, "vectors failures packings corners controls");
    assert_int_equal(number(root, "failures"), 0);
    assert_true(number(root, "vectors") > 0);
    json_decref(root);
    cli_result *r = cli_works(state, "pack verify --all --vectors 20");
    cli_contains("pack verify", r->out, "packings| 0 failures|broken copies");
}

/* One 3 x 3 layer whose left taps take all codes, whose others are 0 or 1. */
static void save_lopsided(void **state) {
    enum { OUT = 6, IN = 4, TAPS = 9 };
    int8_t weight[OUT * IN * TAPS];
    mq_inet *net;
    mq_error error = {0};
    int last = 0;
    for (int i = 0; i < OUT * IN * TAPS; i++) weight[i] = (int8_t)(i % 3 == 0 ? i / 3 % 16 - 8 : (i / 5) % 2);
    assert_int_equal(mq_inet_create(&net, &error), MQ_OK);
    strcpy(net->model, "lopsided");
    net->task = MQ_INET_DETECTION;
    net->classes = net->anchor_count = 1;
    net->anchor_w[0] = net->anchor_h[0] = 20;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "image", .image = {8, 8, IN, 4}};
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv0", .input_count = 1};
    conv.conv = (mq_inet_conv){.out_channels = OUT,
                               .groups = 1,
                               .kernel_h = 3,
                               .kernel_w = 3,
                               .stride_h = 1,
                               .stride_w = 1,
                               .weight_bits = 4,
                               .weight = weight};
    mq_inet_node output = {
        .kind = MQ_INET_OUTPUT, .name = "output", .input_count = 1, .output = {.divisor = 1}};
    assert_int_equal(mq_inet_add(net, &image, &last, &error), MQ_OK);
    conv.input[0] = last;
    assert_int_equal(mq_inet_add(net, &conv, &last, &error), MQ_OK);
    output.input[0] = last;
    assert_int_equal(mq_inet_add(net, &output, &last, &error), MQ_OK);
    if (mq_inet_finish(net, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "lopsided"), &error), MQ_OK);
    mq_inet_free(net);
}

/* Weight 0 of a filter piece is the tap at the far end: here one that is 0 or 1. */
static void knows_weights(void **state) {
    save_lopsided(state);
    json_t *root = cli_json(state, "pack known lopsided --accumulate 2");
    const json_t *layer = json_array_get(json_object_get(root, "layers"), 0);
    cli_has_keys(layer, "layer wbit abit taps mults_by_bits mults accumulations distinct_rows zeros packing");
    assert_int_equal(number(layer, "weights"), 216);
    assert_true(number(layer, "mults") >= number(layer, "mults_by_bits"));
    const json_t *fields = json_object_get(json_object_get(layer, "packing"), "fields");
    const json_t *first = json_array_get(fields, 0),
                 *last = json_array_get(fields, json_array_size(fields) - 1);
    assert_true(number(first, "high") - number(first, "low") <= 15);
    assert_true(number(last, "high") - number(last, "low") >= 100);
    json_decref(root);
    cli_result *r = cli_works(state, "pack known lopsided");
    cli_contains("pack known", r->out, "conv0|w4a4 3 taps|distinct rows| of     72");
    cli_fails(state, 2, "an export folder", "pack known");
    cli_fails(state, 3, "nothing", "pack known nothing");
}

static void refuses(void **state) {
    cli_fails(state, 2, "--kernel|from 1 to 31", "pack table --kernel 0");
    cli_fails(state, 2, "unknown DSP 'dsp49'|dsp48e2", "pack table --kernel 3 --dsp dsp49");
    cli_fails(state, 2, "--class|iv|i, ii, iii", "pack table --kernel 3 --class iv");
    cli_fails(state, 2, "--wbit|from 1 to 8", "pack show --wbit 9 --abit 4 --kernel 3");
    cli_fails(state, 2, "--abit", "pack show --wbit 4 --kernel 3");
    cli_fails(state, 2, "--kinds|tiles|filter", "pack table --kernel 3 --kinds filter,tiles");
    cli_fails(state, 2, "stride", "pack table --kernel 3 --stride 4");
    cli_fails(state, 2, "no packing of w8a8|within the budget",
              "pack show --wbit 8 --abit 8 --kernel 3 --accumulate 16777216 --kinds filter");
    cli_fails(state, 2, "draw|table, show, pareto, known or verify", "pack draw");
    cli_fails(state, 2, "symmetric|1 bit", "pack show --wbit 1 --abit 4 --kernel 3 --range symmetric");
    cli_fails(state, 2, "kernel size 7", "pack table --compare published --kernel 7");
    cli_fails(state, 2, "--csv", "pack table --csv ours --json");
    cli_fails(state, 2, "pack table does not use --svg|show", "pack table --kernel 3 --svg a.svg");
    cli_fails(state, 2, "pack show does not use --all|verify",
              "pack show --wbit 4 --abit 4 --kernel 3 --all");
    cli_fails(state, 2, "pack pareto does not use --accumulate",
              "pack pareto --wbit 4 --abit 4 --kernel 3 --accumulate 4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_a_table),
        cmocka_unit_test(compares),
        cmocka_unit_test(cost_tables_are_current),
        cmocka_unit_test(draws),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(verifies),
        cmocka_unit_test(knows_weights),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
