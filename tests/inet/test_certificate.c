/* test_certificate.c - what a network's rules are said to be, against every accumulator; comparing
 * descriptions; manifests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "inet/certificate.h"
#include "inet/manifest.h"
#include "inet/small_net.h"

static int64_t plain_code(const mq_inet_requant *r, int c, int64_t acc) {
    int64_t code = r->low;
    if (!r->rule || r->rule[c] == MQ_INET_AFFINE) {
        code = (acc * r->inc[c] + r->bias[c]) >> r->shift;
        return code < r->low ? r->low : code > r->high ? r->high : code;
    }
    for (int i = 0; i < r->high - r->low; i++) {
        int64_t t = r->threshold[c * (r->high - r->low) + i];
        code += r->rule[c] == MQ_INET_RISING ? acc >= t : acc < t;
    }
    return code;
}

/* Codes, steps and counts of random networks with every kind of rule. */
static void rules(void **state) {
    (void)state;
    mq_error error = {0};
    long long steps = 0, stored = 0;
    for (uint64_t seed = 0; seed < 12; seed++) {
        mq_inet *net = small_net_random(seed);
        json_t *description;
        assert_int_equal(mq_certificate_describe(net, &description, &error), MQ_OK);
        json_t *layers = json_object_get(description, "layers");
        size_t at_layer = 0;
        for (int i = 0; i < net->node_count; i++) {
            const mq_inet_node *n = &net->nodes[i];
            if (n->kind != MQ_INET_REQUANT) continue;
            const mq_inet_edge *acc = &net->nodes[n->input[0]].edge;
            const mq_inet_requant *r = &n->requant;
            json_int_t passed = 0, constant = 0;
            for (int c = 0; c < n->edge.c; c++) {
                int64_t low = acc->channel_low[c], high = acc->channel_high[c], next = low;
                bool more = mq_rule_next_step(r, c, low, high, &next);
                json_int_t before = passed;
                for (int64_t a = low; a <= high; a++) {
                    assert_int_equal(mq_rule_code(r, c, a), plain_code(r, c, a));
                    if (a == low || plain_code(r, c, a) == plain_code(r, c, a - 1)) continue;
                    assert_true(more && next == a);
                    passed += llabs(plain_code(r, c, a) - plain_code(r, c, a - 1));
                    more = mq_rule_next_step(r, c, a, high, &next);
                    steps++;
                }
                assert_false(more);
                constant += passed == before;
                stored += r->rule && r->rule[c];
            }
            json_t *layer = json_array_get(layers, at_layer++);
            assert_string_equal(json_string_value(json_object_get(layer, "name")), n->name);
            assert_int_equal(json_integer_value(json_object_get(layer, "thresholds")), passed);
            assert_int_equal(json_integer_value(json_object_get(layer, "constant")), constant);
        }
        assert_int_equal(json_array_size(layers), at_layer);
        json_decref(description);
        mq_inet_free(net);
    }
    assert_true(steps > 100 && stored > 0);
}

static void differs(const char *got, const char *expected, bool whole, const char *words) {
    mq_error error = {0};
    json_t *a = json_loads(got, 0, NULL), *b = json_loads(expected, 0, NULL);
    assert_true(a && b);
    mq_status status = mq_json_same("c", a, b, whole, &error);
    assert_int_equal(status, words ? MQ_CHECK_FAILED : MQ_OK);
    if (words && !strstr(error.text, words)) fail_msg("got '%s', expected '%s'", error.text, words);
    json_decref(a);
    json_decref(b);
}

static void comparing(void **state) {
    (void)state;
    const char *layers = "{\"layers\": [{\"name\": \"a\", \"shift\": 3}, {\"name\": \"b\", \"shift\": 4}]}";
    differs(layers, layers, true, NULL);
    differs("{\"layers\": [{\"name\": \"a\", \"shift\": 3}, {\"name\": \"b\", \"shift\": 5}]}", layers, false,
            "c: layers[1] 'b': shift: got 5, expected 4");
    differs("{\"layers\": []}", layers, false, "c: layers: got []");
    differs("{}", layers, false, "c: layers: got nothing");
    differs("{\"more\": 1, \"x\": 2}", "{\"x\": 2}", false, NULL);
    differs("{\"more\": 1, \"x\": 2}", "{\"x\": 2}", true, "c: more: got 1, expected nothing");
    differs("{\"x\": \"2\"}", "{\"x\": 2}", false, "c: x: got \"2\", expected 2");
}

/* Another rule of the same codes has the same digest, another code another. */
static void digests(void **state) {
    (void)state;
    mq_error error = {0};
    mq_inet *net = small_net_random(0);
    json_t *a, *b;
    int at = mq_inet_find(net, "conv1.requant");
    mq_inet_requant *r = &net->nodes[at].requant;
    int64_t *bias = (int64_t *)r->bias, *inc = (int64_t *)r->inc;
    assert_int_equal(mq_certificate_describe(net, &a, &error), MQ_OK);
    for (int c = 0; c < net->nodes[at].edge.c; c++) bias[c] *= 2, inc[c] *= 2;
    r->shift++;
    assert_int_equal(mq_certificate_describe(net, &b, &error), MQ_OK);
    json_t *x = json_array_get(json_object_get(a, "layers"), 1);
    json_t *y = json_array_get(json_object_get(b, "layers"), 1);
    const char *key = "steps_sha256";
    assert_string_equal(json_string_value(json_object_get(x, key)),
                        json_string_value(json_object_get(y, key)));
    json_decref(b);
    /* One channel's steps come one accumulator earlier; its codes are the same ones. */
    const mq_inet_edge *acc = &net->nodes[net->nodes[at].input[0]].edge;
    int moved = 0;
    for (int c = 0; c < net->nodes[at].edge.c; c++) {
        int64_t low = acc->channel_low[c], high = acc->channel_high[c], place;
        int64_t first = mq_rule_code(r, c, low), last = mq_rule_code(r, c, high);
        if (!mq_rule_next_step(r, c, low, high, &place)) continue;
        bias[c] += inc[c];
        if (mq_rule_code(r, c, low) == first && mq_rule_code(r, c, high) == last) {
            assert_int_equal(mq_certificate_describe(net, &b, &error), MQ_OK);
            y = json_array_get(json_object_get(b, "layers"), 1);
            assert_string_not_equal(json_string_value(json_object_get(x, key)),
                                    json_string_value(json_object_get(y, key)));
            json_decref(b);
            moved++;
        }
        bias[c] -= inc[c];
    }
    assert_true(moved > 0);
    bias[1] += (int64_t)1 << r->shift;
    assert_int_equal(mq_certificate_describe(net, &b, &error), MQ_OK);
    y = json_array_get(json_object_get(b, "layers"), 1);
    assert_string_not_equal(json_string_value(json_object_get(x, key)),
                            json_string_value(json_object_get(y, key)));
    json_decref(a);
    json_decref(b);
    mq_inet_free(net);
}

static void put_manifest(void **state, const char *text, const char *words) {
    mq_error error = {0};
    json_t *manifest;
    assert_int_equal(mq_file_write(temp_dir_path(state, "manifest.json"), text, strlen(text), &error), MQ_OK);
    assert_int_equal(mq_manifest_load(((temp_dir *)*state)->path, &manifest, &error), MQ_BAD_INPUT);
    assert_null(manifest);
    if (!strstr(error.text, words)) fail_msg("got '%s', expected '%s'", error.text, words);
}

#define HEAD "{\"format\": \"mixq-manifest\", \"version\": 1, \"mixq\": \"x\", \"files\": "

static void manifests(void **state) {
    static const char *const names[] = {"a.txt", "sub/b.txt"};
    const char *dir = ((temp_dir *)*state)->path;
    mq_error error = {0};
    json_t *manifest;
    size_t files, wrong;
    assert_int_equal(mq_make_dirs(temp_dir_path(state, "sub"), &error), MQ_OK);
    assert_int_equal(mq_file_write(temp_dir_path(state, "a.txt"), "one", 3, &error), MQ_OK);
    assert_int_equal(mq_file_write(temp_dir_path(state, "sub/b.txt"), "two", 3, &error), MQ_OK);
    assert_int_equal(mq_manifest_write(dir, names, 2, &error), MQ_OK);
    assert_int_equal(mq_manifest_load(dir, &manifest, &error), MQ_OK);
    assert_true(mq_manifest_has(manifest, "sub/b.txt"));
    assert_false(mq_manifest_has(manifest, "b.txt"));
    assert_int_equal(mq_manifest_check(dir, manifest, &files, &wrong, &error), MQ_OK);
    assert_int_equal(files, 2);
    assert_int_equal(wrong, 0);
    assert_int_equal(mq_file_write(temp_dir_path(state, "sub/b.txt"), "twp", 3, &error), MQ_OK);
    assert_int_equal(mq_manifest_check(dir, manifest, &files, &wrong, &error), MQ_CHECK_FAILED);
    assert_int_equal(wrong, 1);
    assert_non_null(strstr(error.text, "sub/b.txt: sha256"));
    assert_int_equal(remove(temp_dir_path(state, "a.txt")), 0);
    assert_int_equal(mq_manifest_check(dir, manifest, &files, &wrong, &error), MQ_CHECK_FAILED);
    assert_int_equal(wrong, 2);
    assert_non_null(strstr(error.text, "a.txt"));
    json_decref(manifest);
    assert_int_equal(mq_manifest_write(dir, names, 2, &error), MQ_BAD_INPUT);

    put_manifest(state, HEAD "[{\"name\": \"/etc/passwd\", \"sha256\": \"\"}]}", "inside the folder");
    put_manifest(state, HEAD "[{\"name\": \"a/../../b\", \"sha256\": \"\"}]}", "inside the folder");
    put_manifest(state, HEAD "[{\"name\": \"\", \"sha256\": \"\"}]}", "inside the folder");
    put_manifest(state, HEAD "[{\"name\": \"a\", \"sha256\": \"\"}, {\"name\": \"a\", \"sha256\": \"\"}]}",
                 "twice");
    put_manifest(state, HEAD "[{\"name\": \"a\"}]}", "sha256");
    put_manifest(state, HEAD "[3]}", "files[0]");
    put_manifest(state, HEAD "{}}", "files");
    put_manifest(state, "{\"format\": \"other\", \"version\": 1}", "format");
    put_manifest(state, "[]", "object");
    put_manifest(state, "{", "manifest.json");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(comparing),
        cmocka_unit_test(digests),
        cmocka_unit_test_setup_teardown(manifests, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
