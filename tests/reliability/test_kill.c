/* test_kill.c - SIGKILL at every change of the file system and at random moments. MIXQ_DEEP: all of them. */
#include "helper_faults.h"

#include <time.h>

#include "net/checkpoint.h"

static int trials, finished; /* of all; of the random ones, those where the run was faster */

/* ---- commands that write ---- */

/* The result, or what stood there before, or nothing; something else must be refused. */
static void check_killed(void **state, const flow *f, const char *fault, char old[][MQ_DIGEST_TEXT],
                         char fresh[][MQ_DIGEST_TEXT]) {
    char now[MQ_DIGEST_TEXT];
    for (int i = 0; f->out[i]; i++) {
        tree_digest(state, f->out[i], now);
        if (strcmp(now, old[i]) == 0 || strcmp(now, fresh[i]) == 0 || strcmp(now, "-") == 0) continue;
        if (!f->reader)
            fail_msg("%s, %s: %s is neither the old nor the new result", f->name, fault, f->out[i]);
        cli_result *r = cli_finish(state, cli_start(state, f->reader, 0));
        if (r->code == 0 || r->code > 4)
            fail_msg("%s, %s: mixq %s takes an unfinished %s (exit %d)", f->name, fault, f->reader, f->out[i],
                     r->code);
    }
}

static void kill_flow(void **state, const flow *f, bool over_old, int some) {
    char old[3][MQ_DIGEST_TEXT], fresh[3][MQ_DIGEST_TEXT], now[MQ_DIGEST_TEXT], fault[32], stored[64];
    fault_report report;
    for (int i = 0; f->out[i]; i++) tree_copy(state, NULL, f->out[i]);
    if (over_old) assert_int_equal(fault_run(state, "none:0", f->old, NULL)->code, 0);
    for (int i = 0; f->out[i]; i++) {
        snprintf(stored, sizeof stored, "old-%s", f->out[i]);
        tree_digest(state, f->out[i], old[i]);
        tree_copy(state, f->out[i], stored);
    }
    assert_int_equal(fault_run(state, "none:0", f->line, &report)->code, 0);
    for (int i = 0; f->out[i]; i++) tree_digest(state, f->out[i], fresh[i]);
    assert_true(report.changes > 2);
    long step = fault_deep() ? 1 + report.changes / 300 : 1 + report.changes / some;
    for (long n = 1; n <= report.changes; n += step) {
        for (int i = 0; f->out[i]; i++) {
            snprintf(stored, sizeof stored, "old-%s", f->out[i]);
            tree_copy(state, stored, f->out[i]);
        }
        snprintf(fault, sizeof fault, "%s:%ld", (n / step) % 2 ? "torn" : "kill", n);
        cli_result *r = fault_run(state, fault, f->line, NULL);
        if (r->code != FAULT_KILLED) fail_msg("%s, %s: exit %d: %s", f->name, fault, r->code, r->err);
        trials++;
        check_killed(state, f, fault, old, fresh);
        if (!fault_deep() && n > 1 && n + step <= report.changes) continue;
        /* again, over what is left: the whole result and nothing else */
        r = fault_run(state, "none:0", f->line, NULL);
        if (r->code == 2 && !f->old) { /* what is there, whole or refused above, is not overwritten */
            cli_contains(f->line, r->err, "not empty");
            continue;
        } else if (r->code != 0) {
            fail_msg("%s after %s: exit %d: %s", f->line, fault, r->code, r->err);
        }
        for (int i = 0; f->out[i]; i++) {
            tree_digest(state, f->out[i], now);
            if (strcmp(now, fresh[i]) != 0) fail_msg("%s after %s: another %s", f->line, fault, f->out[i]);
        }
        if (leftovers(state)) fail_msg("%s after %s: leftovers", f->line, fault);
    }
    for (int i = 0; f->out[i]; i++) {
        snprintf(stored, sizeof stored, "old-%s", f->out[i]);
        tree_copy(state, NULL, f->out[i]);
        tree_copy(state, NULL, stored);
    }
}

static void killed_commands(void **state) {
    const char *only = getenv("MIXQ_FLOW_ONLY");
    fault_needed();
    for (int i = 0; i < flow_count; i++) {
        if (!flows[i].out[0] || (only && strcmp(only, flows[i].name) != 0)) continue;
        kill_flow(state, &flows[i], false, 2);
        if (flows[i].old) kill_flow(state, &flows[i], true, 4);
    }
}

/* ---- runs ---- */

static const char *const RUNS[] = {"train --bitw 44 --bita 44 ", "search --cd 1e-3 ", "train --float "};
enum { RUN_COUNT = sizeof RUNS / sizeof *RUNS };
#define SHORT_RUN "--model tiny.yaml --data mnist:data --threads 1 --batch 20 --quiet --epochs 3 --lr 0.05 "
#define LONG_RUN                                                                                             \
    "--model tiny.yaml --data mnist:many --threads 1 --batch 12 --quiet --epochs 12 --lr 0.01 --seed 7 "

/* Whatever has a checkpoint's name is one. *saved: last.safetensors was there, and still is. */
static void check_checkpoints(void **state, const char *fault, bool *saved) {
    static const char *const names[] = {"parts/last.safetensors", "parts/best.safetensors"};
    for (int i = 0; i < 2; i++) {
        mq_checkpoint c;
        mq_error error;
        bool there = cli_exists(state, names[i]);
        if (*saved && !there) fail_msg("%s: %s is gone", fault, names[i]);
        if (!there) continue;
        if (mq_checkpoint_load(temp_dir_path(state, names[i]), &c, &error) != MQ_OK)
            fail_msg("%s: %s", fault, error.text);
        mq_checkpoint_free(&c);
    }
    *saved = cli_exists(state, names[0]);
}

static void check_same_run(void **state, const char *fault) {
    static const char *const names[] = {"last.safetensors", "best.safetensors", "bits.json", "run.json"};
    char a[64], b[64];
    for (int i = 0; i < 4; i++) {
        snprintf(a, sizeof a, "whole/%s", names[i]);
        snprintf(b, sizeof b, "parts/%s", names[i]);
        if (cli_exists(state, a)) cli_same_file(state, a, b);
    }
    int lines = 0;
    char text[CLI_RUN_TEXT];
    cli_read(state, "parts/metrics.jsonl", text);
    for (const char *c = text; *c; c++) lines += *c == '\n';
    cli_read(state, "whole/metrics.jsonl", text);
    for (const char *c = text; *c; c++) lines -= *c == '\n';
    if (lines) fail_msg("%s: metrics.jsonl has %d lines more", fault, lines);
    if (leftovers(state)) fail_msg("%s: leftovers", fault);
}

/* At every change of the file system once, then at another one of the resumed run. */
static void killed_run(void **state, const char *kind, int some) {
    char line[512], fault[32];
    fault_report report;
    cli_works(state, "%s" SHORT_RUN "--out whole --force", kind);
    snprintf(line, sizeof line, "%s" SHORT_RUN "--resume --out parts", kind);
    tree_copy(state, NULL, "parts");
    assert_int_equal(fault_run(state, "none:0", line, &report)->code, 0);
    long step = fault_deep() ? 1 : 1 + report.changes / some;
    for (long n = 1; n <= report.changes; n += step) {
        bool saved = false;
        tree_copy(state, NULL, "parts");
        bool first_torn = (n / step) % 2;
        snprintf(fault, sizeof fault, "%s:%ld", first_torn ? "torn" : "kill", n);
        assert_int_equal(fault_run(state, fault, line, NULL)->code, FAULT_KILLED);
        trials++;
        check_checkpoints(state, fault, &saved);
        snprintf(fault, sizeof fault, "%s:%ld", first_torn ? "kill" : "torn", 1 + n * 7 % 29);
        trials += fault_run(state, fault, line, NULL)->code == FAULT_KILLED;
        check_checkpoints(state, fault, &saved);
        assert_int_equal(fault_run(state, "none:0", line, NULL)->code, 0);
        check_same_run(state, fault);
    }
}

static void killed_runs(void **state) {
    fault_needed();
    for (int i = 0; i < RUN_COUNT; i++) killed_run(state, RUNS[i], i < 2 ? 5 : 3);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* At random moments, resumed until it is done. */
static int random_run(void **state, const char *kind, int most, uint32_t *seed) {
    char line[512], what[64];
    int killed = 0;
    double start = now();
    cli_works(state, "%s" LONG_RUN "--out whole --force", kind);
    double whole = now() - start;
    snprintf(line, sizeof line, "%s" LONG_RUN "--resume --out parts", kind);
    while (killed < most) {
        bool saved = false;
        tree_copy(state, NULL, "parts");
        for (int code = -1; code != 0;) {
            *seed = *seed * 1664525 + 1013904223;
            double wait = whole * 0.6 * (double)(*seed >> 8) / (1 << 24);
            pid_t pid = cli_start(state, line, 0);
            nanosleep(&(struct timespec){(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)}, NULL);
            if (killed < most) kill(pid, SIGKILL);
            code = cli_finish(state, pid)->code;
            if (code != 0 && code != FAULT_KILLED) fail_msg("%s: exit %d", line, code);
            killed += code != 0;
            snprintf(what, sizeof what, "killed after %.3f s", wait);
            check_checkpoints(state, what, &saved);
        }
        finished++;
        check_same_run(state, what);
    }
    return killed;
}

static void random_moments(void **state) {
    uint32_t seed = 1;
    int kills = 0;
    cli_put_data(state, "many", 2400, 50, 8);
    for (int i = 0; i < RUN_COUNT; i++) kills += random_run(state, RUNS[i], fault_deep() ? 67 : 2, &seed);
    trials += kills;
    printf("%d kills at random moments of %d runs\n", kills, finished);
}

static int say_trials(void **state) {
    (void)state;
    printf("%d kills in all\n", trials);
    return 0;
}

int main(void) {
    cmocka_set_test_filter(getenv("MIXQ_RELIABILITY_TEST")); /* one of them */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_commands, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(killed_runs, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(random_moments, flows_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, say_trials);
}
