/* Bytes as an ONNX file, up to the checkpoint's description: with libFuzzer (tools/fuzz.sh) or, here, files
 * of our own writer cut, changed and crossed. Accepted or refused with a message: never worse. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qonnx/qonnx_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_error error = {0};
    const mq_qonnx_options options = {.pixel_divisor = 255};
    mq_status status = mq_qonnx_import_bytes("fuzz.onnx", data, size, &options, NULL, NULL, &error);
    bool good = status == MQ_OK || ((status == MQ_BAD_INPUT || status == MQ_INTERNAL) && error.text[0]);
    for (const char *c = error.text; *c; c++) good = good && (unsigned char)*c >= ' ';
    if (!good) abort();
    return 0;
}

#ifndef MIXQ_FUZZER
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "qonnx/helper_graph.h"

static void changed_files(void **state) {
    uint8_t *bytes, *copy;
    size_t size;
    const char *path = temp_dir_path(state, "seed.onnx");
    graph_small(path);
    graph_agrees(path, 3, 1); /* the seed is a network */
    assert_int_equal(mq_file_read(path, 1 << 20, &bytes, &size, NULL), MQ_OK);
    assert_int_equal(mq_alloc(size, 1, "bytes", &copy, NULL), MQ_OK);
    mq_rng rng = mq_rng_stream(9, "fuzz", 0);
    uint64_t n = 0;
    for (int round = 0; round < 12000; round++) {
        size_t length = size;
        memcpy(copy, bytes, size);
        int changes = 1 + (int)mq_rng_below(&rng, n++, 6);
        for (int i = 0; i < changes; i++) {
            size_t at = mq_rng_below(&rng, n++, (uint32_t)size),
                   from = mq_rng_below(&rng, n++, (uint32_t)size);
            size_t most = size - (at > from ? at : from),
                   run = 1 + mq_rng_below(&rng, n++, most < 12 ? (uint32_t)most : 12);
            switch (mq_rng_below(&rng, n++, 4)) {
            case 0:
                copy[at] = (uint8_t)mq_rng_below(&rng, n++, 256);
                break;
            case 1:
                copy[at] ^= (uint8_t)(1 << mq_rng_below(&rng, n++, 8));
                break;
            case 2: /* a piece of another place */
                memmove(copy + at, bytes + from, run > most ? most : run);
                break;
            default:
                length = i == 0 ? 1 + mq_rng_below(&rng, n++, (uint32_t)size) : length;
                break;
            }
        }
        LLVMFuzzerTestOneInput(copy, length);
    }
    mq_free(copy);
    mq_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(changed_files)};
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
#endif
