/* cli_run.h - runs the real program in a test's temporary folder and looks at what it says.
 *
 * Command lines are formatted like printf and split at spaces. The child's working folder is the temporary
 * one, so paths are short; signals it could inherit as ignored are set back. */
#ifndef MIXQ_TESTS_CLI_RUN_H
#define MIXQ_TESTS_CLI_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/temp_dir.h"

enum { CLI_RUN_TEXT = 1 << 16, CLI_RUN_WORDS = 64, CLI_RUN_LINE = 2048 };

typedef struct cli_result {
    int code; /* exit code, or 1000 + the signal that ended it */
    char out[CLI_RUN_TEXT], err[CLI_RUN_TEXT];
} cli_result;

/* Starts `mixq line`; most_bytes: RLIMIT_FSIZE, 0 = none. */
static inline pid_t cli_start(void **state, const char *line, size_t most_bytes) {
    static char copy[CLI_RUN_LINE];
    char *words[CLI_RUN_WORDS] = {(char *)(uintptr_t)MIXQ_BINARY};
    int count = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *save, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        assert_true(count < CLI_RUN_WORDS - 1);
        words[count++] = word;
    }
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) return pid;
    const char *dir = ((temp_dir *)*state)->path;
    struct rlimit limit = {most_bytes, most_bytes};
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (chdir(dir) != 0 || !freopen("stdout.txt", "w", stdout) || !freopen("stderr.txt", "w", stderr) ||
        (most_bytes && setrlimit(RLIMIT_FSIZE, &limit) != 0))
        _exit(99);
    execv(words[0], words);
    _exit(98);
}

static inline void cli_read(void **state, const char *name, char text[CLI_RUN_TEXT]) {
    FILE *file = fopen(temp_dir_path(state, name), "r");
    assert_non_null(file);
    size_t n = fread(text, 1, CLI_RUN_TEXT - 1, file);
    text[n] = 0;
    fclose(file);
}

static inline cli_result *cli_finish(void **state, pid_t pid) {
    static cli_result result;
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    cli_read(state, "stdout.txt", result.out);
    cli_read(state, "stderr.txt", result.err);
    return &result;
}

/* Every '|'-separated part of words must be in text. */
static inline void cli_contains(const char *line, const char *text, const char *words) {
    char copy[512];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *save, *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save))
        if (!strstr(text, part)) fail_msg("mixq %s: expected '%s' in:\n%s", line, part, text);
}

#define CLI_FORMAT(line)                                                                                     \
    char line[CLI_RUN_LINE];                                                                                 \
    va_list list_;                                                                                           \
    va_start(list_, format);                                                                                 \
    vsnprintf(line, sizeof line, format, list_);                                                             \
    va_end(list_)

/* Must exit with code, print nothing, and say one line on stderr that holds all the words. */
__attribute__((format(printf, 4, 5))) static inline void cli_fails(void **state, int code, const char *words,
                                                                   const char *format, ...) {
    CLI_FORMAT(line);
    cli_result *r = cli_finish(state, cli_start(state, line, 0));
    if (r->code != code)
        fail_msg("mixq %s: exit %d, expected %d:\n%s%s", line, r->code, code, r->out, r->err);
    if (*r->out) fail_msg("mixq %s: failed, but printed:\n%s", line, r->out);
    const char *said = strstr(r->err, "mixq: ");
    if (!said || strchr(said, '\n') != said + strlen(said) - 1)
        fail_msg("mixq %s: one line of error expected:\n%s", line, r->err);
    cli_contains(line, said, words);
}

/* Must succeed; the result lives until the next run. */
__attribute__((format(printf, 2, 3))) static inline cli_result *cli_works(void **state, const char *format,
                                                                          ...) {
    CLI_FORMAT(line);
    cli_result *r = cli_finish(state, cli_start(state, line, 0));
    if (r->code != 0) fail_msg("mixq %s: exit %d:\n%s%s", line, r->code, r->out, r->err);
    return r;
}

/* Must succeed with --json added and print one JSON object of schema 1 and nothing else; release it. */
__attribute__((format(printf, 2, 3))) static inline json_t *cli_json(void **state, const char *format, ...) {
    CLI_FORMAT(line);
    cli_result *r = cli_works(state, "%s --json", line);
    json_error_t where;
    json_t *root = json_loads(r->out, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(root)) fail_msg("mixq %s: no JSON object: %s:\n%s", line, where.text, r->out);
    assert_int_equal(json_integer_value(json_object_get(root, "schema")), 1);
    return root;
}

/* Every space-separated key is in the object. */
static inline void cli_has_keys(const json_t *object, const char *keys) {
    char copy[512];
    snprintf(copy, sizeof copy, "%s", keys);
    for (char *save, *key = strtok_r(copy, " ", &save); key; key = strtok_r(NULL, " ", &save))
        if (!json_object_get(object, key)) fail_msg("no key '%s' in the JSON object", key);
}

static inline const char *cli_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    if (!text) fail_msg("no text '%s' in the JSON object", key);
    return text;
}

static inline double cli_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) fail_msg("no number '%s' in the JSON object", key);
    return json_number_value(value);
}

/* ---- files ---- */

static inline void cli_put(void **state, const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(temp_dir_path(state, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void cli_put_text(void **state, const char *name, const char *text) {
    cli_put(state, name, text, strlen(text));
}

/* The whole file in memory of its own, with a 0 behind it. */
static inline uint8_t *cli_get(void **state, const char *name, size_t *size) {
    FILE *file = fopen(temp_dir_path(state, name), "rb");
    if (!file) fail_msg("no file %s", name);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

static inline int cli_exists(void **state, const char *name) {
    return access(temp_dir_path(state, name), F_OK) == 0;
}

static inline void cli_copy(void **state, const char *from, const char *to) {
    size_t size;
    uint8_t *bytes = cli_get(state, from, &size);
    cli_put(state, to, bytes, size);
    free(bytes);
}

static inline void cli_same_file(void **state, const char *a, const char *b) {
    size_t n, m;
    uint8_t *x = cli_get(state, a, &n), *y = cli_get(state, b, &m);
    if (n != m || memcmp(x, y, n) != 0) fail_msg("%s and %s differ", a, b);
    free(x);
    free(y);
}

static inline void cli_big_endian(uint8_t *at, uint32_t v) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Images of an easy task as FOLDER/<prefix>-images-idx3-ubyte and -labels-idx1-ubyte: sample i has label i %
 * 10 and is bright in that tenth of its pixels. */
static inline void cli_put_idx(void **state, const char *folder, const char *prefix, int count, int side) {
    char name[256];
    size_t pixels = (size_t)(side * side), n = (size_t)count;
    uint8_t *images = malloc(16 + n * pixels), *labels = malloc(8 + n);
    cli_big_endian(images, 0x803);
    cli_big_endian(images + 4, (uint32_t)count);
    cli_big_endian(images + 8, (uint32_t)side);
    cli_big_endian(images + 12, (uint32_t)side);
    cli_big_endian(labels, 0x801);
    cli_big_endian(labels + 4, (uint32_t)count);
    for (size_t i = 0; i < n; i++) {
        labels[8 + i] = (uint8_t)(i % 10);
        for (size_t p = 0; p < pixels; p++) {
            uint32_t noise = (uint32_t)(i * pixels + p) * 2654435761u >> 27;
            images[16 + i * pixels + p] = (uint8_t)((p * 10 / pixels == i % 10 ? 220 : 0) + noise);
        }
    }
    snprintf(name, sizeof name, "%s/%s-images-idx3-ubyte", folder, prefix);
    cli_put(state, name, images, 16 + n * pixels);
    snprintf(name, sizeof name, "%s/%s-labels-idx1-ubyte", folder, prefix);
    cli_put(state, name, labels, 8 + n);
    free(images);
    free(labels);
}

/* A data set mnist:FOLDER of two splits. */
static inline void cli_put_data(void **state, const char *folder, int train, int test, int side) {
    assert_int_equal(mkdir(temp_dir_path(state, folder), 0777), 0);
    cli_put_idx(state, folder, "train", train, side);
    cli_put_idx(state, folder, "t10k", test, side);
}

/* A network that learns that task, and is nothing special to the published headers. */
#define CLI_TINY                                                                                             \
    "name: tiny\n"                                                                                           \
    "classes: 10\n"                                                                                          \
    "input: {channels: 1, height: 8, width: 8}\n"                                                            \
    "layers:\n"                                                                                              \
    "  - conv: {out: 8, kernel: 3}\n"                                                                        \
    "  - batch_norm\n"                                                                                       \
    "  - max_pool: {kernel: 2}\n"                                                                            \
    "  - conv: {out: 8, kernel: 3}\n"                                                                        \
    "  - batch_norm\n"                                                                                       \
    "  - linear: {out: 10, weight_bits: 8, activation_bits: 8}\n"

#endif
