/* test_rtl_layer.c - layers in Verilog against the reference simulator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/temp_dir.h"
#include "gen/helper_layer.h"

static const layer_want FIRST[] = {
    {.wbit = 3,
     .abit = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
     .h = 6,
     .w = 16,
     .c = 4,
     .out = 8,
     .simd = 4,
     .pe = 4,
     .rows = 3,
     .blocks = 1,
     .out_pixels = 5,
     .in_channels = 4,
     .in_pixels = 1},
};

static void one(void **state) {
    mq_pack_explorer *explorer;
    assert_int_equal(mq_pack_explorer_create(&explorer, NULL), MQ_OK);
    layer_case l[1] = {{.name = "l0", .want = FIRST[0]}};
    for (int i = 0; i < 1; i++) {
        layer_make(&l[i], explorer, (uint64_t)i);
        layer_write(&l[i], ((temp_dir *)*state)->path, (uint64_t)i);
    }
    layers_verilator(l, 1, ((temp_dir *)*state)->path, "", 20000);
    layers_check(l, 1);
    for (int i = 0; i < 1; i++) layer_free(&l[i]);
    mq_pack_explorer_free(explorer);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one)};
    return cmocka_run_group_tests(tests, temp_dir_make, getenv("KEEP") ? NULL : temp_dir_remove);
}
