/* reader.h - what the data-set readers share: files that may be compressed, and images made to fit. For the
 * files of this folder only. */
#ifndef MIXQ_DATA_READER_H
#define MIXQ_DATA_READER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/dataset.h"

/* Open functions of the table in dataset.c. */
mq_status mq_open_fashion_mnist(const char *argument, const mq_data_request *request, mq_dataset **out,
                                mq_error *error) MQ_MUST_CHECK;
mq_status mq_open_mnist(const char *argument, const mq_data_request *request, mq_dataset **out,
                        mq_error *error) MQ_MUST_CHECK;
mq_status mq_open_cifar10(const char *argument, const mq_data_request *request, mq_dataset **out,
                          mq_error *error) MQ_MUST_CHECK;
mq_status mq_open_folder(const char *argument, const mq_data_request *request, mq_dataset **out,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_open_npy(const char *argument, const mq_data_request *request, mq_dataset **out,
                      mq_error *error) MQ_MUST_CHECK;
mq_status mq_open_shapes(const char *argument, const mq_data_request *request, mq_dataset **out,
                         mq_error *error) MQ_MUST_CHECK;
mq_status mq_open_dac_sdc(const char *argument, const mq_data_request *request, mq_dataset **out,
                          mq_error *error) MQ_MUST_CHECK;

/* A set for `count` images of height x width x channels in the file, under the request: its limit applied,
 * its shape decided. MQ_USAGE when the wanted shape is smaller or has channels that copying cannot give. */
mq_status mq_reader_create(const char *name, const mq_data_request *request, size_t count, int height,
                           int width, int channels, int classes, mq_dataset **out,
                           mq_error *error) MQ_MUST_CHECK;
/* Distance in bytes between neighbours in a file's image; channel 0 = grey, copied to all. */
typedef struct mq_reader_strides {
    size_t row, column, channel;
} mq_reader_strides;
/* Writes one image of height x width into the middle of image `sample`; the odd zero row or column goes after
 * it. */
void mq_reader_place(mq_dataset *dataset, size_t sample, const uint8_t *image, int height, int width,
                     mq_reader_strides strides);

/* A file read from front to end, plain or gzip (seen from its first bytes). */
typedef struct mq_rawfile mq_rawfile;
mq_status mq_rawfile_open(const char *path, mq_rawfile **out, mq_error *error) MQ_MUST_CHECK;
/* States that the whole content is `total` bytes; fails at once when the file's size rules that out. */
mq_status mq_rawfile_expect(mq_rawfile *file, size_t total, mq_error *error) MQ_MUST_CHECK;
/* The next `size` bytes (at most 1 GiB), or MQ_BAD_INPUT when fewer are left. */
mq_status mq_rawfile_read(mq_rawfile *file, void *out, size_t size, mq_error *error) MQ_MUST_CHECK;
/* MQ_BAD_INPUT when bytes are left or the checksum of compressed data is wrong. */
mq_status mq_rawfile_end(mq_rawfile *file, mq_error *error) MQ_MUST_CHECK;
const char *mq_rawfile_path(const mq_rawfile *file);
void mq_rawfile_close(mq_rawfile *file); /* NULL is fine */

#endif
