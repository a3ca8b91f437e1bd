/* test_inet_files.c - an integer network's files: the round trip, and what is refused while loading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "inet/small_net.h"
#include "inet/weight_bits.h"
#include "io/safetensors.h"

static void same_array(const void *a, const void *b, size_t bytes) {
    assert_int_equal(a == NULL, b == NULL);
    if (a) assert_memory_equal(a, b, bytes);
}

static void same_node(const mq_inet *net, const mq_inet_node *a, const mq_inet_node *b) {
    assert_int_equal(a->kind, b->kind);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->dump, b->dump);
    assert_int_equal(a->input_count, b->input_count);
    assert_memory_equal(a->input, b->input, sizeof a->input);
    assert_int_equal(a->consumers, b->consumers);
    assert_int_equal(a->inc_bits, b->inc_bits);
    assert_int_equal(a->bias_bits, b->bias_bits);
    assert_memory_equal(&a->edge, &b->edge, offsetof(mq_inet_edge, channel_low));
    size_t channels = (size_t)a->edge.c * sizeof(int64_t), weights = mq_inet_weight_count(net, a);
    same_array(a->edge.channel_low, b->edge.channel_low, channels);
    same_array(a->edge.channel_high, b->edge.channel_high, channels);
    switch (a->kind) {
    case MQ_INET_CONV:
        assert_memory_equal(&a->conv, &b->conv, offsetof(mq_inet_conv, weight_narrow));
        assert_int_equal(a->conv.weight_narrow, b->conv.weight_narrow);
        assert_true(a->conv.weight_scale == b->conv.weight_scale);
        same_array(a->conv.weight, b->conv.weight, weights);
        same_array(a->conv.bias, b->conv.bias, channels);
        break;
    case MQ_INET_LINEAR:
        assert_int_equal(a->linear.weight_bits, b->linear.weight_bits);
        same_array(a->linear.weight, b->linear.weight, weights);
        same_array(a->linear.bias, b->linear.bias, channels);
        break;
    case MQ_INET_REQUANT:
        assert_int_equal(a->requant.shift, b->requant.shift);
        assert_int_equal(a->requant.low, b->requant.low);
        assert_int_equal(a->requant.high, b->requant.high);
        same_array(a->requant.inc, b->requant.inc, channels);
        same_array(a->requant.bias, b->requant.bias, channels);
        same_array(a->requant.rule, b->requant.rule, (size_t)a->edge.c);
        same_array(a->requant.threshold, b->requant.threshold,
                   channels * (size_t)(a->requant.high - a->requant.low));
        break;
    default:
        if (a->kind == MQ_INET_RESCALE) assert_memory_equal(&a->rescale, &b->rescale, sizeof(float) * 2);
        if (a->kind == MQ_INET_OUTPUT) assert_true(a->output.divisor == b->output.divisor);
    }
}

/* The file's text; release with free. */
static char *read_text(const char *path) {
    uint8_t *bytes = NULL;
    size_t size;
    mq_error error;
    assert_int_equal(mq_file_read(path, 1 << 24, &bytes, &size, &error), MQ_OK);
    char *text = malloc(size + 1);
    memcpy(text, bytes, size + 1);
    mq_free(bytes);
    return text;
}

static void round_trip(void **state) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        mq_error error = {0};
        mq_inet *net = small_net_random(seed), *back = NULL;
        net->packed_weights = seed % 2;
        if (mq_inet_save(net, temp_dir_path(state, "a"), &error) != MQ_OK) fail_msg("%s", error.text);
        if (mq_inet_load(temp_dir_path(state, "a/net.json"), &back, &error) != MQ_OK)
            fail_msg("%s", error.text);
        assert_string_equal(net->model, back->model);
        assert_string_equal(net->bitw, back->bitw);
        assert_string_equal(net->bita, back->bita);
        assert_int_equal(net->classes, back->classes);
        assert_int_equal(net->compat, back->compat);
        assert_int_equal(net->packed_weights, back->packed_weights);
        assert_string_equal(net->sha256, back->sha256);
        assert_string_equal(net->weights_sha256, back->weights_sha256);
        assert_int_equal(net->node_count, back->node_count);
        for (int i = 0; i < net->node_count; i++) same_node(net, &net->nodes[i], &back->nodes[i]);
        /* the same network, the same bytes */
        assert_int_equal(mq_inet_save(back, temp_dir_path(state, "b"), &error), MQ_OK);
        assert_string_equal(net->sha256, back->sha256);
        assert_string_equal(net->weights_sha256, back->weights_sha256);
        mq_inet_free(net);
        mq_inet_free(back);
    }
}

static void load_refused(const char *path, const char *expected) {
    mq_error error = {0};
    mq_inet *net = NULL;
    mq_status status = mq_inet_load(path, &net, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, expected))
        fail_msg("status %d, got '%s', expected '%s'", (int)status, error.text, expected);
    assert_null(net);
}

/* Saves network 6 (signed codes, thresholds), replaces the first `from` in net.json by `to`, and loads it. */
static void edited(void **state, const char *from, const char *to, const char *expected) {
    mq_error error = {0};
    char *text = read_text(temp_dir_path(state, "net/net.json")), *at = strstr(text, from);
    if (!at) fail_msg("no '%s' in net.json", from);
    char *changed = calloc(1, strlen(text) + strlen(to) + 1);
    memcpy(changed, text, (size_t)(at - text));
    strcat(changed, to);
    strcat(changed, at + strlen(from));
    assert_int_equal(mq_file_write(temp_dir_path(state, "net/edited.json"), changed, strlen(changed), &error),
                     MQ_OK);
    load_refused(temp_dir_path(state, "net/edited.json"), expected);
    free(changed);
    free(text);
}

static void edited_json(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6), *back = NULL;
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    assert_int_equal(mq_inet_load(temp_dir_path(state, "net"), &back, &error), MQ_OK);
    mq_inet_free(back);
    char from[80], to[80];

    edited(state, "mixq-integer-network", "onnx", "format: got 'onnx'");
    edited(state, "\"version\": 1", "\"version\": 2", "version: got 2, expected 1");
    edited(state, "\"model\"", "\"modle\"", "model");
    edited(state, "classification", "regression", "task: got 'regression'");
    edited(state, "\"classes\": 5", "\"classes\": 7", "linear2: output: got 1 x 1 x 5");
    edited(state, "\"compat\": false", "\"compat\": 0", "compat");
    edited(state, "\"bitw\": \"82\"", "\"bitw\": \"x\"", "bitw");
    edited(state, "weights.safetensors", "/etc/passwd", "weights: file");
    edited(state, "\"sha256\": \"", "\"sha256\": \"0", "sha256: got");
    edited(state, "\"sha256\": \"", "\"packed\": true, \"sha256\": \"", "conv0.weight");
    edited(state, "\"sha256\": \"", "\"packed\": 1, \"sha256\": \"", "weights: packed");
    edited(state, "\"anchors\": []", "\"anchors\": [[1]]", "anchors[0]");
    edited(state, "\"nodes\"", "\"nodez\"", "nodes");
    edited(state, "\"kind\": \"conv\"", "\"kind\": \"convo\"",
           "nodes[1] 'conv0': kind: got 'convo', which is unknown; nearest: conv");
    edited(state, "\"kind\": \"max_pool\"", "\"kind\": \"reorg\"", "'pool1'");
    edited(state, "\"name\": \"conv0\"", "\"name\": \"convx\"", "convx.weight");
    edited(state, "\"dump\": \"conv1\"", "\"dump\": \"conv0\"", "conv1.requant: dump 'conv0' used twice");
    edited(state, "\"image\"\n      ]", "\"imago\"\n      ]", "nodes[1] 'conv0': inputs[0]: got 'imago'");
    edited(state, "\"groups\": 1", "\"groups\": 0", "nodes[1] 'conv0': groups: got 0");
    edited(state, "\"weight_narrow\"", "\"weight_narow\"", "nodes[1] 'conv0'");
    edited(state, "\"thresholds\": true", "\"thresholds\": false", "");
    edited(state, "\"divisor\": 12.75", "\"divisor\": -12.75", "output: divisor");
    edited(state, "\"divisor\": 12.75", "\"divisor\": \"12.75\"", "divisor");

    /* declared edges and widths */
    const mq_inet_node *conv = &net->nodes[1], *requant = &net->nodes[2];
    snprintf(from, sizeof from, "\"inc_bits\": %d", requant->inc_bits);
    snprintf(to, sizeof to, "\"inc_bits\": %d", requant->inc_bits + 1);
    edited(state, from, to, "'conv0.requant': inc_bits: got");
    snprintf(from, sizeof from, "\"bias_bits\": %d,\n        \"thresholds\"", requant->bias_bits);
    snprintf(to, sizeof to, "\"bias_bits\": %d,\n        \"thresholds\"", requant->bias_bits - 1);
    edited(state, from, to, "'conv0.requant': bias_bits: got");
    snprintf(from, sizeof from, "\"low\": %lld,\n        \"high\": %lld\n", (long long)conv->edge.low,
             (long long)conv->edge.high);
    snprintf(to, sizeof to, "\"low\": %lld,\n        \"high\": %lld\n", (long long)conv->edge.low,
             (long long)conv->edge.high - 1);
    edited(state, from, to, "nodes[1] 'conv0': edge: high: got");
    snprintf(to, sizeof to, "\"low\": %lld,\n        \"high\": %lld\n", (long long)conv->edge.low + 1,
             (long long)conv->edge.high);
    edited(state, from, to, "nodes[1] 'conv0': edge: low: got");
    snprintf(from, sizeof from, "\"c\": %d,\n        \"bits\": %d,\n        \"signed\": true", conv->edge.c,
             conv->edge.bits);
    snprintf(to, sizeof to, "\"c\": %d,\n        \"bits\": %d,\n        \"signed\": true", conv->edge.c,
             conv->edge.bits + 1);
    edited(state, from, to, "nodes[1] 'conv0': edge: bits: got");
    snprintf(to, sizeof to, "\"c\": %d,\n        \"bits\": %d,\n        \"signed\": false", conv->edge.c,
             conv->edge.bits);
    edited(state, from, to, "nodes[1] 'conv0': edge: signed: got 0");
    edited(state, "\"scale\": 0.25,\n        \"low\": ", "\"scale\": 0.26,\n        \"low\": ",
           "edge: scale: got 0.26");
    edited(state, "\"edge\"", "\"edges\"", "nodes[0] 'image'");
    mq_inet_free(net);
}

/* Any change of the weights file must be noticed, whatever byte it is. */
static void damaged_weights(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6);
    uint8_t *bytes;
    size_t size;
    char path[512];
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    mq_inet_free(net);
    strcpy(path, temp_dir_path(state, "net/weights.safetensors"));
    assert_int_equal(mq_file_read(path, 1 << 24, &bytes, &size, &error), MQ_OK);
    for (size_t i = 0; i < size; i += 1 + size / 50) {
        bytes[i] ^= 1;
        assert_int_equal(mq_file_write(path, bytes, size, &error), MQ_OK);
        bytes[i] ^= 1;
        load_refused(temp_dir_path(state, "net"), "weights.safetensors: sha256: got");
    }
    assert_int_equal(mq_file_write(path, bytes, size - 1, &error), MQ_OK);
    load_refused(temp_dir_path(state, "net"), "sha256");
    assert_int_equal(remove(path), 0);
    load_refused(temp_dir_path(state, "net"), "weights.safetensors");
    mq_free(bytes);
}

/* A weights file whose hash is right but whose tensors are not those of the nodes. */
static void wrong_tensors(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6);
    char weights[512], json[512], hash[MQ_DIGEST_TEXT];
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    strcpy(weights, temp_dir_path(state, "net/weights.safetensors"));
    strcpy(json, temp_dir_path(state, "net/net.json"));
    char *text = read_text(json);
    mq_st_file *file;
    assert_int_equal(mq_st_load(weights, &file, &error), MQ_OK);
    static const char *const expected[] = {"tensors, expected the", "linear2.weight", "linear2.weight",
                                           "linear2: weight 0 of"};
    for (int fault = 0; fault < 4; fault++) {
        mq_st_writer *writer;
        int8_t extra[1] = {0};
        mq_tensor spare = {.dtype = MQ_I8, .shape = mq_shape1(1), .data = extra};
        assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
        for (size_t i = 0; i < mq_st_count(file); i++) {
            const mq_st_entry *entry = mq_st_at(file, i);
            mq_tensor tensor = entry->tensor;
            bool layer = strcmp(entry->name, "linear2.weight") == 0;
            if (fault == 1 && layer) continue;                         /* missing */
            if (fault == 2 && layer) tensor.dtype = MQ_U8;             /* another type */
            if (fault == 3 && layer) ((int8_t *)tensor.data)[0] = 127; /* outside its bits */
            assert_int_equal(mq_st_add(writer, entry->name, &tensor, &error), MQ_OK);
        }
        if (fault == 0) assert_int_equal(mq_st_add(writer, "spare", &spare, &error), MQ_OK);
        assert_int_equal(mq_st_write(writer, weights, &error), MQ_OK);
        mq_st_writer_free(writer);
        uint8_t *bytes;
        size_t size;
        assert_int_equal(mq_file_read(weights, 1 << 24, &bytes, &size, &error), MQ_OK);
        mq_sha256(bytes, size, hash);
        mq_free(bytes);
        memcpy(strstr(text, "\"sha256\": \"") + 11, hash, 64);
        assert_int_equal(mq_file_write(json, text, strlen(text), &error), MQ_OK);
        load_refused(json, expected[fault]);
    }
    mq_st_free(file);
    free(text);
    mq_inet_free(net);
}

static void damaged_json(void **state) {
    mq_error error = {0};
    mq_inet *net = small_net_random(6);
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    mq_inet_free(net);
    char *text = read_text(temp_dir_path(state, "net/net.json"));
    size_t size = strlen(text);
    for (size_t n = 0; n + 2 < size; n += 1 + size / 40) {
        assert_int_equal(mq_file_write(temp_dir_path(state, "net/cut.json"), text, n, &error), MQ_OK);
        load_refused(temp_dir_path(state, "net/cut.json"), "cut.json");
    }
    assert_int_equal(mq_file_write(temp_dir_path(state, "net/cut.json"), "[]", 2, &error), MQ_OK);
    load_refused(temp_dir_path(state, "net/cut.json"), "expected an object");
    load_refused(temp_dir_path(state, "nothing.json"), "nothing.json");
    free(text);
}

/* Every width, every code, ends at every bit of a byte; bits left over are 0. */
static void packed_codes(void **state) {
    (void)state;
    for (int bits = 1; bits <= 8; bits++)
        for (size_t count = 1; count < 300; count += 1 + count / 9) {
            int8_t codes[300], back[300];
            uint8_t packed[304] = {0};
            size_t bytes = mq_weight_bytes(count, bits), rest = bytes * 8 - count * (size_t)bits;
            for (size_t i = 0; i < count; i++)
                codes[i] = (int8_t)((int)(i % (1u << bits)) - (1 << (bits - 1)));
            mq_weight_pack(codes, count, bits, packed);
            for (size_t b = bytes; b < sizeof packed; b++) assert_int_equal(packed[b], 0);
            for (size_t i = 0; i < count * (size_t)bits; i++) /* bit by bit */
                assert_int_equal(packed[i / 8] >> i % 8 & 1,
                                 (uint8_t)codes[i / (size_t)bits] >> i % (size_t)bits & 1);
            assert_true(mq_weight_unpack(packed, count, bits, back));
            assert_memory_equal(codes, back, count);
            if (rest == 0) continue;
            packed[bytes - 1] |= 0x80;
            assert_false(mq_weight_unpack(packed, count, bits, back));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(packed_codes),
        cmocka_unit_test_setup_teardown(edited_json, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(damaged_weights, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(wrong_tensors, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(damaged_json, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
