/* onnx.c - an ONNX file, up to the checkpoint's description. */
#include "fuzz.h"
#include "qonnx/qonnx_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_error error = {0};
    const mq_qonnx_options options = {.pixel_divisor = 255};
    (void)fuzz_accepted(mq_qonnx_import_bytes("fuzz.onnx", data, size, &options, NULL, NULL, &error), &error,
                        MQ_INTERNAL);
    return 0;
}
