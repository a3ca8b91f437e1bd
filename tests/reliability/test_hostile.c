/* test_hostile.c - places that cannot be written, locked folders, signals, clocks that jump, closed streams.
 */
#include "helper_faults.h"

#include <errno.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <time.h>

#define RUN "train --model tiny.yaml --data mnist:data --threads 1 --batch 20 --quiet --bitw 44 --bita 44 "

static void wait_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* ---- disks ---- */

/* In a mount name space of its own: a file system of `pages` pages (0: one that cannot be written) on
 * DIR/disk, then `mixq line`. Its exit code, -1: mounting is not possible here. */
static int run_on_disk(void **state, const char *line, int pages, const char *stored) {
    char options[64], command[2048], disk[128];
    const char *dir = ((temp_dir *)*state)->path;
    snprintf(disk, sizeof disk, "%s/disk", dir);
    mkdir(disk, 0777);
    snprintf(options, sizeof options, "size=%dk", 4 * pages);
    snprintf(command, sizeof command, "cd %s && %s %s >stdout.txt 2>stderr.txt", dir, MIXQ_BINARY, line);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) _exit(99);
        if (mount("tmpfs", disk, "tmpfs", 0, pages ? options : "size=4m") != 0) _exit(99);
        if (stored) { /* what stands there before */
            char copy[1024];
            snprintf(copy, sizeof copy, "cp -a %s/%s %s/ 2>&-", dir, stored, disk);
            if (system(copy) != 0) _exit(97);
        }
        if (!pages && mount(NULL, disk, NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0) _exit(99);
        int code = system(command);
        /* what is left, for the test to look at */
        snprintf(command, sizeof command, "cd %s && rm -rf left && cp -a disk left", dir);
        if (system(command) != 0) _exit(97);
        _exit(WIFEXITED(code) ? WEXITSTATUS(code) : 96);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 99 ? -1 : WEXITSTATUS(status);
}

/* Every command that writes, on disks from nothing to enough: a failure says so, leaves no temporary files,
 * and an old result whole or none. */
static void full_disk(void **state) {
    static const char *const lines[] = {
        "export run --data mnist:data --vectors 2 --format hls,qonnx --out disk/o",
        "import net/qonnx.onnx --out disk/o.safetensors",
        "build net --target c --out disk/o",
        "build net --target rtl --device ultra96v2 --target-fps 1000 --out disk/o",
        "data export mnist:data --limit 8 disk/o",
        "report run net --out disk/o.html",
        "simulate net --data mnist:data --dump disk/o --output disk/o.npy --threads 1",
        RUN "--epochs 2 --out disk/o",
        "search --model tiny.yaml --data mnist:data --threads 1 --batch 20 --quiet --epochs 2 --out disk/o",
    };
    int full = 0, whole = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (int pages = 1; pages < 1000; pages = pages * (fault_deep() ? 5 : 24) / 4 + 1) {
            int code = run_on_disk(state, lines[i], pages, NULL);
            if (code < 0) {
                printf("skipped: no file systems can be mounted here\n");
                skip();
            }
            char said[CLI_RUN_TEXT];
            cli_read(state, "stderr.txt", said);
            if (code == 0 ? strstr(said, "No space") != NULL : code != 3 || !strstr(said, "No space left"))
                fail_msg("mixq %s on %d pages: exit %d: %s", lines[i], pages, code, said);
            if (leftovers(state)) fail_msg("mixq %s on %d pages: leftovers", lines[i], pages);
            code ? full++ : whole++;
        }
    printf("%d disks were full, %d large enough\n", full, whole);
    assert_true(full >= 9 && whole >= 9);
}

static void full_disk_keeps_old(void **state) {
    char before[MQ_DIGEST_TEXT], after[MQ_DIGEST_TEXT], said[CLI_RUN_TEXT];
    tree_copy(state, NULL, "o");
    cli_works(state, "build small --target rtl --device ultra96v2 --target-fps 1000 --out o");
    tree_digest(state, "o", before);
    int code, full = 0;
    for (int pages = 20; pages < 2000; pages = pages * (fault_deep() ? 9 : 12) / 8) {
        code = run_on_disk(state,
                           "build net --target rtl --device ultra96v2 --target-fps 1000 --out disk/o --force",
                           pages, "o");
        if (code < 0) skip();
        if (code == 97) continue; /* the old one does not fit there */
        if (code == 0) break;
        assert_int_equal(code, 3);
        tree_digest(state, "left/o", after);
        assert_string_equal(before, after);
        assert_int_equal(leftovers(state), 0);
        full++;
    }
    assert_true(full > 0 && code == 0);
    code = run_on_disk(state, RUN "--epochs 1 --lr 0.05 --resume --out disk/run", 8, "run");
    if (code == 97) return; /* the run itself does not fit there */
    cli_read(state, "stderr.txt", said);
    assert_int_equal(code, 2); /* other settings, before anything is written */
}

static void read_only(void **state) {
    static const char *const lines[] = {
        "export run --data mnist:data --vectors 2 --out disk/o",
        "export run --data mnist:data --vectors 2 --out disk/run --force",
        "import net/qonnx.onnx --out disk/o.safetensors",
        "build net --target c --out disk/o",
        "build net --target rtl --device ultra96v2 --target-fps 1000 --out disk/o",
        "data export mnist:data --limit 8 disk/o",
        "data draw shapes:4 disk/o",
        "report run net --out disk/o.html",
        "simulate net --data mnist:data --dump disk/o --threads 1",
        "simulate net --data mnist:data --output disk/o.npy --threads 1",
        "estimate net --device ultra96v2 --plan-out disk/p.json",
        "pack show --kernel 3 --wbit 4 --abit 4 --svg disk/o.svg",
        RUN "--epochs 2 --out disk/o",
        RUN "--epochs 1 --resume --out disk/run",
        RUN "--epochs 1 --force --out disk/run",
        "search --model tiny.yaml --data mnist:data --threads 1 --quiet --epochs 1 --out disk/o",
    };
    char said[CLI_RUN_TEXT], text[CLI_RUN_TEXT];
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int code = run_on_disk(state, lines[i], 0, "run");
        if (code < 0) {
            printf("skipped: no file systems can be mounted here\n");
            skip();
        }
        cli_read(state, "stderr.txt", said);
        cli_read(state, "stdout.txt", text);
        if (strstr(lines[i], "--resume") && code == 0) continue; /* it was at its end: nothing to write */
        if (code != 3 || !strstr(said, "Read-only file system") || *text)
            fail_msg("mixq %s: exit %d: %s", lines[i], code, said);
    }
    assert_int_equal(run_on_disk(state, "verify disk/net --threads 1", 0, "net"), 0); /* reading is enough */
    assert_int_equal(run_on_disk(state, "test disk/run --data mnist:data --threads 1", 0, "run"), 0);
}

/* What a quota says. */
static void quota(void **state) {
    char fault[32];
    fault_needed();
    snprintf(fault, sizeof fault, "write:3+:%d", EDQUOT);
    for (int i = 0; i < flow_count; i++) {
        fault_report report;
        const flow *f = &flows[i];
        if (!f->out[0]) continue;
        for (int k = 0; f->out[k]; k++) tree_copy(state, NULL, f->out[k]);
        fault_run(state, "none:0", f->line, &report);
        for (int k = 0; f->out[k]; k++) tree_copy(state, NULL, f->out[k]);
        cli_result *r = fault_run(state, report.calls[5] < 3 ? "write:1+:122" : fault, f->line, &report);
        if (r->code != 3 || !strstr(r->err, "Disk quota exceeded"))
            fail_msg("mixq %s: exit %d: %s", f->line, r->code, r->err);
        assert_int_equal(leftovers(state), 0);
    }
}

/* ---- others in the same folder ---- */

static int hold(void **state, const char *folder) {
    mkdir(temp_dir_path(state, folder), 0777);
    int fd = open(temp_dir_path(state, folder), O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    return fd;
}

static void one_writer(void **state) {
    int fd = hold(state, "run");
    cli_fails(state, 2, "run|another run is writing", RUN "--epochs 1 --out run --force");
    cli_fails(state, 2, "run|another run is writing", RUN "--epochs 1 --out run --resume");
    close(fd);
    fd = hold(state, "empty");
    cli_fails(state, 2, "empty|another run is writing", RUN "--epochs 1 --out empty");
    close(fd);
    mkdir(temp_dir_path(state, "o"), 0777);
    fd = hold(state, "o/.partial");
    cli_fails(state, 2, "o|another process is writing", "export run --out o");
    cli_fails(state, 2, "o|another process is writing", "build net --target c --out o");
    cli_fails(state, 2, "o|another process is writing", "data export mnist:data o");
    close(fd);
    tree_copy(state, NULL, "o");
    fd = hold(state, ".o.partial");
    cli_fails(state, 2, "o|another process is writing",
              "build net --target rtl --device ultra96v2 --target-fps 1000 --out o");
    close(fd);
    cli_works(state, "export run --out o");
    assert_int_equal(leftovers(state), 0);
}

/* Two at once: one works, or the second is told; never two, never none. */
static void two_at_once(void **state) {
    int both = 0;
    for (int i = 0; i < (fault_deep() ? 40 : 2); i++) {
        tree_copy(state, NULL, "twice");
        pid_t a = cli_start(state, RUN "--epochs 3 --out twice", 0),
              b = cli_start(state, RUN "--epochs 3 --out twice", 0);
        int first = cli_finish(state, a)->code, second = cli_finish(state, b)->code;
        if (!((first == 0 && second == 2) || (first == 2 && second == 0)))
            fail_msg("two runs ended with %d and %d", first, second);
        cli_works(state, "test twice --data mnist:data --threads 1");
        tree_copy(state, NULL, "o");
        a = cli_start(state, "export run --out o --force", 0);
        b = cli_start(state, "export run3 --out o --force", 0);
        first = cli_finish(state, a)->code, second = cli_finish(state, b)->code;
        if ((first != 0 && first != 2) || (second != 0 && second != 2) || (first && second))
            fail_msg("two exports ended with %d and %d", first, second);
        both += !first && !second;
        cli_works(state, "verify o --threads 1");
        assert_int_equal(leftovers(state), 0);
    }
    printf("%d pairs of exports came one after the other\n", both);
}

/* ---- signals and clocks ---- */

static void signals(void **state) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    cli_put_data(state, "many", 24000, 50, 8);
    const char *line = "train --model tiny.yaml --data mnist:many --threads 1 --batch 12 --quiet --float "
                       "--epochs 3 --out stopped --resume";
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        signal(numbers[i], SIG_DFL); /* a job in the background may have begun with it ignored */
        pid_t pid = cli_start(state, line, 0);
        while (!cli_exists(state, "stopped/run.json")) wait_ms(1);
        wait_ms(100);
        assert_int_equal(kill(pid, numbers[i]), 0);
        cli_result *r = cli_finish(state, pid);
        assert_int_equal(r->code, 130);
        cli_contains(line, r->err, "stopping after this step|interrupted|--resume");
        assert_true(cli_exists(state, "stopped/last.safetensors"));
    }
    /* what starts with a signal ignored (nohup) keeps ignoring it */
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGHUP, SIG_IGN);
        int code = cli_finish(state, cli_start(state, line, 0))->code;
        _exit(code);
    }
    wait_ms(300);
    kill(pid, SIGHUP);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

static void clock_jumps(void **state) {
    fault_report report;
    fault_needed();
    cli_works(state, RUN "--epochs 2 --out straight");
    cli_result *r = fault_run(state, "clock:0", RUN "--epochs 2 --out jumped", &report);
    assert_int_equal(r->code, 0);
    cli_same_file(state, "straight/last.safetensors", "jumped/last.safetensors");
    cli_same_file(state, "straight/bits.json", "jumped/bits.json");
    assert_int_equal(report.ticks, 0); /* the date is not even asked for */
    for (int i = 0; i < flow_count; i++) {
        for (int k = 0; flows[i].out[k]; k++) tree_copy(state, NULL, flows[i].out[k]);
        assert_int_equal(fault_run(state, "clock:0", flows[i].line, &report)->code, 0);
        if (report.ticks) fail_msg("mixq %s asks for the date", flows[i].line);
    }
}

/* Reads and writes that are interrupted and move little. */
static void short_transfers(void **state) {
    char whole[MQ_DIGEST_TEXT], pieces[MQ_DIGEST_TEXT];
    fault_needed();
    for (int i = 0; i < flow_count; i++)
        for (int k = 0; flows[i].out[k]; k++) {
            tree_copy(state, NULL, flows[i].out[k]);
            assert_int_equal(fault_run(state, "none:0", flows[i].line, NULL)->code, 0);
            tree_digest(state, flows[i].out[k], whole);
            tree_copy(state, NULL, flows[i].out[k]);
            cli_result *r = fault_run(state, "short:0", flows[i].line, NULL);
            if (r->code) fail_msg("mixq %s in pieces: exit %d: %s", flows[i].line, r->code, r->err);
            tree_digest(state, flows[i].out[k], pieces);
            assert_string_equal(whole, pieces);
        }
    cli_works(state, RUN "--epochs 2 --out together");
    assert_int_equal(fault_run(state, "short:0", RUN "--epochs 2 --out pieces", NULL)->code, 0);
    cli_same_file(state, "together/last.safetensors", "pieces/last.safetensors");
}

/* ---- standard streams ---- */

static int shell(void **state, const char *before, const char *line, const char *after) {
    char command[2048];
    snprintf(command, sizeof command, "cd %s && %s %s %s %s 2>stderr.txt", ((temp_dir *)*state)->path, before,
             MIXQ_BINARY, line, after);
    int code = system(command);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 1000 + WTERMSIG(code);
}

static void streams(void **state) {
    static const char *const lines[] = {
        "models",
        "models vgg_tiny",
        "devices",
        "help --format man",
        "pack known net",
        "pack table --kernel 3",
        "doctor",
        "verify net",
        "test run --data mnist:data --threads 1",
        "report run",
        "--help",
        "train --help",
        "--version",
        "data info mnist:data",
        "report run net --out o.html --json",
        "cost --model tiny.yaml --bitw 44 --bita 44",
        "export run --out o --force",
        "diff d d",
    };
    char text[CLI_RUN_TEXT];
    cli_works(state, "simulate net --data mnist:data --dump d --threads 1");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        static const char *const outs[] = {">/dev/full", ">&-", "| (exec <&-; sleep 0.02)"};
        for (int k = 0; k < 2; k++) {
            int code = shell(state, "", lines[i], outs[k]);
            cli_read(state, "stderr.txt", text);
            if (code != 3 || !strstr(text, "cannot write: standard output"))
                fail_msg("mixq %s %s: exit %d: %s", lines[i], outs[k], code, text);
        }
    }
    /* a pipe whose reader has gone: an error, not a death by SIGPIPE, and what is written is written */
    int code = shell(state, "{ sleep 0.05;", "models vgg_tiny; echo $? >code.txt; } | true", "");
    assert_int_equal(code, 0);
    cli_read(state, "code.txt", text);
    assert_string_equal(text, "3\n");
    /* with all streams closed, what is printed does not end up in the files that are written */
    tree_copy(state, NULL, "o.html");
    cli_works(state, "report run --out o.html");
    cli_copy(state, "o.html", "kept");
    code = shell(state, "exec <&- >&-;", "report run --out o.html", "");
    assert_int_equal(code, 3);
    code = shell(state, "exec 2>&-;", "report run --out o.html", ">&-");
    assert_int_equal(code, 3);
    cli_same_file(state, "o.html", "kept");
    assert_int_equal(shell(state, "", "models", "</dev/null >stdout.txt"), 0);
}

int main(void) {
    cmocka_set_test_filter(getenv("MIXQ_RELIABILITY_TEST")); /* one of them */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_disk, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(full_disk_keeps_old, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(read_only, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(quota, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(one_writer, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(two_at_once, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(signals, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(clock_jumps, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(short_transfers, flows_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(streams, flows_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
