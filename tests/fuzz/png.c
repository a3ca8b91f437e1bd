/* png.c - an image. The checksums of its chunks are put right first, else they would stop nearly every
 * mutant; large images are only measured. */
#include "io/png.h"

#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "fuzz.h"

enum { MOST = 1 << 18, SIGNATURE = 8 };

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_checksums(uint8_t *png, size_t size) {
    for (size_t at = SIGNATURE; at + 12 <= size;) {
        size_t n = big_endian(png + at);
        if (n > size - at - 12) return;
        uint32_t crc = (uint32_t)crc32_z(0, png + at + 4, n + 4);
        for (int k = 0; k < 4; k++) png[at + 8 + n + (size_t)k] = (uint8_t)(crc >> (24 - 8 * k));
        at += n + 12;
    }
}

static void read_image(const uint8_t *data, size_t size) {
    int height, width;
    mq_error error = {0};
    if (!fuzz_accepted(mq_png_size("fuzz.png", data, size, &height, &width, &error), &error, MQ_OK)) return;
    size_t pixels = (size_t)height * (size_t)width;
    fuzz_demand(height > 0 && width > 0 && pixels <= MQ_PNG_PIXELS, "a size");
    uint8_t *out;
    if (pixels > MOST) return;
    fuzz_demand(mq_alloc(pixels, 3, "pixels", &out, NULL) == MQ_OK, "memory");
    (void)fuzz_accepted(mq_png_decode("fuzz.png", data, size, MQ_BGR, height, width, out, &error), &error,
                        MQ_OK);
    mq_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy;
    read_image(data, size);
    fuzz_demand(mq_alloc(size, 1, "a copy", &copy, NULL) == MQ_OK, "memory");
    if (size) memcpy(copy, data, size);
    put_checksums(copy, size);
    read_image(copy, size);
    mq_free(copy);
    return 0;
}
