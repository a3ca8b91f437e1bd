/* helper_faults.c - see helper_faults.h. */
#include "helper_faults.h"

#include "base/folder.h"
#include "fault_server.h"

const char *const fault_kinds[FAULT_KINDS] = {"memory",  "json",   "library", "open",   "read",
                                              "write",   "fsync",  "close",   "rename", "mkdir",
                                              "opendir", "unlink", "stat"};

bool fault_deep(void) {
    return getenv("MIXQ_DEEP") != NULL;
}

void fault_needed(void) {
    if (access(MIXQ_FAULTS, R_OK) == 0) return;
    printf("skipped: faults.c is not built beside sanitizers\n");
    skip();
}

static long number_after(const char *text, const char *word) {
    const char *at = strstr(text, word);
    return at ? strtol(at + strlen(word), NULL, 10) : -1;
}

static void read_report(void **state, fault_report *report) {
    char text[CLI_RUN_TEXT], word[32];
    *report = (fault_report){.there = cli_exists(state, "report.txt") != 0};
    if (!report->there) return;
    cli_read(state, "report.txt", text);
    for (int i = 0; i < FAULT_KINDS; i++) {
        snprintf(word, sizeof word, "%s ", fault_kinds[i]);
        report->calls[i] = number_after(text, word);
    }
    report->changes = number_after(text, "changes ");
    report->ticks = number_after(text, "ticks ");
    report->blocks = number_after(text, "blocks ");
    report->files = number_after(text, "files ");
}

/* On one thread: the calls come in one order, and waiting for others takes longer than the work. */
static pid_t start_alone(void **state, const char *line) {
    char more[CLI_RUN_LINE];
    snprintf(more, sizeof more, "%s%s", line, strstr(line, "--threads") ? "" : " --threads 1");
    return cli_start(state, more, 0);
}

void fault_server_start(void **state, const char *line, fault_server *out) {
    int to[2], from[2];
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    assert_int_equal(dup2(to[0], FAULT_IN), FAULT_IN);
    assert_int_equal(dup2(from[1], FAULT_OUT), FAULT_OUT);
    setenv("LD_PRELOAD", MIXQ_FAULTS, 1);
    setenv("MIXQ_FAULT_SERVER", "1", 1);
    setenv("MIXQ_FAULT_REPORT", temp_dir_path(state, "report.txt"), 1);
    out->pid = start_alone(state, line);
    unsetenv("LD_PRELOAD");
    unsetenv("MIXQ_FAULT_SERVER");
    unsetenv("MIXQ_FAULT_REPORT");
    close(FAULT_IN);
    close(FAULT_OUT);
    close(to[0]);
    close(from[1]);
    out->ask = to[1];
    out->answer = from[0];
}

cli_result *fault_server_run(void **state, const fault_server *server, const char *fault,
                             fault_report *report) {
    static cli_result result;
    char ask[FAULT_ASK] = "";
    int status = 0;
    snprintf(ask, sizeof ask, "%s", fault);
    unlink(temp_dir_path(state, "report.txt"));
    assert_int_equal(write(server->ask, ask, sizeof ask), sizeof ask);
    assert_int_equal(read(server->answer, &status, sizeof status), sizeof status);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    cli_read(state, "stdout.txt", result.out);
    cli_read(state, "stderr.txt", result.err);
    read_report(state, report);
    return &result;
}

void fault_server_stop(const fault_server *server) {
    close(server->ask);
    close(server->answer);
    assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
}

cli_result *fault_run(void **state, const char *fault, const char *line, fault_report *report) {
    unlink(temp_dir_path(state, "report.txt"));
    setenv("LD_PRELOAD", MIXQ_FAULTS, 1);
    setenv("MIXQ_FAULT", fault, 1);
    setenv("MIXQ_FAULT_REPORT", temp_dir_path(state, "report.txt"), 1);
    pid_t pid = start_alone(state, line);
    unsetenv("LD_PRELOAD");
    unsetenv("MIXQ_FAULT");
    unsetenv("MIXQ_FAULT_REPORT");
    cli_result *r = cli_finish(state, pid);
    if (report) read_report(state, report);
    return r;
}

/* ---- folders ---- */

static bool is_leftover(const char *path) {
    const char *hidden = path[0] == '.' ? path : strstr(path, "/.");
    return hidden && (strstr(hidden, ".partial") || strstr(hidden, ".tmp"));
}

static void add_file(mq_digest *digest, const char *root, const char *name) {
    char path[MQ_PATH];
    uint8_t *bytes;
    size_t size;
    mq_error error;
    assert_int_equal(mq_path_join(root, name, path, &error), MQ_OK);
    if (mq_file_read(path, (size_t)1 << 28, &bytes, &size, &error) != MQ_OK) fail_msg("%s", error.text);
    mq_digest_add(digest, name, strlen(name) + 1);
    mq_digest_add(digest, &size, sizeof size);
    mq_digest_add(digest, bytes, size);
    mq_free(bytes);
}

void tree_digest(void **state, const char *name, char out[MQ_DIGEST_TEXT]) {
    char root[512];
    mq_digest *digest;
    mq_folder_list files = {0};
    int count = 0;
    snprintf(root, sizeof root, "%s", temp_dir_path(state, name));
    strcpy(out, "-");
    if (!mq_path_exists(root)) return;
    assert_int_equal(mq_digest_begin(&digest, NULL), MQ_OK);
    if (mq_path_is_dir(root)) {
        assert_int_equal(mq_folder_files(root, &files, NULL), MQ_OK);
        for (size_t i = 0; i < files.count; i++)
            if (!is_leftover(files.name[i])) add_file(digest, root, files.name[i]), count++;
        mq_folder_list_free(&files);
    } else {
        char *slash = strrchr(root, '/');
        *slash = 0;
        add_file(digest, root, slash + 1), count++;
    }
    mq_digest_end(digest, out);
    if (!count) strcpy(out, "-");
}

int leftovers(void **state) {
    mq_folder_list files;
    int count = 0;
    assert_int_equal(mq_folder_files(((temp_dir *)*state)->path, &files, NULL), MQ_OK);
    for (size_t i = 0; i < files.count; i++) count += is_leftover(files.name[i]);
    mq_folder_list_free(&files);
    return count;
}

void tree_copy(void **state, const char *from, const char *to) {
    char line[1024];
    const char *dir = ((temp_dir *)*state)->path;
    snprintf(line, sizeof line, "%s/.%s.partial", dir, to);
    assert_int_equal(mq_folder_remove(line, NULL), MQ_OK);
    assert_int_equal(mq_folder_remove(temp_dir_path(state, to), NULL), MQ_OK);
    if (!from || !cli_exists(state, from)) return;
    snprintf(line, sizeof line, "cd %s && cp -a %s %s", dir, from, to);
    assert_int_equal(system(line), 0);
}

/* ---- flows ---- */

#define PLACE "--device ultra96v2 --target-fps 1000"

const flow flows[] = {
    {"export",
     "export run --data mnist:data --vectors 2 --format hls,qonnx,folding --out o --force",
     "export run3 --data mnist:data --vectors 2 --out o --force",
     {"o"},
     "verify o"},
    {"import",
     "import net/qonnx.onnx --out o.safetensors",
     "import small/qonnx.onnx --out o.safetensors",
     {"o.safetensors"},
     NULL},
    {"build_c",
     "build net --target c --out o --force",
     "build small --target c --out o --force",
     {"o"},
     "verify o"},
    {"build",
     "build net --target rtl,hls " PLACE " --out o --force",
     "build small --target rtl " PLACE " --out o --force",
     {"o"},
     NULL},
    {"data_files", "data export mnist:data --limit 3 o", NULL, {"o"}, "data info folder:o"},
    {"data_boxes", "data export shapes:2 --limit 2 o", NULL, {"o"}, "data info dac-sdc:o"},
    {"draw",
     "data draw shapes:4 o --limit 4",
     "data draw shapes:4 o --limit 4 --seed 2",
     {"o"},
     "devices none"},
    {"report", "report run net --out o.html", "report run3 --out o.html", {"o.html"}, NULL},
    {"dump",
     "simulate net --data mnist:data --limit 4 --dump o --output o.npy",
     "simulate small --data mnist:data --limit 4 --dump o --output o.npy",
     {"o.npy", "o"},
     "diff o o"},
    {"plan",
     "estimate net " PLACE " --plan-out o.json",
     "estimate small " PLACE " --plan-out o.json",
     {"o.json"},
     NULL},
    {"figure",
     "pack show --kernel 3 --wbit 4 --abit 4 --svg o.svg",
     "pack show --kernel 3 --wbit 2 --abit 4 --svg o.svg",
     {"o.svg"},
     NULL},
    {"verify", "verify net", NULL, {NULL}, NULL},
    {"test", "test run --data mnist:data --engine integer", NULL, {NULL}, NULL},
    {"describe", "data info mnist:data", NULL, {NULL}, NULL},
    {"models", "models vgg_tiny --json", NULL, {NULL}, NULL},
};
const int flow_count = sizeof flows / sizeof *flows;

#define TRAIN "train --model tiny.yaml --data mnist:data --threads 1 --batch 20 --quiet --epochs 1 "

int flows_make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "data", 60, 20, 8);
    cli_works(state, TRAIN "--bitw 44 --bita 44 --out run");
    cli_works(state, TRAIN "--bitw 33 --bita 33 --out run3");
    cli_works(state, "export run --data mnist:data --vectors 2 --format hls,qonnx --out net");
    cli_works(state, "export run3 --data mnist:data --vectors 1 --format qonnx --out small");
    return 0;
}
