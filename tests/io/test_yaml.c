/* test_yaml.c - YAML: the tree and its places, what is refused and where, typed values, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/temp_dir.h"
#include "io/yaml.h"

static mq_yaml *parsed(const char *text) {
    mq_yaml *yaml;
    mq_error error = {0};
    if (mq_yaml_parse("f.yaml", text, strlen(text), &yaml, &error) != MQ_OK) fail_msg("%s", error.text);
    return yaml;
}

static void builds_the_tree(void **state) {
    (void)state;
    mq_yaml *yaml = parsed("# a network\n"
                           "name: tiny\n"
                           "layers:\n"
                           "  - {op: conv, kernel: 3}\n"
                           "  - op: pool\n"
                           "    note: 'a # b'\n"
                           "empty: {}\n"
                           "none:\n");
    const mq_yaml_node *root = mq_yaml_root(yaml), *layers = mq_yaml_get(root, "layers");
    assert_int_equal(root->kind, MQ_YAML_MAP);
    assert_int_equal(root->count, 4);
    assert_int_equal(root->line, 2);
    assert_null(root->key);
    assert_string_equal(root->child[0]->key, "name");
    assert_string_equal(root->child[0]->text, "tiny");
    assert_string_equal(root->child[0]->file, "f.yaml");
    assert_false(root->child[0]->quoted);
    assert_int_equal(layers->kind, MQ_YAML_LIST);
    assert_int_equal(layers->count, 2);
    assert_null(layers->child[0]->key);
    const mq_yaml_node *kernel = mq_yaml_get(layers->child[0], "kernel");
    assert_int_equal(kernel->line, 4);
    assert_int_equal(kernel->column, 24);
    assert_true(mq_yaml_get(layers->child[1], "note")->quoted);
    assert_int_equal(mq_yaml_get(root, "empty")->count, 0);
    assert_string_equal(mq_yaml_get(root, "none")->text, "");
    assert_null(mq_yaml_get(root, "absent"));
    assert_null(mq_yaml_get(layers, "absent"));
    assert_null(mq_yaml_get(NULL, "absent"));
    mq_yaml_free(yaml);
    mq_yaml_free(NULL);

    yaml = parsed("[[1, 2], [3]]");
    assert_int_equal(mq_yaml_root(yaml)->child[1]->count, 1);
    mq_yaml_free(yaml);
    yaml = parsed("\xef\xbb\xbf%YAML 1.1\n---\na: |\n  two\n  lines\n...\n");
    assert_string_equal(mq_yaml_get(mq_yaml_root(yaml), "a")->text, "two\nlines\n");
    assert_true(mq_yaml_get(mq_yaml_root(yaml), "a")->quoted);
    mq_yaml_free(yaml);
}

static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } CASES[] = {
        {"", "f.yaml:1:1: got an empty file"},
        {"# only a comment\n", "f.yaml:1:1: got an empty file"},
        {"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "f.yaml:5:3: duplicate key \"c\", first given on line 3"},
        {"{b: 1, a: 1, b: 2}", "f.yaml:1:14: duplicate key \"b\""},
        {"a: 1\nb: *x\n", "f.yaml:2:4: got an alias"},
        {"a: &x 1\n", "f.yaml:1:4: got an anchor"},
        {"a: &x [1]\n", "f.yaml:1:4: got an anchor"},
        {"a: &x {b: 1}\n", "f.yaml:1:4: got an anchor"},
        {"a: !!int 1\n", "f.yaml:1:4: got a tag"},
        {"a: ! 1\n", "f.yaml:1:4: got a tag"},
        {"a: !x [1]\n", "f.yaml:1:4: got a tag"},
        {"- !!map {a: 1}\n", "f.yaml:1:3: got a tag"},
        {"%TAG !e! tag:e,2000:\n---\na: 1\n", "got a %TAG directive"},
        {"a:\n  <<: {b: 1}\n", "f.yaml:2:3: got a merge key"},
        {"a: 1\n---\nb: 1\n", "f.yaml:2:1: got a second document"},
        {"? [1]\n: 2\n", "f.yaml:1:3: got a list or map as a key"},
        {"{[1]: 2}", "as a key"},
        {"'': 2\n", "f.yaml:1:1: got an empty key"},
        {"a: \"x\\0y\"\n", "f.yaml:1:4: a zero character"},
        {"a: [1, 2\n", "f.yaml:2:1: not valid YAML"},
        {"a: b: c\n", "f.yaml:1:5: not valid YAML"},
        {"a: 1\n\tb: 2\n", "f.yaml:2:1: not valid YAML"},
        {"a: 1\nb: \xff\n", "f.yaml:2:4: not valid YAML"},
        {"a: @x\n", "f.yaml:1:4: not valid YAML"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        mq_yaml *yaml = NULL;
        mq_error error = {0};
        assert_int_equal(mq_yaml_parse("f.yaml", CASES[i].text, strlen(CASES[i].text), &yaml, &error),
                         MQ_BAD_INPUT);
        assert_null(yaml);
        if (!strstr(error.text, CASES[i].message)) fail_msg("case %zu: %s", i, error.text);
    }
    /* A quoted << is an ordinary key. */
    mq_yaml_free(parsed("'<<': 1\n"));
}

static mq_status nested(int depth, mq_error *error) {
    char text[200];
    for (int i = 0; i < depth; i++) {
        text[i] = '[';
        text[depth + i] = ']';
    }
    mq_yaml *yaml;
    mq_status status = mq_yaml_parse("f.yaml", text, (size_t)(2 * depth), &yaml, error);
    mq_yaml_free(yaml);
    return status;
}

static void limits(void **state) {
    (void)state;
    mq_error error = {0};
    assert_int_equal(nested(32, &error), MQ_OK);
    assert_int_equal(nested(33, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "f.yaml:1:33: nested too deep"));
    mq_yaml *yaml;
    assert_int_equal(mq_yaml_parse("f.yaml", "", (1 << 20) + 1, &yaml, &error), MQ_BAD_INPUT); /* not read */
    assert_non_null(strstr(error.text, "too large"));

    /* As many keys, and as many list items, as fit into the size limit. */
    enum { KEYS = 100000 };
    char *text;
    size_t used = 0, room = 1 << 20;
    assert_int_equal(mq_alloc(room, 1, "test", &text, NULL), MQ_OK);
    for (int i = 0; i < KEYS; i++)
        used += (size_t)snprintf(text + used, room - used, "k%d: \n", (i * 7919) % KEYS);
    assert_int_equal(mq_yaml_parse("f.yaml", text, used, &yaml, &error), MQ_OK);
    assert_int_equal(mq_yaml_root(yaml)->count, KEYS);
    assert_string_equal(mq_yaml_root(yaml)->child[1]->key,
                        "k7919"); /* file order, though checked by sorting */
    mq_yaml_free(yaml);
    for (size_t i = 0; i < room; i++) text[i] = i == 0 ? '[' : i == room - 1 ? ']' : i % 2 ? '1' : ',';
    text[room - 2] = ' ';
    assert_int_equal(mq_yaml_parse("f.yaml", text, room, &yaml, &error), MQ_OK);
    assert_true(mq_yaml_root(yaml)->count > 500000);
    mq_yaml_free(yaml);
    mq_free(text);
}

/* Every cut and every damaged byte gives a tree or an error with a place. */
static void survives_damage(void **state) {
    (void)state;
    static const char TEXT[] = "name: x\nlist: [1, {a: 'b'}, \"c\\n\"]\nmap:\n  - k: |\n      t\n    l: 2\n";
    size_t size = sizeof TEXT - 1;
    char text[sizeof TEXT];
    for (size_t at = 0; at < size; at++) {
        static const char BAD[] = {0,   '\t', '\n', '"', '{', ']',        '&',       '*',
                                   '!', ':',  '-',  '|', '%', (char)0x80, (char)0xff};
        for (size_t b = 0; b <= sizeof BAD; b++) {
            memcpy(text, TEXT, size);
            if (b < sizeof BAD) text[at] = BAD[b];
            mq_yaml *yaml;
            mq_error error = {0};
            mq_status status = mq_yaml_parse("f.yaml", text, b < sizeof BAD ? size : at, &yaml, &error);
            assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
            assert_true((status == MQ_OK) == (yaml != NULL));
            if (status != MQ_OK) assert_memory_equal(error.text, "f.yaml:", 7);
            for (const char *c = error.text; *c; c++) assert_true((unsigned char)*c >= 0x20);
            mq_yaml_free(yaml);
        }
    }
}

static const mq_yaml_node *value_of(mq_yaml *yaml) {
    return mq_yaml_root(yaml)->child[0];
}

static void integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } CASES[] = {
        {"v: 7", true, 7},     {"v: -7", true, -7},
        {"v: +7", true, 7},    {"v: 0", true, 0},
        {"v: 100", true, 100}, {"v: 101", false, 0},
        {"v: -101", false, 0}, {"v: '7'", false, 0},
        {"v: 7.0", false, 0},  {"v: 1e1", false, 0},
        {"v: 0x10", false, 0}, {"v: 010", false, 0},
        {"v: -07", false, 0},  {"v: 1:30", false, 0},
        {"v: 1_0", false, 0},  {"v: 7 8", false, 0},
        {"v:", false, 0},      {"v: ~", false, 0},
        {"v: [7]", false, 0},  {"v: {a: 7}", false, 0},
        {"v: true", false, 0}, {"v: 99999999999999999999", false, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        mq_yaml *yaml = parsed(CASES[i].text);
        int64_t value = 55;
        mq_error error = {0};
        mq_status status = mq_yaml_int(value_of(yaml), -100, 100, &value, &error);
        if ((status == MQ_OK) != CASES[i].good) fail_msg("%s: %s", CASES[i].text, error.text);
        assert_int_equal(value, CASES[i].good ? CASES[i].value : 55);
        if (status != MQ_OK) assert_memory_equal(error.text, "f.yaml:1:", 9);
        mq_yaml_free(yaml);
    }
}

static void numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
        double value;
    } CASES[] = {
        {"v: 0.25", true, 0.25}, {"v: 1e-3", true, 1e-3}, {"v: -3", true, -3},    {"v: .5", true, 0.5},
        {"v: 0", true, 0},       {"v: 11", false, 0},     {"v: .nan", false, 0},  {"v: nan", false, 0},
        {"v: .inf", false, 0},   {"v: inf", false, 0},    {"v: 0x1p0", false, 0}, {"v: 00.5", false, 0},
        {"v: '1'", false, 0},    {"v: 1,5", false, 0},    {"v: 1e999", false, 0}, {"v:", false, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        mq_yaml *yaml = parsed(CASES[i].text);
        double value = 55;
        mq_error error = {0};
        mq_status status = mq_yaml_double(value_of(yaml), -10, 10, &value, &error);
        if ((status == MQ_OK) != CASES[i].good) fail_msg("%s: %s", CASES[i].text, error.text);
        assert_true(value == (CASES[i].good ? CASES[i].value : 55));
        mq_yaml_free(yaml);
    }
}

static void words(void **state) {
    (void)state;
    static const char *const POOLS[] = {"max", "average", NULL};
    mq_yaml *yaml = parsed(
        "t: true\nf: false\ny: yes\nq: 'true'\ns: some text\ne: ''\nn: null\np: averag\nm: max\nl: [1]");
    const mq_yaml_node *root = mq_yaml_root(yaml);
    bool b = false;
    const char *s = NULL;
    int choice = -1;
    mq_error error = {0};
    assert_int_equal(mq_yaml_bool(mq_yaml_get(root, "t"), &b, &error), MQ_OK);
    assert_true(b);
    assert_int_equal(mq_yaml_bool(mq_yaml_get(root, "f"), &b, &error), MQ_OK);
    assert_false(b);
    assert_int_equal(mq_yaml_bool(mq_yaml_get(root, "y"), &b, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f.yaml:3:4: y: got yes, expected true or false");
    assert_int_equal(mq_yaml_bool(mq_yaml_get(root, "q"), &b, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_yaml_text(mq_yaml_get(root, "s"), &s, &error), MQ_OK);
    assert_string_equal(s, "some text");
    assert_int_equal(mq_yaml_text(mq_yaml_get(root, "q"), &s, &error), MQ_OK);
    assert_int_equal(mq_yaml_text(mq_yaml_get(root, "e"), &s, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_yaml_text(mq_yaml_get(root, "n"), &s, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f.yaml:7:4: n: got nothing, expected a text");
    assert_int_equal(mq_yaml_text(mq_yaml_get(root, "l"), &s, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_yaml_choice(mq_yaml_get(root, "m"), POOLS, &choice, &error), MQ_OK);
    assert_int_equal(choice, 0);
    assert_int_equal(mq_yaml_choice(mq_yaml_get(root, "p"), POOLS, &choice, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text,
                        "f.yaml:8:4: p: got averag, expected one of max, average; did you mean \"average\"?");
    assert_int_equal(choice, 0);
    mq_yaml_free(yaml);
}

static void members(void **state) {
    (void)state;
    static const char *const ALLOWED[] = {"kernel", "scale", "bias", "name", NULL};
    mq_yaml *yaml = parsed("conv:\n  kernel: 3\n  scale: 0.5\n  bias: true\n  name: c\n");
    const mq_yaml_node *conv = value_of(yaml);
    int64_t i = 1;
    double d = 1;
    bool b = false;
    const char *s = "kept";
    mq_error error = {0};
    assert_int_equal(mq_yaml_keys(conv, ALLOWED, &error), MQ_OK);
    assert_int_equal(mq_yaml_opt_int(conv, "absent", 0, 9, &i, &error), MQ_OK);
    assert_int_equal(i, 1);
    assert_int_equal(mq_yaml_opt_double(conv, "absent", 0, 9, &d, &error), MQ_OK);
    assert_int_equal(mq_yaml_opt_bool(conv, "absent", &b, &error), MQ_OK);
    assert_int_equal(mq_yaml_opt_text(conv, "absent", &s, &error), MQ_OK);
    assert_string_equal(s, "kept");
    assert_int_equal(mq_yaml_opt_int(conv, "kernel", 0, 9, &i, &error), MQ_OK);
    assert_int_equal(i, 3);
    assert_int_equal(mq_yaml_req_int(conv, "kernel", 0, 9, &i, &error), MQ_OK);
    assert_int_equal(mq_yaml_opt_double(conv, "scale", 0, 9, &d, &error), MQ_OK);
    assert_true(d == 0.5);
    assert_int_equal(mq_yaml_opt_bool(conv, "bias", &b, &error), MQ_OK);
    assert_true(b);
    assert_int_equal(mq_yaml_req_text(conv, "name", &s, &error), MQ_OK);
    assert_string_equal(s, "c");
    assert_int_equal(mq_yaml_opt_int(conv, "name", 0, 9, &i, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f.yaml:5:9: name: got c, expected an integer in 0..9");
    assert_int_equal(mq_yaml_req_int(conv, "stride", 0, 9, &i, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f.yaml:2:3: conv: missing key \"stride\"");
    assert_int_equal(mq_yaml_req_text(conv, "stride", &s, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_yaml_opt_int(conv->child[0], "x", 0, 9, &i, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f.yaml:2:11: kernel: got 3, expected a map");
    assert_int_equal(mq_yaml_keys(conv->child[0], ALLOWED, &error), MQ_BAD_INPUT);
    mq_yaml_free(yaml);

    yaml = parsed("kernel: 3\n\nkernal:\n  - 1\n");
    assert_int_equal(mq_yaml_keys(mq_yaml_root(yaml), ALLOWED, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text,
                        "f.yaml:3:1: unknown key \"kernal\"; did you mean \"kernel\"?"); /* the key's place */
    mq_yaml_free(yaml);
}

static void loads(void **state) {
    const char *path = temp_dir_path(state, "net.yaml");
    mq_yaml *yaml;
    mq_error error = {0};
    assert_int_equal(mq_file_write(path, "a: 1\n", 5, NULL), MQ_OK);
    assert_int_equal(mq_yaml_load(path, &yaml, &error), MQ_OK);
    assert_string_equal(mq_yaml_root(yaml)->file, path);
    assert_int_equal(mq_yaml_fail(value_of(yaml), &error, "bad %d", 3), MQ_BAD_INPUT);
    assert_true(strstr(error.text, "net.yaml:1:4: bad 3"));
    mq_yaml_free(yaml);
    assert_int_equal(mq_yaml_load(temp_dir_path(state, "absent.yaml"), &yaml, &error), MQ_BAD_INPUT);
    assert_null(yaml);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_the_tree),
        cmocka_unit_test(refuses),
        cmocka_unit_test(limits),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(integers),
        cmocka_unit_test(numbers),
        cmocka_unit_test(words),
        cmocka_unit_test(members),
        cmocka_unit_test_setup_teardown(loads, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
