/* test_mpi_runs.c - the program under mpirun: the same result as one process, one writer, and what happens
 * when a rank is asked to stop, dies, or was given something else than the others. */
#include "base/status.h"

static const char MIXQ[] = MIXQ_BINARY;
/* cli_run.h starts this. */
#undef MIXQ_BINARY
#define MIXQ_BINARY MIXQ_MPIEXEC
#include "cli_run.h"

#include <ctype.h>
#include <math.h>
#include <time.h>

enum { MOST_RANKS = 4 };

/* All ranks on this machine, however few cores it has, and as root in a container. */
static int set_up(void **state) {
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 1);
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 1);
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "data", 200, 50, 8);
    cli_put_data(state, "many", 60000, 50, 8); /* an epoch takes longer than a signal does */
    return 0;
}

#define TINY                                                                                                 \
    " --model tiny.yaml --data mnist:data --threads 1 --batch 20 --set flip=0 --set pad=0 --quiet --seed 3 " \
    "--precision f32"
#define MANY                                                                                                 \
    " --model tiny.yaml --data mnist:many --threads 1 --batch 12 --lr 0.01 --epochs 2 --seed 7 --quiet "     \
    "--precision f32"

__attribute__((format(printf, 2, 3))) static const char *on_ranks(int ranks, const char *format, ...) {
    static char line[2][CLI_RUN_LINE];
    static int turn;
    char rest[CLI_RUN_LINE / 2];
    va_list list;
    va_start(list, format);
    vsnprintf(rest, sizeof rest, format, list);
    va_end(list);
    turn = 1 - turn;
    snprintf(line[turn], sizeof line[turn], "-n %d %s %s", ranks, MIXQ, rest);
    return line[turn];
}

/* Must succeed and print one JSON object. */
static json_t *works(void **state, const char *line) {
    cli_result *r = cli_finish(state, cli_start(state, line, 0));
    if (r->code != 0) fail_msg("%s: exit %d:\n%s%s", line, r->code, r->out, r->err);
    json_t *root = json_loads(r->out, JSON_REJECT_DUPLICATES, NULL);
    if (!root) fail_msg("%s: one JSON object expected:\n%s", line, r->out);
    return root;
}

/* One error of ours, with all the words; mpirun says more. */
static void fails(void **state, int code, const char *words, const char *line) {
    cli_result *r = cli_finish(state, cli_start(state, line, 0));
    if (r->code != code) fail_msg("%s: exit %d, expected %d:\n%s%s", line, r->code, code, r->out, r->err);
    assert_string_equal(r->out, "");
    const char *said = strstr(r->err, "mixq: ");
    if (!said || strstr(said + 1, "mixq: ")) fail_msg("%s: one error expected:\n%s", line, r->err);
    cli_contains(line, said, words);
}

static void same_text(const json_t *a, const json_t *b, const char *key) {
    assert_string_equal(cli_text(a, key), cli_text(b, key));
}

static void same_result_as_one_process(void **state) {
    static const char *const kinds[] = {"search --cd 1e-3 --lr 0.05 --epochs 4 --json" TINY,
                                        "train --bitw 44 --bita 44 --lr 0.05 --epochs 3 --json" TINY};
    for (int k = 0; k < 2; k++) {
        char name[8];
        snprintf(name, sizeof name, "k%d", k);
        json_t *one = works(state, on_ranks(1, "%s --out %s-1", kinds[k], name));
        for (int ranks = 2; ranks <= MOST_RANKS; ranks += 2) {
            json_t *many = works(state, on_ranks(ranks, "%s --out %s-%d", kinds[k], name, ranks));
            same_text(one, many, "bitw");
            same_text(one, many, "bita");
            assert_true(fabs(cli_number(one, "accuracy") - cli_number(many, "accuracy")) <= 0.06);
            const json_t *of = json_object_get(many, "ranks");
            assert_int_equal(cli_number(of, "count"), ranks);
            assert_true(cli_number(of, "gradient_bytes_per_step") > 0);
            json_decref(many);
            json_t *again = works(state, on_ranks(ranks, "%s --out %s-again --force", kinds[k], name));
            char a[32], b[32];
            snprintf(a, sizeof a, "%s-%d/last.safetensors", name, ranks);
            snprintf(b, sizeof b, "%s-again/last.safetensors", name);
            cli_same_file(state, a, b);
            json_decref(again);
        }
        json_decref(one);
    }
}

/* Without mpirun, and as its only process: nothing of ranks is left. */
static void one_process(void **state) {
    char line[CLI_RUN_LINE], command[2 * CLI_RUN_LINE];
    snprintf(line, sizeof line, "train --float --epochs 1 --lr 0.05 --json" TINY " --out");
    json_t *launched = works(state, on_ranks(1, "%s launched", line));
    assert_null(json_object_get(launched, "ranks"));
    json_decref(launched);
    snprintf(command, sizeof command, "cd %s && %s %s alone > alone.txt", temp_dir_path(state, "."), MIXQ,
             line);
    assert_int_equal(system(command), 0);
    cli_same_file(state, "launched/last.safetensors", "alone/last.safetensors");
}

/* ---- signals ---- */

static void wait_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static size_t read_file(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    const size_t n = file ? fread(text, 1, size - 1, file) : 0;
    if (file) fclose(file);
    text[n] = 0;
    return n;
}

/* The process of a rank that mpirun started; 0: it is not there. */
static pid_t process_of(pid_t launcher, int rank) {
    char path[300], text[1 << 16], wanted[64];
    DIR *all = opendir("/proc");
    pid_t found = 0;
    snprintf(wanted, sizeof wanted, "OMPI_COMM_WORLD_RANK=%d", rank);
    for (struct dirent *entry; all && !found && (entry = readdir(all));) {
        int parent = 0;
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        read_file(path, text, sizeof text);
        const char *after = strrchr(text, ')');
        if (!after || sscanf(after, ") %*c %d", &parent) != 1 || parent != launcher) continue;
        snprintf(path, sizeof path, "/proc/%s/environ", entry->d_name);
        const size_t n = read_file(path, text, sizeof text);
        for (size_t i = 0; i < n; i += strlen(text + i) + 1)
            if (strcmp(text + i, wanted) == 0) found = atoi(entry->d_name);
    }
    if (all) closedir(all);
    return found;
}

static int epochs_done(void **state, const char *run) {
    char name[64], text[CLI_RUN_TEXT];
    int lines = 0;
    snprintf(name, sizeof name, "%s/metrics.jsonl", run);
    if (!cli_exists(state, name)) return 0;
    cli_read(state, name, text);
    for (const char *c = text; *c; c++) lines += *c == '\n';
    return lines;
}

static pid_t others[MOST_RANKS]; /* the processes of the ranks of the run signalled last */

/* Nobody is left behind, a moment after mpirun has ended. */
static void all_gone(void) {
    for (int r = 0; r < MOST_RANKS; r++) {
        for (int i = 0; i < 100 && others[r] && kill(others[r], 0) == 0; i++) wait_ms(50);
        if (others[r] && kill(others[r], 0) == 0) fail_msg("rank %d is still there", r);
    }
}

/* Starts a run and sends a signal to one rank (-1: to mpirun) in the epoch after `epochs` ones. */
static cli_result *signalled(void **state, const char *line, const char *run, int epochs, int rank,
                             int number) {
    char saved[64];
    snprintf(saved, sizeof saved, "%s/run.json", run);
    const pid_t launcher = cli_start(state, line, 0);
    for (int i = 0; i < 60000 && (!cli_exists(state, saved) || epochs_done(state, run) < epochs); i++)
        wait_ms(1);
    wait_ms(150);
    for (int r = 0; r < MOST_RANKS; r++) others[r] = process_of(launcher, r);
    assert_true(others[0] > 0);
    if (number == SIGXFSZ) { /* no signal: no more room for files */
        assert_int_equal(prlimit(others[0], RLIMIT_FSIZE, &(struct rlimit){3000, 3000}, NULL), 0);
        return cli_finish(state, launcher);
    }
    const pid_t target = rank < 0 ? launcher : process_of(launcher, rank);
    assert_true(target > 0);
    assert_int_equal(kill(target, number), 0);
    return cli_finish(state, launcher);
}

/* A rank that is asked to stop, and a launcher that hands the request on: all save together. The run goes on
 * as one process, then on 3 ranks. */
static void stopping(void **state) {
    cli_result *r =
        signalled(state, on_ranks(2, "search --cd 1e-3" MANY " --out stop"), "stop", 0, 1, SIGTERM);
    assert_int_equal(r->code, 130);
    cli_contains("stop", r->err, "mixq: interrupted at epoch 1, step |of 5000|--resume");
    assert_true(cli_exists(state, "stop/last.safetensors"));
    r = signalled(state, on_ranks(1, "search --cd 1e-3" MANY " --out stop --resume"), "stop", 1, 0, SIGINT);
    assert_int_equal(r->code, 130);
    cli_contains("stop", r->err, "interrupted a|--resume");
    r = signalled(state, on_ranks(2, "train --float" MANY " --out usr"), "usr", 0, -1, SIGUSR1);
    assert_int_equal(r->code, 130);
    cli_contains("usr", r->err, "interrupted at epoch 1, step |--resume");
    json_t *end = works(state, on_ranks(3, "search --cd 1e-3" MANY " --out stop --resume --json"));
    assert_int_equal(cli_number(end, "epochs"), 2);
    json_decref(end);
    assert_int_equal(epochs_done(state, "stop"), 2);
}

/* Killed without a word, first or other rank: the job ends, what was saved is whole, and the resumed run ends
 * as if nothing had been. */
static void a_rank_that_dies(void **state) {
    json_decref(works(state, on_ranks(2, "train --float --json" MANY " --out whole")));
    for (int rank = 0; rank < 2; rank++) {
        char run[16], last[64], line[256];
        snprintf(run, sizeof run, "dead%d", rank);
        snprintf(last, sizeof last, "%s/last.safetensors", run);
        snprintf(line, sizeof line, "train --float" MANY " --out %s", run);
        cli_result *r = signalled(state, on_ranks(2, "%s", line), run, 1, rank, SIGKILL);
        if (r->code == 0) fail_msg("rank %d killed, and exit code 0", rank);
        assert_true(others[1] > 0);
        all_gone();
        assert_true(cli_exists(state, last));
        json_decref(works(state, on_ranks(1, "test %s --data mnist:many --threads 1 --json", last)));
        json_decref(works(state, on_ranks(2, "%s --resume --json", line)));
        cli_same_file(state, last, "whole/last.safetensors");
        snprintf(last, sizeof last, "%s/best.safetensors", run);
        cli_same_file(state, last, "whole/best.safetensors");
        assert_int_equal(epochs_done(state, run), 2);
    }
}

/* ---- bad input ---- */

static void bad_input(void **state) {
    char line[CLI_RUN_LINE];
    fails(state, 2, "--batch", on_ranks(2, "train --float" TINY " --batch x --out bad"));
    fails(state, 2, "--batch 3|fewer than the 4 ranks",
          on_ranks(4, "train --float" TINY " --batch 3 --out bad"));
    fails(state, 3, "nothing.yaml", on_ranks(2, "train --float" TINY " --model nothing.yaml --out bad"));
    snprintf(line, sizeof line,
             "-n 1 %s train --float" TINY " --out bad : -n 1 %s train --float --lr 0.5" TINY " --out bad",
             MIXQ, MIXQ);
    fails(state, 2, "rank 1|other settings than rank 0", line);
    snprintf(line, sizeof line,
             "-n 1 %s train --float" TINY " --out bad : -n 1 %s train --float" TINY
             " --data mnist:many --out bad",
             MIXQ, MIXQ);
    fails(state, 2, "rank 1|other training images than rank 0", line);
    snprintf(line, sizeof line,
             "-n 1 %s train --float" TINY " --out bad : -n 1 %s train --float" TINY
             " --data mnist:missing --out bad",
             MIXQ, MIXQ);
    fails(state, 3, "rank 1|missing", line);
    assert_false(cli_exists(state, "bad/run.json"));
    cli_put_text(state, "taken", "a file");
    fails(state, 2, "--out taken", on_ranks(2, "train --float" TINY " --out taken"));
}

/* Less room than a checkpoint takes: rank 0 cannot write, all end, and go on when there is room. */
static void full_disk(void **state) {
    cli_result *r = signalled(state, on_ranks(2, "train --float" MANY " --out full"), "full", 0, 0, SIGXFSZ);
    assert_int_equal(r->code, 3);
    cli_contains("full", r->err, "cannot write|full/|File too large");
    all_gone();
    assert_false(cli_exists(state, "full/last.safetensors"));
    json_decref(works(state, on_ranks(2, "train --float" MANY " --out full --resume --json")));
}

/* --help and results come from one rank. */
static void one_voice(void **state) {
    cli_result *r = cli_finish(state, cli_start(state, on_ranks(3, "train --help"), 0));
    assert_int_equal(r->code, 0);
    const char *usage = strstr(r->out, "--accumulate");
    assert_non_null(usage);
    assert_null(strstr(usage + 1, "--accumulate N"));
    r = cli_finish(state, cli_start(state, on_ranks(1, "--version"), 0));
    cli_contains("--version", r->out, "with |MPI");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_result_as_one_process, set_up, temp_dir_remove),
        cmocka_unit_test_setup_teardown(one_process, set_up, temp_dir_remove),
        cmocka_unit_test_setup_teardown(stopping, set_up, temp_dir_remove),
        cmocka_unit_test_setup_teardown(a_rank_that_dies, set_up, temp_dir_remove),
        cmocka_unit_test_setup_teardown(bad_input, set_up, temp_dir_remove),
        cmocka_unit_test_setup_teardown(full_disk, set_up, temp_dir_remove),
        cmocka_unit_test_setup_teardown(one_voice, set_up, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
