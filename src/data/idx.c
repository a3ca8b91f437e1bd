/* idx.c - MNIST and Fashion-MNIST: one idx file of images and one of labels per split, plain or .gz.
 *
 * idx (yann.lecun.com/exdb/mnist, "file formats"): big-endian int32 magic 0x00000803 (unsigned bytes, 3
 * dimensions) or 0x00000801 (1 dimension), one int32 per dimension, then the bytes, last dimension fastest.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/reader.h"

#define FASHION_DIR     "/usr/share/datasets/fashion-mnist"
#define FASHION_PACKAGE "dataset-fashion-mnist"

enum {
    CLASSES = 10,
    IMAGES_MAGIC = 0x803,
    LABELS_MAGIC = 0x801,
    IMAGES_HEADER = 16,
    LABELS_HEADER = 8,
    SMALL = 16,
    SMALL_MOST = 1 << 16
};

static const char fashion_names[CLASSES][MQ_DATA_NAME] = {
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
static const char digit_names[CLASSES][MQ_DATA_NAME] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Opens DIR/name or DIR/name.gz, whichever is there. */
static mq_status open_either(const char *dir, const char *name, mq_rawfile **out, mq_error *error) {
    char plain[MQ_PATH], packed[MQ_PATH], packed_name[64];
    snprintf(packed_name, sizeof packed_name, "%s.gz", name);
    MQ_TRY(mq_path_join(dir, name, plain, error));
    MQ_TRY(mq_path_join(dir, packed_name, packed, error));
    if (mq_path_exists(plain)) return mq_rawfile_open(plain, out, error);
    if (mq_path_exists(packed)) return mq_rawfile_open(packed, out, error);
    return mq_fail(error, MQ_BAD_INPUT, "%s: file missing: expected %s or %s there", dir, name, packed_name);
}

/* Reads the header: checks the magic and gives count and the further dimensions (each 1..most). */
static mq_status read_header(mq_rawfile *file, uint32_t magic, int dims, uint32_t *dim, mq_error *error) {
    uint8_t header[IMAGES_HEADER];
    MQ_TRY(mq_rawfile_read(file, header, 4 + 4 * (size_t)dims, error));
    if (big_endian(header) != magic)
        return mq_fail(error, MQ_BAD_INPUT, "%s: not an idx file of %s: got magic 0x%08x, expected 0x%08x",
                       mq_rawfile_path(file), dims == 3 ? "images" : "labels", big_endian(header), magic);
    for (int i = 0; i < dims; i++) {
        uint32_t most = i ? MQ_DATA_SIDE : MQ_DATA_SAMPLES;
        dim[i] = big_endian(header + 4 + 4 * i);
        if (dim[i] < 1 || dim[i] > most)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %u, expected 1..%u", mq_rawfile_path(file),
                           i == 0   ? "count"
                           : i == 1 ? "height"
                                    : "width",
                           dim[i], most);
    }
    size_t total = 4 + 4 * (size_t)dims, payload = dim[0];
    for (int i = 1; i < dims; i++) payload *= dim[i]; /* at most 2^50 */
    return mq_rawfile_expect(file, total + payload, error);
}

static mq_status read_images(mq_rawfile *file, uint32_t count, int height, int width, mq_dataset *set,
                             mq_error *error) {
    size_t bytes = (size_t)height * (size_t)width;
    uint8_t *image;
    MQ_TRY(mq_alloc(bytes, 1, "an image", &image, error));
    mq_status status = MQ_OK;
    for (size_t i = 0; i < count && status == MQ_OK; i++) {
        status = mq_rawfile_read(file, image, bytes, error);
        if (status == MQ_OK && i < set->count)
            mq_reader_place(set, i, image, height, width, (mq_reader_strides){(size_t)width, 1, 0});
    }
    mq_free(image);
    MQ_TRY(status);
    return mq_rawfile_end(file, error);
}

static mq_status read_labels(mq_rawfile *file, uint32_t count, mq_dataset *set, mq_error *error) {
    for (size_t i = 0; i < count;) {
        uint8_t labels[4096];
        size_t n = count - i < sizeof labels ? count - i : sizeof labels;
        MQ_TRY(mq_rawfile_read(file, labels, n, error));
        for (size_t j = 0; j < n; j++, i++) {
            if (labels[j] >= CLASSES)
                return mq_fail(error, MQ_BAD_INPUT, "%s: label of sample %zu: got %u, expected 0..%d",
                               mq_rawfile_path(file), i, labels[j], CLASSES - 1);
            if (i < set->count) set->labels[i] = labels[j];
        }
    }
    return mq_rawfile_end(file, error);
}

static mq_status read_pair(const char *name, mq_rawfile *images, mq_rawfile *labels,
                           const mq_data_request *request, const char names[CLASSES][MQ_DATA_NAME],
                           mq_dataset **out, mq_error *error) {
    uint32_t dim[3] = {0}, label_count = 0;
    MQ_TRY(read_header(images, IMAGES_MAGIC, 3, dim, error));
    MQ_TRY(read_header(labels, LABELS_MAGIC, 1, &label_count, error));
    if (label_count != dim[0])
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %u labels, expected %u as images in %s",
                       mq_rawfile_path(labels), label_count, dim[0], mq_rawfile_path(images));
    int height = (int)dim[1], width = (int)dim[2];
    if (height * width < SMALL &&
        dim[0] > SMALL_MOST) /* padded they could be a million times their .gz file */
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: %u images of %d x %d, expected at most %d of less than %d pixels",
                       mq_rawfile_path(images), dim[0], height, width, SMALL_MOST, SMALL);
    MQ_TRY(mq_reader_create(name, request, dim[0], height, width, 1, CLASSES, out, error));
    mq_dataset *set = *out;
    mq_status status;
    MQ_TRY_GOTO(read_labels(labels, label_count, set, error), fail);
    MQ_TRY_GOTO(read_images(images, dim[0], height, width, set, error), fail);
    MQ_TRY_GOTO(mq_alloc(CLASSES, MQ_DATA_NAME, "class names", &set->class_names, error), fail);
    memcpy(set->class_names, names, CLASSES * MQ_DATA_NAME);
    return MQ_OK;
fail:
    mq_dataset_free(set);
    *out = NULL;
    return status;
}

static mq_status open_idx(const char *name, const char *dir, const mq_data_request *request,
                          const char names[CLASSES][MQ_DATA_NAME], mq_dataset **out, mq_error *error) {
    const char *prefix = request->split == MQ_SPLIT_TRAIN ? "train" : "t10k";
    char image_name[32], label_name[32];
    snprintf(image_name, sizeof image_name, "%s-images-idx3-ubyte", prefix);
    snprintf(label_name, sizeof label_name, "%s-labels-idx1-ubyte", prefix);
    mq_rawfile *images = NULL, *labels = NULL;
    mq_status status = open_either(dir, image_name, &images, error);
    if (status == MQ_OK) status = open_either(dir, label_name, &labels, error);
    if (status == MQ_OK) status = read_pair(name, images, labels, request, names, out, error);
    mq_rawfile_close(images);
    mq_rawfile_close(labels);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, status, "data set %s", name);
}

mq_status mq_open_fashion_mnist(const char *argument, const mq_data_request *request, mq_dataset **out,
                                mq_error *error) {
    if (!argument && !mq_path_is_dir(FASHION_DIR))
        return mq_fail(error, MQ_BAD_INPUT,
                       "data set fashion-mnist: no folder " FASHION_DIR
                       ": install the Debian package " FASHION_PACKAGE
                       " or name a folder with its files, fashion-mnist:DIR");
    return open_idx("fashion-mnist", argument ? argument : FASHION_DIR, request, fashion_names, out, error);
}

mq_status mq_open_mnist(const char *argument, const mq_data_request *request, mq_dataset **out,
                        mq_error *error) {
    if (!argument) return mq_fail(error, MQ_USAGE, "data set mnist: no folder, expected mnist:DIR");
    return open_idx("mnist", argument, request, digit_names, out, error);
}
