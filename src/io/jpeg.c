/* jpeg.c - libjpeg reports errors through callbacks that must not return: they leave by longjmp to the
 * function that holds the codec, whose live variables are in its struct. */
#include "io/jpeg.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/file.h"

enum { SIDE_MOST = 65500, SCANS_MOST = 200, FULL_COLOUR = 90 };

typedef struct codec {
    struct jpeg_error_mgr manager; /* first: libjpeg hands back its address */
    struct jpeg_progress_mgr progress;
    jmp_buf leave;
    const char *path;
    mq_error *error;
    mq_status status;
} codec;

static codec *codec_of(j_common_ptr info) {
    return (codec *)(void *)info->err;
}

static void on_error(j_common_ptr info) {
    codec *c = codec_of(info);
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    mq_status status = info->err->msg_code == JERR_OUT_OF_MEMORY ? MQ_INTERNAL : MQ_BAD_INPUT;
    c->status = mq_fail(c->error, status, "%s: %s: %s", c->path,
                        info->is_decompressor ? "damaged JPEG" : "JPEG", text);
    longjmp(c->leave, 1);
}

/* Warnings mean that pixels were made up, but for these two. */
static void on_message(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA && info->err->msg_code != JWRN_ADOBE_XFORM)
        on_error(info);
}

static void on_output(j_common_ptr info) {
    (void)info;
}

/* A small progressive file can hold very many scans of a large image. */
static void on_progress(j_common_ptr info) {
    codec *c = codec_of(info);
    if (!info->is_decompressor || ((j_decompress_ptr)(void *)info)->input_scan_number <= SCANS_MOST) return;
    c->status = mq_fail(c->error, MQ_BAD_INPUT, "%s: damaged JPEG: more than %d scans", c->path, SCANS_MOST);
    longjmp(c->leave, 1);
}

static struct jpeg_error_mgr *set_up(codec *c, const char *path, mq_error *error) {
    *c = (codec){.path = path, .error = error};
    jpeg_std_error(&c->manager);
    c->manager.error_exit = on_error;
    c->manager.emit_message = on_message;
    c->manager.output_message = on_output;
    c->progress.progress_monitor = on_progress;
    return &c->manager;
}

static mq_status fail_empty(const char *path, mq_error *error) {
    return mq_fail(error, MQ_BAD_INPUT, "%s: empty file, expected a JPEG", path);
}

mq_status mq_jpeg_size(const char *path, const uint8_t *bytes, size_t size, int *height, int *width,
                       mq_error *error) {
    struct jpeg_decompress_struct info = {0};
    codec c;
    *height = *width = 0;
    if (size == 0) return fail_empty(path, error);
    info.err = set_up(&c, path, error);
    if (setjmp(c.leave) == 0) {
        jpeg_create_decompress(&info);
        jpeg_mem_src(&info, bytes, (unsigned long)size);
        jpeg_read_header(&info, TRUE);
        if ((uint64_t)info.image_height * info.image_width > MQ_JPEG_PIXELS) {
            c.status = mq_fail(error, MQ_BAD_INPUT, "%s: image of %u x %u, expected at most %d pixels", path,
                               info.image_height, info.image_width, MQ_JPEG_PIXELS);
        } else {
            *height = (int)info.image_height;
            *width = (int)info.image_width;
        }
    }
    jpeg_destroy_decompress(&info);
    return c.status;
}

/* In place: cyan, magenta, yellow, black of one row become three colours, the front of the row. */
static void join_black(const uint8_t *in, uint8_t *out, int width, bool inverted, mq_channel_order order) {
    for (int x = 0; x < width; x++) {
        unsigned black = inverted ? in[4 * x + 3] : 255U - in[4 * x + 3];
        for (int k = 0; k < 3; k++) {
            unsigned v = inverted ? in[4 * x + k] : 255U - in[4 * x + k];
            out[3 * x + (order == MQ_RGB ? k : 2 - k)] = (uint8_t)((v * black + 127) / 255);
        }
    }
}

mq_status mq_jpeg_decode(const char *path, const uint8_t *bytes, size_t size, mq_channel_order order,
                         int height, int width, uint8_t *out, mq_error *error) {
    struct jpeg_decompress_struct info = {0};
    codec c;
    if (size == 0) return fail_empty(path, error);
    info.err = set_up(&c, path, error);
    if (setjmp(c.leave) == 0) {
        jpeg_create_decompress(&info);
        info.progress = &c.progress;
        jpeg_mem_src(&info, bytes, (unsigned long)size);
        jpeg_read_header(&info, TRUE);
        bool four = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
        info.out_color_space = four ? JCS_CMYK : order == MQ_BGR ? JCS_EXT_BGR : JCS_EXT_RGB;
        JSAMPARRAY black_row = NULL;
        if (four)
            black_row = info.mem->alloc_sarray((j_common_ptr)&info, JPOOL_IMAGE, 4 * (JDIMENSION)width, 1);
        if ((int)info.image_height != height || (int)info.image_width != width) {
            c.status = mq_fail(error, MQ_INTERNAL, "%s: image of %u x %u, expected %d x %d", path,
                               info.image_height, info.image_width, height, width);
        } else {
            jpeg_start_decompress(&info);
            while (info.output_scanline < info.output_height) {
                uint8_t *to = out + 3 * (size_t)info.output_scanline * (size_t)width;
                JSAMPROW row = four ? black_row[0] : to;
                jpeg_read_scanlines(&info, &row, 1);
                if (four) join_black(row, to, width, info.saw_Adobe_marker, order);
            }
            jpeg_finish_decompress(&info);
        }
    }
    jpeg_destroy_decompress(&info);
    return c.status;
}

/* ---- writing ---- */

enum { PIECE = 1 << 14 };

/* libjpeg's own destination in memory forgets what it holds when it fails, so its bytes go straight on. */
typedef struct sink {
    struct jpeg_destination_mgr manager; /* first: libjpeg hands back its address */
    mq_outfile *file;
    uint8_t piece[PIECE];
} sink;

static void begin_pieces(j_compress_ptr info) {
    sink *s = (sink *)(void *)info->dest;
    s->manager.next_output_byte = s->piece;
    s->manager.free_in_buffer = PIECE;
}

static void put_piece(j_compress_ptr info, size_t size) {
    sink *s = (sink *)(void *)info->dest;
    codec *c = codec_of((j_common_ptr)info);
    c->status = mq_outfile_write(s->file, s->piece, size, c->error);
    if (c->status != MQ_OK) longjmp(c->leave, 1);
}

static boolean next_piece(j_compress_ptr info) {
    put_piece(info, PIECE); /* full, whatever free_in_buffer says */
    begin_pieces(info);
    return TRUE;
}

static void last_piece(j_compress_ptr info) {
    put_piece(info, PIECE - info->dest->free_in_buffer);
}

mq_status mq_jpeg_write(const char *path, const uint8_t *pixels, int height, int width,
                        mq_channel_order order, int quality, mq_error *error) {
    if (height < 1 || width < 1 || height > SIDE_MOST || width > SIDE_MOST || quality < 1 || quality > 100)
        return mq_fail(error, MQ_USAGE, "%s: image of %d x %d, quality %d, expected 1..%d x 1..%d, 1..100",
                       path, height, width, quality, SIDE_MOST, SIDE_MOST);
    struct jpeg_compress_struct info = {0};
    codec c;
    sink s;
    s.manager = (struct jpeg_destination_mgr){
        .init_destination = begin_pieces, .empty_output_buffer = next_piece, .term_destination = last_piece};
    MQ_TRY(mq_outfile_open(path, &s.file, error));
    mq_outfile_unsynced(s.file);
    info.err = set_up(&c, path, error);
    if (setjmp(c.leave) == 0) {
        jpeg_create_compress(&info);
        info.dest = &s.manager;
        info.image_height = (JDIMENSION)height;
        info.image_width = (JDIMENSION)width;
        info.input_components = 3;
        info.in_color_space = order == MQ_BGR ? JCS_EXT_BGR : JCS_EXT_RGB;
        jpeg_set_defaults(&info);
        jpeg_set_quality(&info, quality, TRUE);
        if (quality >= FULL_COLOUR) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
        jpeg_start_compress(&info, TRUE);
        while (info.next_scanline < info.image_height) {
            JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + 3 * (size_t)info.next_scanline * (size_t)width);
            jpeg_write_scanlines(&info, &row, 1);
        }
        jpeg_finish_compress(&info);
    }
    jpeg_destroy_compress(&info);
    if (c.status == MQ_OK) return mq_outfile_commit(s.file, error);
    mq_outfile_abort(s.file);
    return c.status;
}
