/* test_hls_host.c - a built accelerator answered by its HLS C++ over shared memory: the example's boxes are
 * those of the integer simulator, and what goes wrong ends with its own exit code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <time.h>

#include "base/file.h"
#include "base/temp_dir.h"
#include "detect/head.h"
#include "hls/helper_hls_nets.h"

enum { IMAGES = 3 };

static mq_inet *detector(void) {
    small_net s;
    hls_begin(&s, 5, 8, 12, 3, 5, false);
    s.net->task = MQ_INET_DETECTION;
    s.net->classes = 1;
    s.net->anchor_count = 2;
    s.net->anchor_w[0] = 4.5, s.net->anchor_h[0] = 3;
    s.net->anchor_w[1] = 2.25, s.net->anchor_h[1] = 6;
    hls_convolution(&s, "conv0", 6, 3, 3, false, 4, 1);
    small_requant(&s, "conv0.requant", "conv0", 4, false, false);
    mq_inet_node pool = {.kind = MQ_INET_MAX_POOL, .name = "pool0", .pool = {2, 2}};
    small_add(&s, &pool);
    hls_convolution(&s, "conv1", 12, 1, 1, false, 5, 1);
    hls_finish(&s);
    return s.net;
}

/* Exit code of a shell command in the folder. */
static int shell(const char *dir, const char *command) {
    char line[2048];
    snprintf(line, sizeof line, "cd %s && %s", dir, command);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The example's exit code against a simulation with these options; its output goes to DIR/out.txt. */
static int run(const char *dir, const char *options, const char *words) {
    char line[1024];
    snprintf(line, sizeof line,
             "rm -f link out.txt; { ./sim_hls --link link %s 2>sim.txt & } ; for i in $(seq 200); do [ -e "
             "link ] && break; sleep 0.05; done; "
             "timeout 60 ./example -w 2000 link %s >out.txt 2>error.txt; code=$?; kill %%1 2>/dev/null; "
             "wait; exit $code",
             options, words);
    char quoted[1200];
    snprintf(quoted, sizeof quoted, "bash -c '%s'", line);
    return shell(dir, quoted);
}

static void expect(const char *dir, const char *file, const char *words) {
    char path[700];
    uint8_t *text;
    size_t size;
    mq_error error = {0};
    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (mq_file_read(path, 1 << 20, &text, &size, &error) != MQ_OK) fail_msg("%s", error.text);
    if (!strstr((char *)text, words)) fail_msg("%s: '%s' expected, got '%s'", file, words, (char *)text);
    mq_free(text);
}

static void boxes(void **state) {
    mq_inet *net = detector();
    mq_inet_plan *plan;
    hls_golden golden;
    mq_error error = {0};
    char dir[512], folder[600], path[700];
    hls_save(net, state);
    snprintf(dir, sizeof dir, "%s", temp_dir_path(state, "hls"));
    snprintf(folder, sizeof folder, "%s/host", dir);
    uint8_t *image = hls_images(net, IMAGES, 9);
    mq_hls_options options = {0};
    if (hls_golden_make(net, image, IMAGES, &golden, &error) != MQ_OK ||
        hls_plan(net, MQ_CLASS_II, 3, 4, 1, 0, &plan, &error) != MQ_OK ||
        mq_hls_build(net, plan, dir, &options, &error) != MQ_OK)
        fail_msg("%s", error.text);
    assert_int_equal(shell(folder, "make -s example sim_hls"), 0);
    for (int i = 0; i < IMAGES; i++) {
        snprintf(path, sizeof path, "%s/%d.raw", folder, i);
        assert_int_equal(mq_file_write(path, image + (size_t)i * 8 * 12 * 3, 8 * 12 * 3, &error), MQ_OK);
    }
    assert_int_equal(run(folder, "", "0.raw 1.raw 2.raw"), 0);
    mq_head head = {.in_h = 8,
                    .in_w = 12,
                    .grid_h = 4,
                    .grid_w = 6,
                    .classes = 1,
                    .anchors = 2,
                    .anchor_w = {4.5, 2.25},
                    .anchor_h = {3, 6}};
    for (int i = 0; i < IMAGES; i++) {
        float real[4 * 6 * 12];
        for (int k = 0; k < 4 * 6 * 12; k++) real[k] = (float)golden.output[i][k] / 7.0f;
        mq_found f = mq_head_find(&head, real, MQ_HEAD_NHWC);
        double x = (double)f.box.x, y = (double)f.box.y, w = (double)f.box.w / 2, h = (double)f.box.h / 2;
        snprintf(path, sizeof path, "%d.raw %.2f %.2f %.2f %.2f %.4f\n", i, x - w, x + w, y - h, y + h,
                 (double)f.confidence);
        expect(folder, "out.txt", path);
    }
    assert_int_equal(run(folder, "", "example.c"), 13); /* longer than a frame */
    expect(folder, "error.txt", "expected 8 x 12 x 3");
    assert_int_equal(run(folder, "--truncate 3", "0.raw"), 12);
    expect(folder, "error.txt", "the answer has");
    assert_int_equal(
        run(folder, "--network 0123456789012345678901234567890123456789012345678901234567890123", "0.raw"),
        14);
    expect(folder, "error.txt", "the hardware holds network 01234567");
    assert_int_equal(run(folder, "--swallow", "0.raw"), 11);
    expect(folder, "error.txt", "no answer in 2000 ms");
    assert_int_equal(shell(folder, "./example -w 100 nothing 0.raw 2>error.txt"), 15);
    hls_golden_free(&golden);
    mq_inet_plan_free(plan);
    mq_inet_free(net);
}

int main(void) {
    setenv("CXXFLAGS", "-O0", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(boxes, temp_dir_make, temp_dir_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
