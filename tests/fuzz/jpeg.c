/* jpeg.c - an image; large ones are only measured, so that many inputs run. */
#include "base/memory.h"
#include "fuzz.h"
#include "io/jpeg.h"

enum { MOST = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int height, width;
    mq_error error = {0};
    if (!fuzz_accepted(mq_jpeg_size("fuzz.jpg", data, size, &height, &width, &error), &error, MQ_OK))
        return 0;
    size_t pixels = (size_t)height * (size_t)width;
    fuzz_demand(height > 0 && width > 0 && pixels <= MQ_JPEG_PIXELS, "a size");
    uint8_t *out;
    if (pixels > MOST) return 0;
    fuzz_demand(mq_alloc(pixels, 3, "pixels", &out, NULL) == MQ_OK, "memory");
    (void)fuzz_accepted(mq_jpeg_decode("fuzz.jpg", data, size, MQ_BGR, height, width, out, &error), &error,
                        MQ_OK);
    mq_free(out);
    return 0;
}
