/* test_hls_headers.c - the parallelism file, the published headers of a network small enough to pack by hand,
 * and what they refuse to express. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "gen/hls_headers.h"
#include "inet/small_net.h"

static mq_status add(mq_inet *net, mq_inet_node node) {
    mq_error error = {0};
    if (node.kind != MQ_INET_IMAGE) {
        node.input[0] = net->node_count - 1;
        node.input_count = 1;
    }
    mq_status status = mq_inet_add(net, &node, NULL, &error);
    if (status != MQ_OK) fail_msg("%s", error.text);
    return status;
}

/* conv0 3x3 (1 -> 2 channels), requant, conv1 1x1 (2 -> 4); a detector head of 4 channels would
 * need anchors, so the task is a classifier of 4 on a 1x1 image. */
typedef struct spec {
    int kernel, stride, pad, groups, shift, high;
    bool is_signed, conv_bias, head_bias, thresholds;
} spec;

static const spec GOOD = {.kernel = 3, .stride = 1, .pad = 1, .groups = 1, .shift = 8, .high = 3};

static mq_inet *make(spec s) {
    static const int8_t first[2 * 9] = {1, -2, 0, -1, 1, 0, 0, 0, -2, 1, 1, 1, 0, 0, 0, -2, -2, -2};
    static const int8_t second[4 * 2] = {3, -4, 0, 1, -1, 2, -3, -2};
    static const int64_t inc[2] = {17, -255}, bias[2] = {128, 127}, zero[2] = {0, 0},
                         head_bias[4] = {1, 2, 3, -4};
    static const uint8_t rule[2] = {MQ_INET_RISING, MQ_INET_RISING};
    static const int64_t threshold[6] = {1, 2, 3, -1, 2, INT64_MAX};
    mq_inet *net = NULL;
    mq_error error = {0};
    assert_int_equal(mq_inet_create(&net, &error), MQ_OK);
    strcpy(net->model, "hand");
    net->classes = 4;
    add(net, (mq_inet_node){.kind = MQ_INET_IMAGE, .name = "image", .image = {1, 1, 1, 2}});
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv0"};
    conv.conv =
        (mq_inet_conv){.out_channels = 2, .kernel_h = s.kernel, .kernel_w = s.kernel, .weight_bits = 2};
    conv.conv.stride_h = conv.conv.stride_w = s.stride;
    conv.conv.pad_top = conv.conv.pad_left = conv.conv.pad_bottom = conv.conv.pad_right = s.pad;
    conv.conv.groups = s.groups;
    conv.conv.weight = first;
    conv.conv.bias = s.conv_bias ? zero : NULL;
    add(net, conv);
    mq_inet_node requant = {.kind = MQ_INET_REQUANT, .name = "conv0.requant"};
    requant.requant = (mq_inet_requant){.bits = 2 + s.is_signed, .is_signed = s.is_signed, .shift = s.shift};
    requant.requant.high = s.high;
    requant.requant.inc = s.thresholds ? zero : inc;
    requant.requant.bias = s.thresholds ? zero : bias;
    requant.requant.rule = s.thresholds ? rule : NULL;
    requant.requant.threshold = s.thresholds ? threshold : NULL;
    add(net, requant);
    mq_inet_node head = {.kind = MQ_INET_CONV, .name = "conv1"};
    head.conv =
        (mq_inet_conv){4, 1, 1, 1, 1, 0, 0, 0, 0, 1, 3, false, 0, second, s.head_bias ? head_bias : NULL};
    add(net, head);
    add(net, (mq_inet_node){.kind = MQ_INET_OUTPUT, .name = "output", .output = {1}});
    if (mq_inet_finish(net, &error) != MQ_OK) fail_msg("%s", error.text);
    return net;
}

static void is_body(void **state, const char *name, const char *expected) {
    uint8_t *text;
    size_t size;
    mq_error error = {0};
    char path[64];
    snprintf(path, sizeof path, "headers/%s", name);
    if (mq_file_read(temp_dir_path(state, path), 1 << 20, &text, &size, &error) != MQ_OK)
        fail_msg("%s", error.text);
    assert_int_equal(strncmp((const char *)text, "/***", 4), 0);
    const char *body = strstr((const char *)text, "***/");
    assert_non_null(body);
    assert_string_equal(body + 4, expected);
    mq_free(text);
}

/* The published bias is without the half 2^7: 128 -> 0, 127 -> -1. Column kc of channel 0 is 1,-1,0 / -2,1,0
 * / 0,0,-2. */
static void headers_by_hand(void **state) {
    static mq_parallelism p;
    mq_error error = {0};
    mq_inet *net = make(GOOD);
    assert_int_equal(mq_parallelism_parse("p.txt", "simd pe\r\n\n3 2\r\n2 2\n\n", net, &p, &error), MQ_OK);
    assert_false(p.has_actp);
    if (mq_hls_headers_write(net, &p, temp_dir_path(state, "headers"), &error) != MQ_OK)
        fail_msg("%s", error.text);
    is_body(
        state, "config.h",
        "\n\n#ifndef _CONFIG_H_\n#define _CONFIG_H_\n\n// conv_0\n#define CONV_0_K 3\n#define CONV_0_IFM_CH "
        "1\n"
        "#define CONV_0_IFM_ROW 1\n#define CONV_0_IFM_COL 1\n#define CONV_0_OFM_CH 2\n#define CONV_0_OFM_ROW "
        "1\n"
        "#define CONV_0_OFM_COL 1\n#define CONV_0_IN_BIT 2\n#define CONV_0_W_BIT 2\n#define CONV_0_INC_BIT "
        "9\n"
        "#define CONV_0_BIAS_BIT 2\n#define CONV_0_SIMD 3\n#define CONV_0_PE 2\n#define CONV_0_L_SHIFT 5\n\n"
        "// conv_1\n#define CONV_1_K 1\n#define CONV_1_IFM_CH 2\n#define CONV_1_IFM_ROW 1\n"
        "#define CONV_1_IFM_COL 1\n#define CONV_1_OFM_CH 4\n#define CONV_1_OFM_ROW 1\n#define CONV_1_OFM_COL "
        "1\n"
        "#define CONV_1_IN_BIT 2\n#define CONV_1_W_BIT 3\n#define CONV_1_SIMD 2\n#define CONV_1_PE "
        "2\n\n#endif\n");
    is_body(state, "weights.hpp",
            "\n\n#ifndef _WEIGHTS_HPP_\n#define _WEIGHTS_HPP_\n#include <ap_int.h>\n\n"
            "// layer: 0, PE: 2, SIMD: 3, wbit: 2\nconst ap_uint<6> conv_0_w[2][3][1]=\n"
            "{{{\"0xd\"},\n{\"0x6\"},\n{\"0x20\"}\n},\n{{\"0x21\"},\n{\"0x21\"},\n{\"0x21\"}\n}\n};\n"
            "const ap_int<9> conv_0_inc[2][1]=\n{{\"0x11\"},\n{\"-0xff\"}\n};\n"
            "const ap_int<2> conv_0_bias[2][1]=\n{{\"0x0\"},\n{\"-0x1\"}\n};\n"
            "// layer: 1, PE: 2, SIMD: 2, wbit: 3\nconst ap_uint<6> conv_1_w[2][2]=\n"
            "{{\"0x23\",\"0x17\"},\n{\"0x8\",\"0x35\"}\n};\n#endif\n");

    mq_inet_free(net);
    /* Four columns: two requantisers, two output channels in a word, the lane of the channel lowest; a head
     * with a bias. */
    spec s = GOOD;
    s.head_bias = true;
    net = make(s);
    assert_int_equal(mq_parallelism_parse("p.txt", "simd pe actp pep\n1 1 2 1\n1 2 2 2\n", net, &p, &error),
                     MQ_OK);
    assert_true(p.has_actp);
    assert_int_equal(mq_hls_headers_write(net, &p, temp_dir_path(state, "headers"), &error), MQ_OK);
    is_body(state, "weights.hpp",
            "\n\n#ifndef _WEIGHTS_HPP_\n#define _WEIGHTS_HPP_\n#include <ap_int.h>\n\n"
            "// layer: 0, PE: 1, SIMD: 1, ACTP: 2, wbit: 2\nconst ap_uint<2> conv_0_w[1][3][6]=\n"
            "{{{\"0x1\",\"0x3\",\"0x0\",\"0x1\",\"0x0\",\"0x2\"},\n{\"0x2\",\"0x1\",\"0x0\",\"0x1\",\"0x0\","
            "\"0x2\"},\n"
            "{\"0x0\",\"0x0\",\"0x2\",\"0x1\",\"0x0\",\"0x2\"}\n}\n};\n"
            "const ap_int<9> conv_0_inc[2][1]=\n{{\"0x11\"},\n{\"-0xff\"}\n};\n"
            "const ap_int<2> conv_0_bias[2][1]=\n{{\"0x0\"},\n{\"-0x1\"}\n};\n"
            "// layer: 1, PE: 2, PEP: 2, SIMD: 1, ACTP: 2, wbit: 3\nconst ap_uint<6> conv_1_w[2][2]=\n"
            "{{\"0x3\",\"0xc\"},\n{\"0x2f\",\"0x32\"}\n};\n"
            "const ap_int<4> conv_1_bias[2][2]=\n{{\"0x1\",\"0x3\"},\n{\"0x2\",\"-0x4\"}\n};\n#endif\n");
    mq_inet_free(net);
}

static void refused(spec s, const char *expected) {
    mq_error error = {0};
    mq_inet *net = make(s);
    assert_int_equal(mq_hls_headers_check(net, &error), MQ_USAGE);
    if (!strstr(error.text, expected)) fail_msg("got '%s', expected '%s'", error.text, expected);
    mq_inet_free(net);
}

static void contains(void **state, const char *name, const char *expected) {
    uint8_t *text;
    size_t size;
    mq_error error = {0};
    char path[64];
    snprintf(path, sizeof path, "headers/%s", name);
    assert_int_equal(mq_file_read(temp_dir_path(state, path), 1 << 20, &text, &size, &error), MQ_OK);
    if (!strstr((const char *)text, expected)) fail_msg("%s: '%s' expected in:\n%s", name, expected, text);
    mq_free(text);
}

/* A shift below W_BIT + IN_BIT - 1 = 3: inc and bias are doubled until it is reached. */
static void small_shift(void **state) {
    static mq_parallelism p;
    mq_error error = {0};
    spec s = GOOD;
    s.shift = 1;
    mq_inet *net = make(s);
    mq_parallelism_default(net, &p);
    if (mq_hls_headers_write(net, &p, temp_dir_path(state, "headers"), &error) != MQ_OK)
        fail_msg("%s", error.text);
    contains(state, "config.h", "#define CONV_0_L_SHIFT 0\n");
    contains(state, "config.h", "#define CONV_0_INC_BIT 11\n");
    contains(state, "weights.hpp", "\"0x44\"");
    contains(state, "weights.hpp", "\"-0x3fc\"");
    contains(state, "weights.hpp", "\"0x1fc\""); /* 128*4 - 2^2 */
    contains(state, "weights.hpp", "\"0x1f8\"");
    mq_inet_free(net);
}

static void refusals(void **state) {
    static mq_parallelism p;
    mq_error error = {0};
    spec s = GOOD;
    mq_inet *net = make(s);
    assert_int_equal(mq_hls_headers_check(net, &error), MQ_OK);
    mq_parallelism_default(net, &p);
    p.rows[1].simd = 1 << 20;
    assert_int_equal(mq_hls_headers_write(net, &p, temp_dir_path(state, "none"), &error), MQ_USAGE);
    assert_non_null(strstr(error.text, "conv1: simd"));
    assert_false(mq_path_exists(temp_dir_path(state, "none")));
    mq_inet_free(net);
    s.stride = 2;
    refused(s, "a stride");
    s = GOOD;
    s.kernel = 1;
    s.pad = 0;
    net = make(s);
    assert_int_equal(mq_hls_headers_check(net, &error), MQ_OK);
    mq_inet_free(net);
    s = GOOD;
    s.high = 2;
    refused(s, "result codes");
    s = GOOD;
    s.is_signed = true;
    refused(s, "conv0: config.h and weights.hpp cannot express result codes");
    s = GOOD;
    s.conv_bias = true;
    refused(s, "a bias before");
    net = small_net_random(2); /* two readers, odd pads, a linear layer of odd outputs ... */
    assert_int_equal(mq_hls_headers_check(net, &error), MQ_USAGE);
    mq_inet_free(net);
}

/* Beyond the published form; the threshold that is never reached stands above the accumulator's range. */
static void thresholds(void **state) {
    static mq_parallelism p;
    mq_error error = {0};
    spec s = GOOD;
    s.thresholds = true;
    mq_inet *net = make(s);
    mq_parallelism_default(net, &p);
    if (mq_hls_headers_write(net, &p, temp_dir_path(state, "headers"), &error) != MQ_OK)
        fail_msg("%s", error.text);
    const int64_t high = net->nodes[1].edge.channel_high[1];
    char expected[256];
    snprintf(expected, sizeof expected,
             "conv_0_threshold[2][1][3]=\n{{{\"0x1\",\"0x2\",\"0x3\"}\n},\n{{\"-0x1\",\"0x2\",\"0x%llx\"}\n}"
             "\n};\n",
             (long long)high + 1);
    contains(state, "config.h",
             "#define CONV_0_L_SHIFT 5\n#define CONV_0_THRESHOLDS 3\n#define CONV_0_THRESHOLD_BIT ");
    contains(state, "weights.hpp",
             "conv_0_bias[2][1]=\n{{\"0x0\"},\n{\"0x0\"}\n};\nconst ap_int<2> conv_0_rule[2][1]=\n"
             "{{\"0x1\"},\n{\"0x1\"}\n};\n");
    contains(state, "weights.hpp", expected);
    mq_inet_free(net);
}

static void bad_parallelism(void **state) {
    (void)state;
    static mq_parallelism p;
    static const char *const cases[][2] = {
        {"", "p.txt: empty"},
        {"3 2\n2 2\n", "p.txt:1: header"},
        {"simd pe actp\n", "p.txt:1: header"},
        {"simd pe\n3 2\n", "p.txt:2: got 1 rows, expected 2"},
        {"simd pe\n3 2\n2 2\n1 1\n", "p.txt:4: one row too many"},
        {"simd pe\n3\n2 2\n", "p.txt:2: got 1 numbers, expected 2"},
        {"simd pe\n3 2 1 1 1 1\n2 2\n", "p.txt:2: got more than 4 numbers"},
        {"simd pe\n3 x\n2 2\n", "p.txt:2: pe: got 'x'"},
        {"simd pe\n0 2\n2 2\n", "p.txt:2: simd: got '0'"},
        {"simd pe\n-3 2\n2 2\n", "p.txt:2: simd: got '-3'"},
        {"simd pe\n99999999999 2\n2 2\n", "p.txt:2: simd: got '99999999999'"},
        {"simd pe\n3 2\n3 2\n", "p.txt:3: conv1: simd: got 3, expected a divisor of 2"},
        {"simd pe\n2 2\n2 2\n", "p.txt:2: conv0: simd: got 2, expected a divisor of 3"},
        {"simd pe\n3 2\n2 3\n", "p.txt:3: conv1: pe: got 3, expected a divisor of 4"},
        {"simd pe actp pep\n3 2 3 1\n2 2 1 1\n", "p.txt:2: conv0: actp: got 3"},
        {"simd pe actp pep\n3 1 1 2\n2 2 1 1\n", "p.txt:2: conv0: pep: got 2, expected 1"},
        {"simd pe actp pep\n3 1 1 1\n2 2 1 4\n", "p.txt:3: conv1: pep: got 4, expected a divisor of 2"},
    };
    mq_inet *net = make(GOOD);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mq_error error = {0};
        mq_status status = mq_parallelism_parse("p.txt", cases[i][0], net, &p, &error);
        if (status != MQ_BAD_INPUT || !strstr(error.text, cases[i][1]))
            fail_msg("case %zu: got '%s', expected '%s'", i, error.text, cases[i][1]);
    }
    char wide[400];
    mq_error error = {0};
    memset(wide, ' ', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    assert_int_equal(mq_parallelism_parse("p.txt", wide, net, &p, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "p.txt:1: got 399 characters"));
    mq_inet_free(net);
}

static void parallelism_files(void **state) {
    static mq_parallelism p;
    mq_error error = {0};
    mq_inet *net = make(GOOD);
    const char *path = temp_dir_path(state, "p.txt");
    assert_int_equal(mq_file_write(path, "simd pe\n1 2\n2 4", 16, &error), MQ_OK);
    assert_int_equal(mq_parallelism_load(path, net, &p, &error), MQ_BAD_INPUT); /* a 0 byte */
    assert_non_null(strstr(error.text, "not a text file"));
    assert_int_equal(mq_file_write(path, "simd pe\n1 2\n2 4", 15, &error), MQ_OK);
    assert_int_equal(mq_parallelism_load(path, net, &p, &error), MQ_OK);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.rows[1].simd, 2);
    assert_int_equal(p.rows[1].pe, 4);
    mq_parallelism_default(net, &p);
    assert_int_equal(p.rows[0].simd, 1);
    assert_int_equal(p.rows[0].pe, 2);
    assert_int_equal(p.rows[1].simd, 2);
    assert_int_equal(p.rows[1].pe, 4);
    mq_inet_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(headers_by_hand, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(thresholds, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(small_shift, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(refusals, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(bad_parallelism),
        cmocka_unit_test_setup_teardown(parallelism_files, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
