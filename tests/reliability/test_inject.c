/* test_inject.c - the n-th allocation, open, read, write ... of a command fails, for every n. MIXQ_DEEP: all
 * of them; otherwise some. Required each time: a status and a message, or, where the program can do without,
 * the same result; nothing leaks; what is written is whole or not there. */
#include "helper_faults.h"

typedef struct job {
    const char *name, *line, *out[3], *reader;
    char fresh[3][MQ_DIGEST_TEXT];
    fault_report usual;
    char printed[CLI_RUN_TEXT]; /* on stdout, undisturbed */
} job;

static int trials, unharmed, complaints;

/* All of them are worth seeing. */
__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    printf("\n");
    complaints++;
}

static void no_complaints(void) {
    int n = complaints;
    complaints = 0;
    if (n) fail_msg("%d complaints", n);
}

/* metrics.jsonl and reports of runs hold times; their bytes differ from run to run. */
static bool same_printed(const char *a, const char *b) {
    const char *const words[] = {"seconds", " s, ", "images/s", " ms"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(a, words[i])) return true;
    return strcmp(a, b) == 0;
}

static void start(void **state, job *j) {
    for (int k = 0; j->out[k]; k++) tree_copy(state, NULL, j->out[k]);
    cli_result *r = fault_run(state, "none:0", j->line, &j->usual);
    if (r->code) fail_msg("mixq %s: exit %d: %s", j->line, r->code, r->err);
    if (j->usual.blocks || j->usual.files)
        fail_msg("mixq %s: %ld blocks and %ld files are left", j->line, j->usual.blocks, j->usual.files);
    memcpy(j->printed, r->out, sizeof j->printed);
    for (int k = 0; j->out[k]; k++) tree_digest(state, j->out[k], j->fresh[k]);
}

/* The error line: the last one, and the only one of its kind. */
static bool one_message(const char *text) {
    const char *said = strncmp(text, "mixq: ", 6) == 0 ? text : strstr(text, "\nmixq: ");
    return said && !strstr(said + 1, "\nmixq: ") && strlen(said) > 12;
}

static void check(void **state, const job *j, const char *fault, const cli_result *r,
                  const fault_report *seen) {
    char now[MQ_DIGEST_TEXT];
    bool removal = strncmp(fault, "unlink", 6) == 0;
    bool looks = strncmp(fault, "stat", 4) == 0 || strncmp(fault, "opendir", 7) == 0;
    trials++;
    if (r->code == 0) {
        unharmed++;
        if (!same_printed(j->printed, r->out))
            complain("mixq %s, %s: prints something else:\n%s", j->line, fault, r->out);
    } else if (r->code != 3 && r->code != 4 && !(looks && r->code == 2)) {
        complain("mixq %s, %s: exit %d: %s", j->line, fault, r->code, r->err);
    } else if (!one_message(r->err)) {
        complain("mixq %s, %s: a message expected: %s", j->line, fault, r->err);
    } else if ((strncmp(fault, "memory", 6) == 0 || strncmp(fault, "json", 4) == 0) &&
               (r->code != 4 || !strstr(r->err, "memory"))) {
        complain("mixq %s, %s: exit %d: %s", j->line, fault, r->code, r->err);
    }
    if (!seen->there) complain("mixq %s, %s: it did not end by itself: %s", j->line, fault, r->err);
    if (seen->blocks || seen->files)
        complain("mixq %s, %s: %ld blocks and %ld files are left: %s", j->line, fault, seen->blocks,
                 seen->files, r->err);
    for (int k = 0; j->out[k]; k++) {
        tree_digest(state, j->out[k], now);
        bool whole = strcmp(now, j->fresh[k]) == 0, none = strcmp(now, "-") == 0;
        if (r->code != 0 && !whole && !none && j->reader) {
            char said[32];
            snprintf(said, sizeof said, "exit %d", r->code);
            int code = cli_finish(state, cli_start(state, j->reader, 0))->code;
            if (code == 0 || code > 4)
                complain("mixq %s, %s: %s, and mixq %s takes what is there", j->line, fault, said, j->reader);
        } else if (r->code == 0 ? !whole : !whole && !none)
            complain("mixq %s, %s: exit %d, but %s is not whole: %s", j->line, fault, r->code, j->out[k],
                     r->err);
    }
    if (!removal && leftovers(state)) complain("mixq %s, %s: leftovers", j->line, fault);
}

static void inject(void **state, const fault_server *server, job *j, const char *kind, int some) {
    const char *only = getenv("MIXQ_FAULT_ONLY"); /* KIND:N, for looking at one */
    int which = 0;
    while (strcmp(fault_kinds[which], kind) != 0) which++;
    const char *given = getenv("MIXQ_FAULT_STEP"); /* on a busy machine */
    long calls = j->usual.calls[which], step = given ? atol(given) : fault_deep() ? 1 : 1 + calls / some;
    for (long n = 1; n <= calls; n += step) {
        char fault[48];
        fault_report seen;
        snprintf(fault, sizeof fault, "%s:%ld", kind, n);
        if (only && strcmp(only, fault) != 0) continue;
        for (int k = 0; j->out[k]; k++) tree_copy(state, NULL, j->out[k]);
        cli_result *r = fault_server_run(state, server, fault, &seen);
        check(state, j, fault, r, &seen);
    }
}

static void of_kinds(void **state, const char *const *kinds, int some) {
    static job j;
    const char *only = getenv("MIXQ_FLOW_ONLY");
    fault_needed();
    for (int i = 0; i < flow_count; i++) {
        if (only && strcmp(only, flows[i].name) != 0) continue;
        j = (job){.name = flows[i].name, .line = flows[i].line, .reader = flows[i].reader};
        memcpy(j.out, flows[i].out, sizeof j.out);
        /* sheets are files each of its own */
        if (strcmp(flows[i].name, "draw") == 0) j.out[0] = NULL, tree_copy(state, NULL, "o");
        start(state, &j);
        fault_server server;
        fault_server_start(state, j.line, &server);
        for (int k = 0; kinds[k]; k++) inject(state, &server, &j, kinds[k], some);
        fault_server_stop(&server);
        for (int k = 0; j.out[k]; k++) tree_copy(state, NULL, j.out[k]);
        if (fault_deep()) printf("%s %s: %d so far\n", kinds[0], j.name, trials);
        fflush(stdout);
    }
    no_complaints();
}

static void memory(void **state) {
    static const char *const kinds[] = {"memory", NULL};
    of_kinds(state, kinds, 5);
}

static void json_values(void **state) {
    static const char *const kinds[] = {"json", NULL};
    of_kinds(state, kinds, 4);
}

static void libraries(void **state) {
    static const char *const kinds[] = {"library", NULL};
    of_kinds(state, kinds, 4);
}

static void files(void **state) {
    static const char *const kinds[] = {"open",  "read",    "write",  "fsync", "close", "rename",
                                        "mkdir", "opendir", "unlink", "stat",  NULL};
    of_kinds(state, kinds, 2);
}

/* ---- runs: what is there after a failure can be resumed, and ends with the same bits ---- */

static void run_with(void **state, const fault_server *server, const fault_server *resume, const char *line,
                     const char *fault) {
    fault_report seen;
    tree_copy(state, NULL, "parts");
    cli_result *r = fault_server_run(state, server, fault, &seen);
    trials++;
    if (r->code == 0)
        unharmed++;
    else if ((r->code != 3 && r->code != 4 && strncmp(fault, "opendir", 7) != 0 &&
              !strstr(r->err, "of memory cannot be had")) ||
             !one_message(r->err))
        complain("mixq %s, %s: exit %d: %s", line, fault, r->code, r->err);
    if (!seen.there) complain("mixq %s, %s: it did not end by itself", line, fault);
    if (seen.blocks || seen.files)
        complain("mixq %s, %s: %ld blocks and %ld files are left: %s", line, fault, seen.blocks, seen.files,
                 r->err);
    r = fault_server_run(state, resume, "none:0", &seen);
    if (r->code) fail_msg("mixq %s --resume after %s: exit %d: %s", line, fault, r->code, r->err);
    cli_same_file(state, "whole/last.safetensors", "parts/last.safetensors");
    cli_same_file(state, "whole/best.safetensors", "parts/best.safetensors");
    cli_same_file(state, "whole/bits.json", "parts/bits.json");
    cli_same_file(state, "whole/run.json", "parts/run.json");
    if (leftovers(state)) complain("mixq %s, %s: leftovers", line, fault);
}

static void runs(void **state) {
    static const char *const lines[] = {"train --bitw 44 --bita 44 --epochs 2",
                                        "search --epochs 1 --cd 1e-3"};
    fault_needed();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[512];
        fault_report usual;
        const char *more = "--model tiny.yaml --data mnist:data --threads 1 --batch 20 --quiet --lr 0.05";
        cli_works(state, "%s %s --out whole --force", lines[i], more);
        snprintf(line, sizeof line, "%s %s --out parts", lines[i], more);
        tree_copy(state, NULL, "parts");
        assert_int_equal(fault_run(state, "none:0", line, &usual)->code, 0);
        assert_int_equal(usual.blocks, 0);
        assert_int_equal(usual.files, 0);
        if (i == 0) cli_works(state, "%s %s --out whole --force", lines[i], more);
        fault_server server, resume;
        char resumed[600];
        snprintf(resumed, sizeof resumed, "%s --resume", line);
        fault_server_start(state, line, &server);
        fault_server_start(state, resumed, &resume);
        for (int k = 0; k < FAULT_KINDS - 1; k++) { /* all but stat */
            long step = fault_deep() ? 1 : 1 + usual.calls[k] / 2;
            for (long n = 1; n <= usual.calls[k]; n += step) {
                char fault[48];
                snprintf(fault, sizeof fault, "%s:%ld", fault_kinds[k], n);
                run_with(state, &server, &resume, line, fault);
            }
        }
        fault_server_stop(&server);
        fault_server_stop(&resume);
    }
    no_complaints();
}

static int say_trials(void **state) {
    (void)state;
    printf("%d failures injected; %d of them did no harm\n", trials, unharmed);
    return 0;
}

int main(void) {
    cmocka_set_test_filter(getenv("MIXQ_RELIABILITY_TEST")); /* one of them */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(json_values, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(libraries, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(files, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(runs, flows_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, say_trials);
}
