/* test_golden_made.c - every program that reads the golden folder, on a folder of ultranet_bypass and
 * skynetk5 cases made here: the form is understood, and the bypass, the depthwise 5x5 layers and the
 * published rules give what plain loops give. */
#include "cli_run.h"
#include "helper_made.h"

/* A sibling program over `folder`: must pass, and not for lack of cases. */
static void passes(void **state, const char *program, const char *folder, const char *words) {
    static char text[1 << 20];
    char path[1024];
    snprintf(path, sizeof path, "%s", MIXQ_BINARY);
    char *slash = strrchr(path, '/');
    assert_non_null(slash);
    snprintf(slash, sizeof path - (size_t)(slash - path), "/tests/%s", program);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!freopen(temp_dir_path(state, "said.txt"), "w", stdout) || dup2(1, 2) < 0 ||
            setenv("MIXQ_GOLDEN", folder, 1) != 0)
            _exit(99);
        execl(path, path, (char *)NULL);
        _exit(98);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    FILE *file = fopen(temp_dir_path(state, "said.txt"), "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    size_t length = strlen(text);
    if (status != 0)
        fail_msg("%s: status %d:\n%s", program, status, length > 3000 ? text + length - 3000 : text);
    cli_contains(program, text, words);
}

static void every_runner(void **state) {
    static const struct {
        const char *name, *model, *bitw, *bita; /* bitw NULL: a search */
    } cases[] = {
        {"bypass_fixed", "ultranet_bypass", "454745348", "853456524"}, /* special pairs too */
        {"bypass_same", "ultranet_bypass", "444444444", "844444444"},  /* the bypass needs no rescaling */
        {"bypass_search", "ultranet_bypass", NULL, NULL},
        {"k5_fixed", "skynetk5", "8766555453588", "8883877788556"},
        {"k5_search", "skynetk5", NULL, NULL},
    };
    char root[64], folder[128];
    snprintf(root, sizeof root, "%.63s", ((temp_dir *)*state)->path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(folder, sizeof folder, "%s/%s", root, cases[i].name);
        assert_int_equal(mkdir(folder, 0777), 0);
        if (cases[i].bitw)
            made_fixed(folder, cases[i].model, cases[i].bitw, cases[i].bita);
        else
            made_search(folder, cases[i].model);
    }
    passes(state, "test_golden_export", root, "3 integer models: headers of 3, outputs of 3 identical");
    passes(state, "test_golden_lower", root, "1 test(s) run|PASSED");
    passes(state, "test_golden_detect", root, "bypass_fixed|bypass_same|k5_fixed|PASSED");
    passes(state, "test_golden_train", root, "bypass_search|k5_search|PASSED");
    passes(state, "test_golden_cli", root, "3 checkpoints");
    passes(state, "test_import", root,
           "no golden checkpoint.pt"); /* its other tests, golden_steps too, pass */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_runner, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
