/* test_cli_stop.c - runs that do not get to their end: interrupted, out of room, diverged. What was saved
 * stays, and a resumed run ends with the same bytes as an undisturbed one. */
#include "helper_cli.h"

#include <time.h>

static void wait_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Lines of metrics.jsonl so far: finished epochs. */
static int epochs_done(void **state, const char *run) {
    char name[64], text[CLI_RUN_TEXT];
    int lines = 0;
    snprintf(name, sizeof name, "%s/metrics.jsonl", run);
    if (!cli_exists(state, name)) return 0;
    cli_read(state, name, text);
    for (const char *c = text; *c; c++) lines += *c == '\n';
    return lines;
}

static int temporary_files(void **state, const char *run) {
    int found = 0;
    DIR *folder = opendir(temp_dir_path(state, run));
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        found += strstr(entry->d_name, ".tmp") != NULL;
    if (folder) closedir(folder);
    return found;
}

/* Starts a run and sends it a signal a moment after it has `epochs` finished epochs. */
static cli_result *signal_in_epoch(void **state, const char *line, const char *run, int epochs, int number) {
    char settings[64];
    snprintf(settings, sizeof settings, "%s/run.json", run);
    pid_t pid = cli_start(state, line, 0);
    for (int i = 0; i < 60000 && (!cli_exists(state, settings) || epochs_done(state, run) < epochs); i++)
        wait_ms(1);
    wait_ms(epochs ? 100 : 20);
    assert_int_equal(kill(pid, number), 0);
    return cli_finish(state, pid);
}

/* mnist:many: an epoch takes most of a second, in 2,000 steps. */
#define MANY_RUN                                                                                             \
    "--model tiny.yaml --data mnist:many --threads 1 --batch 12 --lr 0.01 --epochs 2 --seed 7 --quiet"

static int many_make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "many", 24000, 50, 8);
    return 0;
}

/* Twice interrupted in the middle of an epoch, then out of room, then resumed to the end. */
static void interrupt(void **state, const char *kind) {
    char undisturbed[256], disturbed[256], resumed[300];
    snprintf(undisturbed, sizeof undisturbed, "%s " MANY_RUN " --out whole", kind);
    snprintf(disturbed, sizeof disturbed, "%s " MANY_RUN " --out parts", kind);
    snprintf(resumed, sizeof resumed, "%s --resume", disturbed);
    cli_works(state, "%s", undisturbed);

    cli_result *r = signal_in_epoch(state, disturbed, "parts", 0, SIGINT);
    assert_int_equal(r->code, 130);
    assert_string_equal(r->out, "");
    cli_contains(disturbed, r->err, "interrupted at epoch 1, step |of 2000|--resume");
    assert_true(cli_exists(state, "parts/last.safetensors"));
    assert_false(cli_exists(state, "parts/best.safetensors"));
    cli_fails(state, 3, "parts|best.safetensors", "test parts --data mnist:many");
    cli_works(state, "test parts/last.safetensors --data mnist:many --threads 1");

    r = signal_in_epoch(state, resumed, "parts", 1, SIGTERM);
    assert_int_equal(r->code, 130);
    /* in the middle of the second epoch, or while the first one is being saved */
    cli_contains(resumed, r->err, "interrupted a|--resume");
    assert_true(cli_exists(state, "parts/best.safetensors"));

    /* less room than a checkpoint takes: the old ones survive */
    cli_copy(state, "parts/last.safetensors", "last");
    cli_copy(state, "parts/best.safetensors", "best");
    r = cli_finish(state, cli_start(state, resumed, 5000));
    assert_int_equal(r->code, 3);
    cli_contains(resumed, r->err, "cannot write|.safetensors|File too large");
    cli_same_file(state, "parts/last.safetensors", "last");
    cli_same_file(state, "parts/best.safetensors", "best");
    assert_int_equal(temporary_files(state, "parts"), 0);

    json_t *done = cli_json(state, "%s", resumed);
    assert_int_equal(cli_number(done, "epochs"), 2);
    json_decref(done);
    cli_same_file(state, "parts/last.safetensors", "whole/last.safetensors");
    cli_same_file(state, "parts/best.safetensors", "whole/best.safetensors");
    cli_same_file(state, "parts/bits.json", "whole/bits.json");
    assert_int_equal(epochs_done(state, "parts"), 2);
}

static void interrupted_training(void **state) {
    interrupt(state, "train --bitw 44 --bita 44");
}

static void interrupted_search(void **state) {
    interrupt(state, "search --cd 1e-3");
}

/* Killed without a chance to save: goes on after the last finished epoch, or from the start. */
static void killed_training(void **state) {
    const char *run = "train --float " MANY_RUN " --out ";
    char line[256];
    cli_works(state, "%swhole", run);
    snprintf(line, sizeof line, "%sparts", run);
    assert_int_equal(signal_in_epoch(state, line, "parts", 0, SIGKILL)->code, 1000 + SIGKILL);
    cli_fails(state, 2, "parts|not empty", "%s", line);
    snprintf(line, sizeof line, "%sparts --resume", run);
    assert_int_equal(signal_in_epoch(state, line, "parts", 1, SIGKILL)->code, 1000 + SIGKILL);
    cli_works(state, "%s", line);
    cli_same_file(state, "parts/last.safetensors", "whole/last.safetensors");
    cli_same_file(state, "parts/best.safetensors", "whole/best.safetensors");
    assert_int_equal(epochs_done(state, "parts"), 2);
}

static void full_from_the_start(void **state) {
    cli_result *r =
        cli_finish(state, cli_start(state, "train " TINY_RUN " --float --epochs 1 --out full", 3000));
    assert_int_equal(r->code, 3);
    cli_contains("train", r->err, "cannot write|full/|File too large");
    assert_int_equal(temporary_files(state, "full"), 0);
    r = cli_finish(state, cli_start(state, "simulate run --data mnist:data --output o.npy", 1000));
    assert_int_equal(r->code, 3);
    cli_contains("simulate", r->err, "cannot write|o.npy");
    assert_false(cli_exists(state, "o.npy"));
}

/* Replaces word number `which` of the position in last.safetensors: epoch, step, best, quality, loss, extra
 * loss, updates, then the scores: loss, quality, images (9), judged, parts; counted from the end when
 * negative. which = 0 with value NULL: cuts the text after two words.
 */
static void set_position(void **state, int which, const char *value) {
    uint8_t *data;
    size_t size;
    json_t *header = st_open(state, "run/last.safetensors", &data, &size);
    json_t *meta = json_object_get(header, "__metadata__");
    char text[512], changed[512] = "", *words[32];
    int count = 0;
    snprintf(text, sizeof text, "%s", json_string_value(json_object_get(meta, "train_state")));
    for (char *save, *word = strtok_r(text, " ", &save); word && count < 32;
         word = strtok_r(NULL, " ", &save))
        words[count++] = word;
    assert_true(count >= 7);
    if (value)
        words[which < 0 ? count + which : which] = (char *)(uintptr_t)value;
    else
        count = 2;
    for (int i = 0; i < count; i++) {
        strcat(changed, i ? " " : "");
        strcat(changed, words[i]);
    }
    json_object_set_new(meta, "train_state", json_string(changed));
    st_save(state, "run/last.safetensors", header, data, size);
}

#define RESUME "train " TINY_RUN " --bitw 44 --bita 44 --epochs 2 --lr 0.1 --resume --out run"

/* The message names epoch, step and a layer. */
static void expect_divergence(void **state, const char *where, const char *line) {
    cli_result *r = cli_finish(state, cli_start(state, line, 0));
    if (r->code != 1) fail_msg("mixq %s: exit %d:\n%s", line, r->code, r->err);
    assert_string_equal(r->out, "");
    cli_contains(line, r->err, where);
    cli_contains(line, r->err, "finite|--lr");
    if (!strstr(r->err, "conv") && !strstr(r->err, "bn") && !strstr(r->err, "linear"))
        fail_msg("mixq %s: no layer named: %s", line, r->err);
}

static void not_finite(void **state) {
    expect_divergence(state, "epoch 1, step 2", "train " TINY_RUN " --bitw 44 --bita 44 --lr 1e30 --out a");
    expect_divergence(state, "epoch 1, step 2", "train " TINY_RUN " --float --lr 1e30 --out b");
    expect_divergence(state, "epoch 1, step 2", "search " TINY_RUN " --lr 1e30 --out c");
    assert_false(cli_exists(state, "a/last.safetensors"));

    /* In the second epoch: what the first one saved stays. The momentum blows the weights up. */
    set_position(state, 0, "1");
    st_poke(state, "run/last.safetensors", "optimizer.conv1.weight.momentum", 5, 3e38f);
    st_poke(state, "run/last.safetensors", "conv1.weight", 5, -3.4e38f);
    cli_copy(state, "run/last.safetensors", "last");
    cli_copy(state, "run/best.safetensors", "best");
    expect_divergence(state, "epoch 2, step ", RESUME);
    cli_same_file(state, "run/last.safetensors", "last");
    cli_same_file(state, "run/best.safetensors", "best");
    cli_works(state, "test run --data mnist:data --threads 1");
}

/* A damaged position in last.safetensors is an error of the file, wherever it is noticed. */
static void damaged_position(void **state) {
    static const struct {
        int which;
        const char *value;
    } cases[] = {{0, NULL},  {0, "-1"},  {0, "3"},   {0, "x"},  {1, "5"},   {9, "20"},
                 {10, "20"}, {2, "nan"}, {5, "inf"}, {-1, "x"}, {-2, "inf"}};
    cli_copy(state, "run/last.safetensors", "last");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_position(state, cases[i].which, cases[i].value);
        cli_fails(state, 3, "cannot resume|run", RESUME);
        cli_copy(state, "last", "run/last.safetensors");
    }
    set_position(state, 0, "1"); /* a step that the data set does not have */
    set_position(state, 1, "11");
    set_position(state, 9, "200");
    cli_fails(state, 3, "cannot resume|step 11|10 steps", RESUME);
    cli_copy(state, "run/best.safetensors", "run/last.safetensors");
    cli_fails(state, 3, "cannot resume|no optimiser state", RESUME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(interrupted_training, many_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(interrupted_search, many_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(killed_training, many_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(full_from_the_start, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(not_finite, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(damaged_position, tiny_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
