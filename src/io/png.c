/* png.c - rows to libpng, its bytes to an atomic file. libpng leaves by longjmp: what is live across it is in
 * the writer, and nothing of ours is entered twice. */
#include "io/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>

#include "base/file.h"

enum { SIDE_MOST = 65535, LEVEL = 6 };

typedef struct writer {
    mq_outfile *file;
    mq_status status;
    mq_error *error;
    const char *path;
} writer;

static void on_error(png_structp png, png_const_charp text) {
    writer *w = png_get_error_ptr(png);
    if (w->status == MQ_OK) w->status = mq_fail(w->error, MQ_INTERNAL, "%s: libpng: %s", w->path, text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_write(png_structp png, png_bytep bytes, size_t size) {
    writer *w = png_get_io_ptr(png);
    w->status = mq_outfile_write(w->file, bytes, size, w->error);
    if (w->status != MQ_OK) png_error(png, "write");
}

static void on_flush(png_structp png) {
    (void)png;
}

static void write_rows(png_structp png, png_infop info, writer *w, const uint8_t *pixels, int height,
                       int width, int channels, mq_channel_order order) {
    if (setjmp(png_jmpbuf(png))) return;
    png_set_write_fn(png, w, on_write, on_flush);
    png_set_compression_level(png, LEVEL);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8,
                 channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    if (channels == 3 && order == MQ_BGR) png_set_bgr(png);
    for (int y = 0; y < height; y++)
        png_write_row(png, pixels + (size_t)y * (size_t)width * (size_t)channels);
    png_write_end(png, NULL);
}

mq_status mq_png_write(const char *path, const uint8_t *pixels, int height, int width, int channels,
                       mq_channel_order order, mq_error *error) {
    if (height < 1 || width < 1 || height > SIDE_MOST || width > SIDE_MOST ||
        (channels != 1 && channels != 3))
        return mq_fail(error, MQ_USAGE, "%s: image of %d x %d x %d, expected 1..%d x 1..%d x 1 or 3", path,
                       height, width, channels, SIDE_MOST, SIDE_MOST);
    writer w = {.error = error, .path = path};
    MQ_TRY(mq_outfile_open(path, &w.file, error));
    mq_outfile_unsynced(w.file);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info)
        write_rows(png, info, &w, pixels, height, width, channels, order);
    else
        w.status = mq_fail_memory(error, "libpng", 0);
    png_destroy_write_struct(&png, &info);
    if (w.status != MQ_OK) {
        mq_outfile_abort(w.file);
        return w.status;
    }
    return mq_outfile_commit(w.file, error);
}
