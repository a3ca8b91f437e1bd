/* test_cli_names.c - names out of files: layers named by words of Verilog, C and C++ or by look-alikes still
 * give sources that compile; names that are paths are refused, and nothing is written outside --out. */
#include "cli_run.h"

#include "base/process.h"
#include "inet/small_net.h"
#include "net/net.h"
#include "sim/dump_index.h"

#define OUTSIDE "../mixq-escaped" /* of the test's folder: a name that nobody else gives */
#define LONGEST "abcdefghijklmnopqrstuvwxyz0123456789_abcdefghijklmnopqrstuvwxyz"

static void add_layer(small_net *s, const char *name, const char *requant) {
    int8_t *weight = small_weights(s, (size_t)(2 * s->net->nodes[s->last].edge.c), 3, false);
    mq_inet_node node = {.kind = MQ_INET_CONV};
    snprintf(node.name, sizeof node.name, "%s", name);
    node.conv = (mq_inet_conv){.out_channels = 2,
                               .kernel_h = 1,
                               .kernel_w = 1,
                               .stride_h = 1,
                               .stride_w = 1,
                               .groups = 1,
                               .weight_bits = 3,
                               .weight = weight};
    small_add(s, &node);
    free(weight);
    small_requant(s, requant, name, 3, false, false);
}

/* A chain of small convolutions of these names, saved as folder `dir`. */
static void save(void **state, const char *dir, const char *model, const char *const *names) {
    small_net s = {.rng = mq_rng_stream(1, "names", 0)};
    mq_error error = {0};
    assert_int_equal(mq_inet_create(&s.net, &error), MQ_OK);
    snprintf(s.net->model, sizeof s.net->model, "%s", model);
    s.net->classes = 2;
    mq_inet_node image = {.kind = MQ_INET_IMAGE, .name = "in", .dump = "in"};
    image.image = (mq_inet_image){.h = 4, .w = 8, .c = 1, .bits = 8};
    small_add(&s, &image);
    for (int i = 0; names[i]; i++) {
        char requant[16];
        snprintf(requant, sizeof requant, "r%d", i);
        add_layer(&s, names[i], requant);
    }
    small_linear(&s, "endmodule", 2);
    mq_inet_node output = {.kind = MQ_INET_OUTPUT, .name = "output", .output = {.divisor = 1}};
    small_add(&s, &output);
    assert_int_equal(mq_inet_finish(s.net, &error), MQ_OK);
    if (mq_inet_save(s.net, temp_dir_path(state, dir), &error) != MQ_OK) fail_msg("%s", error.text);
    mq_inet_free(s.net);
}

static void shell(void **state, const char *line) {
    char command[1024], text[CLI_RUN_TEXT];
    snprintf(command, sizeof command, "(cd %s && %s) > %s/shell.txt 2>&1", ((temp_dir *)*state)->path, line,
             ((temp_dir *)*state)->path);
    if (system(command) == 0) return;
    cli_read(state, "shell.txt", text);
    fail_msg("%s\n%s", line, text);
}

static const char *const WORDS[] = {"module",    "wire",  "int",   "a-b",     "a.b",       "a_b", "class",
                                    "_",         "8bit",  LONGEST, "main",    "a_b_8",     "run", "template",
                                    "module_pe", "out",   "image", "mixq_ap", "namespace", "-",   "top",
                                    "NULL",      "shape", "axis",  "s_main",  "f_in_0",    NULL};
static const char *const MODELS[] = {"int", "8-bit.net", "string", "begin", NULL};

static void sources_compile(void **state) {
    for (int i = 0; MODELS[i]; i++) {
        const char *const short_list[] = {"module", "a-b", "a.b", NULL};
        save(state, "net", MODELS[i], i ? short_list : WORDS);
        cli_works(state, "build net --target c --out c --force");
        shell(state, "for f in c/*.c; do cc -std=c11 -Wall -Wextra -Werror -fsyntax-only $f || exit 1; done");
        cli_works(state, "build net --device zcu104 --target rtl --out b --force");
        shell(state, "sh -c '! ls b/rtl b/mem b/sim b/synth | grep -n \"[^A-Za-z0-9_./:-]\"'");
        if (mq_program_found("iverilog"))
            shell(state,
                  "cd b && iverilog -g2012 -t null -Isim -s bench sim/bench.v rtl/*.v rtl/sim/*.v host/*.v");
        shell(state, "cd b/host && cc -std=c11 -I. -fsyntax-only mixq_host.c mixq_decode.c example.c");
        if (i) continue;
        cli_works(state, "build net --device zcu104 --target hls --out h --force");
        if (mq_program_found("g++"))
            shell(state, "cd h/hls && for f in *.cpp; do g++ -std=c++14 -fsyntax-only -I. -Istandin "
                         "-I../host $f || exit 1; done");
    }
}

/* net.json with another name in it must be refused, with a message, by whoever reads it. */
static void paths_are_refused(void **state) {
    static const char *const bad[] = {OUTSIDE,
                                      "/tmp/x",
                                      "a/b",
                                      "..",
                                      ".x",
                                      "",
                                      "a b",
                                      "a\\\\b",
                                      "a\\u0000b",
                                      "a\\nb",
                                      "\\u00e4",
                                      "$(x)",
                                      LONGEST "_too_long",
                                      "a\\\"b"};
    static const char *const keys[] = {"\"name\": \"pick\"", "\"dump\": \"pick\"", "\"model\": \"small\""};
    static const char *const names[] = {"pick", NULL};
    save(state, "good", "small", names);
    size_t size;
    char *text = (char *)cli_get(state, "good/net.json", &size);
    cli_works(state, "build good --target c --out c --force");
    cli_copy(state, "good/weights.safetensors", "weights.safetensors");
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const char *at = strstr(text, keys[k]);
        if (!at) fail_msg("no %s", keys[k]);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            if (k == 1 && !bad[i][0]) continue; /* not dumped */
            const char *colon = strstr(at, ": \"") + 3;
            char *changed = malloc(size + 256);
            int n = sprintf(changed, "%.*s%s", (int)(colon - text), text, bad[i]);
            n += sprintf(changed + n, "%s", strchr(colon, '"'));
            cli_put(state, "net.json", changed, (size_t)n);
            free(changed);
            cli_fails(state, 3, "net.json", "build net.json --target c --out c --force");
            cli_fails(state, 3, "net.json", "simulate net.json --input weights.safetensors --dump d");
        }
    }
    free(text);
    assert_false(cli_exists(state, "x"));
    assert_false(cli_exists(state, "d"));
    assert_false(cli_exists(state, OUTSIDE));
}

static void descriptions(void **state) {
    static const char *const bad[] = {"../x", "/tmp/x", "a/b", ".x", "\"a\\0b\"", "a b", "\"\"", LONGEST};
    mq_error error;
    mq_net *net;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "name: n\nclasses: 2\ninput: {channels: 1, height: 4, width: 4}\nlayers:\n"
                 "  - conv: {out: 2, kernel: 1, name: %s}\n  - linear: {out: 2}\n",
                 bad[i]);
        error = (mq_error){0};
        assert_int_equal(mq_net_parse("net.yaml", text, strlen(text), &net, &error), MQ_BAD_INPUT);
        cli_contains(text, error.text, "net.yaml:5");
    }
    (void)state;
}

/* dump.json is read by diff, which opens a file per name. */
static void dumps(void **state) {
    static const char *const bad[] = {"../x", "/etc/passwd", "a/b", "..", "", "a\\u0000b"};
    mq_dump_layers *layers;
    mq_error error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "{\"format\": \"mixq-dump\", \"version\": 1, \"model\": \"m\", \"net_sha256\": \"%064d\", "
                 "\"images\": 1, \"layers\": [\"%s\"]}",
                 0, bad[i]);
        cli_put_text(state, "dump.json", text);
        error = (mq_error){0};
        assert_int_equal(mq_dump_layers_load(((temp_dir *)*state)->path, &layers, &error), MQ_BAD_INPUT);
        assert_true(error.text[0] != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sources_compile), cmocka_unit_test(paths_are_refused),
                                       cmocka_unit_test(descriptions), cmocka_unit_test(dumps)};
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
