/* test_plain_c_networks.c - every built-in network, classifiers and detectors, with random parameters and
 * bits, lowered by our rules and by the published ones: as plain C against the reference simulator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/temp_dir.h"
#include "flow/helper_networks.h"
#include "gen/helper_plain_c.h"
#include "lower/lower.h"

static void compare(void **state, const char *model, uint64_t seed, const char *compiler, bool compat) {
    mq_error error = {0};
    mq_checkpoint checkpoint;
    mq_inet *integer;
    mq_net *net;
    size_t different = 0;
    const mq_lower_options options = {.compat = compat, .lshift = 16};
    const char *dir = ((temp_dir *)*state)->path;
    if (!plain_c_has(compiler)) return;
    NEED(mq_net_open(model, &net, &error));
    network_checkpoint(net, seed, temp_dir_path(state, "c.safetensors"), &checkpoint);
    NEED(mq_lower(&checkpoint, compat ? &options : NULL, &integer, &error));
    NEED(mq_plain_c_write(integer, dir, &error));
    plain_c_same(integer, dir, compiler, "-O3", 1, &different);
    assert_true(different > 5);
    mq_inet_free(integer);
    mq_checkpoint_free(&checkpoint);
    mq_net_free(net);
}

static void networks(void **state) {
    static const char *const models[] = {"vgg_tiny", "lenet", "ultranet", "skynet", "skynetk5"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        compare(state, models[m], m + 1, m % 2 ? "clang" : "gcc", false);
    compare(state, "ultranet_bypass", 0, "gcc", false);
    compare(state, "ultranet_bypass", 0, "gcc", true); /* with the published rescaling */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(networks, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
