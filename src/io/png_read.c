/* png_read.c - whole PNG files from memory, by libpng's simplified interface: it catches its own errors. */
#include <png.h>
#include <string.h>

#include "io/one_line.h"
#include "io/png.h"

static mq_status fail(const char *path, const png_image *image, mq_error *error) {
    return mq_one_line(error, mq_fail(error, MQ_BAD_INPUT, "%s: damaged PNG: %.60s", path, image->message));
}

static mq_status begin(const char *path, const uint8_t *bytes, size_t size, png_image *image,
                       mq_error *error) {
    *image = (png_image){.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_memory(image, bytes, size)) return fail(path, image, error);
    if ((uint64_t)image->width * image->height > MQ_PNG_PIXELS || !image->width || !image->height) {
        png_image_free(image);
        return mq_fail(error, MQ_BAD_INPUT, "%s: PNG of %u x %u pixels: at most %d in all expected", path,
                       image->height, image->width, MQ_PNG_PIXELS);
    }
    return MQ_OK;
}

mq_status mq_png_size(const char *path, const uint8_t *bytes, size_t size, int *height, int *width,
                      mq_error *error) {
    png_image image;
    MQ_TRY(begin(path, bytes, size, &image, error));
    *height = (int)image.height;
    *width = (int)image.width;
    png_image_free(&image);
    return MQ_OK;
}

mq_status mq_png_decode(const char *path, const uint8_t *bytes, size_t size, int height, int width,
                        uint8_t *out, mq_error *error) {
    png_image image;
    const png_color black = {0, 0, 0};
    MQ_TRY(begin(path, bytes, size, &image, error));
    if ((int)image.height != height || (int)image.width != width) {
        png_image_free(&image);
        return mq_fail(error, MQ_INTERNAL, "%s: PNG of another size", path);
    }
    image.format = PNG_FORMAT_RGB;
    return png_image_finish_read(&image, &black, out, 0, NULL) ? MQ_OK : fail(path, &image, error);
}
