/* png_read.c - a PNG in memory to bytes. libpng leaves by longjmp: what is live across it is in the reader.
 */
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "io/png.h"

enum { CHUNKS_MOST = 1000, CHUNK_BYTES = 1 << 26 };

typedef struct reader {
    const char *path;
    const uint8_t *bytes;
    size_t size, at;
    mq_status status;
    mq_error *error;
    png_structp png;
    png_infop info;
    png_bytep *rows;
} reader;

static void on_error(png_structp png, png_const_charp text) {
    reader *r = png_get_error_ptr(png);
    if (r->status == MQ_OK) r->status = mq_fail(r->error, MQ_BAD_INPUT, "%s: damaged PNG: %s", r->path, text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep out, size_t size) {
    reader *r = png_get_io_ptr(png);
    if (size > r->size - r->at) png_error(png, "cut short");
    memcpy(out, r->bytes + r->at, size);
    r->at += size;
}

/* Every chunk up to the last lies inside the file: libpng gets memory for what a chunk says it holds. */
static bool chunks_inside(const uint8_t *bytes, size_t size) {
    for (size_t at = 8; size - at >= 12;) {
        size_t n = (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 |
                   bytes[at + 3];
        if (n > size - at - 12) return false;
        if (memcmp(bytes + at + 4, "IEND", 4) == 0) return true;
        at += n + 12;
    }
    return false;
}

static mq_status begin(reader *r, const char *path, const uint8_t *bytes, size_t size, mq_error *error) {
    *r = (reader){.path = path, .bytes = bytes, .size = size, .error = error};
    if (size < 8 || png_sig_cmp(bytes, 0, 8) != 0)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %s, expected a PNG", path, size ? "no PNG" : "empty file");
    if (!chunks_inside(bytes, size)) return mq_fail(error, MQ_BAD_INPUT, "%s: damaged PNG: cut short", path);
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (r->info) return MQ_OK;
    png_destroy_read_struct(&r->png, &r->info, NULL);
    return mq_fail_memory(error, "libpng", 0);
}

static void end(reader *r) {
    png_destroy_read_struct(&r->png, &r->info, NULL);
    mq_free(r->rows);
}

static void read_header(reader *r) {
    if (setjmp(png_jmpbuf(r->png))) return;
    png_set_read_fn(r->png, r, on_read);
    png_set_user_limits(r->png, 65535, 65535);
    png_set_chunk_cache_max(r->png, CHUNKS_MOST);
    png_set_chunk_malloc_max(r->png, CHUNK_BYTES);
    png_read_info(r->png, r->info);
}

static mq_status open_header(reader *r, const char *path, const uint8_t *bytes, size_t size, int *height,
                             int *width, mq_error *error) {
    MQ_TRY(begin(r, path, bytes, size, error));
    read_header(r);
    if (r->status == MQ_OK) {
        *height = (int)png_get_image_height(r->png, r->info);
        *width = (int)png_get_image_width(r->png, r->info);
        if ((size_t)*height * (size_t)*width > MQ_PNG_PIXELS)
            r->status = mq_fail(error, MQ_BAD_INPUT, "%s: image of %d x %d, at most %d pixels expected", path,
                                *height, *width, MQ_PNG_PIXELS);
    }
    if (r->status != MQ_OK) end(r);
    return r->status;
}

mq_status mq_png_size(const char *path, const uint8_t *bytes, size_t size, int *height, int *width,
                      mq_error *error) {
    reader r;
    MQ_TRY(open_header(&r, path, bytes, size, height, width, error));
    end(&r);
    return MQ_OK;
}

static void read_rows(reader *r, mq_channel_order order, int width) {
    if (setjmp(png_jmpbuf(r->png))) return;
    png_set_scale_16(r->png);
    png_set_expand(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_strip_alpha(r->png);
    if (order == MQ_BGR) png_set_bgr(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    if (png_get_rowbytes(r->png, r->info) != 3 * (size_t)width)
        png_error(r->png, "unexpected kind of pixels");
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
}

mq_status mq_png_decode(const char *path, const uint8_t *bytes, size_t size, mq_channel_order order,
                        int height, int width, uint8_t *out, mq_error *error) {
    reader r;
    int h = 0, w = 0;
    MQ_TRY(open_header(&r, path, bytes, size, &h, &w, error));
    if (h != height || w != width)
        r.status =
            mq_fail(error, MQ_INTERNAL, "%s: a PNG of %d x %d into %d x %d", path, h, w, height, width);
    if (r.status == MQ_OK) r.status = mq_alloc((size_t)height, sizeof *r.rows, "rows", &r.rows, error);
    if (r.status == MQ_OK) {
        for (int y = 0; y < height; y++) r.rows[y] = out + 3 * (size_t)y * (size_t)width;
        read_rows(&r, order, width);
    }
    end(&r);
    return r.status;
}
