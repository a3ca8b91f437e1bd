/* dataset.h - one split of a data set, ready to be batched.
 *
 * A data set is asked for by the DATA words of the command line: "name" or "name:ARGUMENT". One table of
 * readers (mq_data_readers) says which names exist, so a new data set is one row there and one file with its
 * open function. Images are made to fit the network once, while reading: centred zero padding up to the
 * wanted height and width, a grey image copied to all wanted channels. Nothing is scaled or cut. Pixels stay
 * bytes 0..255 (the networks read them as k/256).
 *
 * A classification set has one label per image and lies in memory. A detection set has the objects of its
 * images; its images are scaled or drawn to the network's size when they are asked for (mq_dataset_image,
 * from any thread) and kept up to a bound, so that a set need not fit in memory. Their channels are blue,
 * green, red, as the published detectors take them. */
#ifndef MIXQ_DATA_DATASET_H
#define MIXQ_DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "data/store.h"
#include "detect/box.h"
#include "io/pixels.h"

enum {
    MQ_DATA_NAME = 64,        /* bytes of a data-set or class name, with the final 0 */
    MQ_DATA_CHANNELS = 4,     /* channels at most */
    MQ_DATA_SIDE = 4096,      /* height and width at most */
    MQ_DATA_SAMPLES = 1 << 26 /* samples at most */
};
/* Bytes of one split's images at most (8 GiB). */
#define MQ_DATA_BYTES ((size_t)8 << 30)

typedef enum mq_split { MQ_SPLIT_TRAIN, MQ_SPLIT_TEST } mq_split;
const char *mq_split_name(mq_split split); /* "train", "test" */

typedef enum mq_data_task { MQ_DATA_CLASSIFY, MQ_DATA_DETECT } mq_data_task;

typedef struct mq_dataset {
    char name[MQ_DATA_NAME]; /* the reader's name: "fashion-mnist" */
    mq_split split;
    mq_data_task task;
    bool strict;                 /* as in the request */
    size_t count;                /* samples, at least 1 */
    int height, width, channels; /* of every image */
    int classes;                 /* labels are 0..classes-1 */
    mq_channel_order order;      /* of three channels: MQ_RGB of classification, MQ_BGR of detection sets */
    uint8_t *images;             /* [count][height][width][channels], 0..255; owned. NULL: in the store */
    mq_data_store *store;        /* images made when asked for, or NULL; owned */
    int32_t *labels;             /* [count], classification; else NULL; owned */
    size_t target_count;
    mq_target *targets;                /* [target_count], detection, by rising image; else NULL; owned */
    char (*class_names)[MQ_DATA_NAME]; /* [classes], or NULL when not known; owned */
} mq_dataset;

/* What to open. Zero fields mean: train split, all samples, the data set's usual shape. */
typedef struct mq_data_request {
    mq_split split;
    size_t limit;                /* the first `limit` samples in file order; 0 = all */
    int height, width, channels; /* the network's input; 0 = the usual one: at least 32 x 32 x 3, of detection
                                    sets 160 x 320 x 3 */
    uint64_t seed;               /* of generated sets; others ignore it */
    bool strict;   /* fail at the first faulty file instead of leaving it out (dac-sdc), and in a
                      loader at the first damaged image */
    bool second;   /* the other split was opened just before: faults of shared files are not said again */
    bool for_task; /* the set must be of `task`: said before anything is read */
    mq_data_task task;
    size_t kept; /* bytes of lazily made images to keep at most; 0 = MQ_STORE_KEPT */
} mq_data_request;

/* Opens `spec` ("fashion-mnist", "fashion-mnist:DIR", "mnist:DIR", "cifar10:DIR"). An unknown name or a shape
 * that padding cannot reach is MQ_USAGE (an unknown name lists the nearest and the known ones); a missing,
 * truncated or inconsistent file is MQ_BAD_INPUT. Files are checked whole even under a limit. Release with
 * mq_dataset_free. */
mq_status mq_dataset_open(const char *spec, const mq_data_request *request, mq_dataset **out,
                          mq_error *error) MQ_MUST_CHECK;

/* An empty set of that shape: images and labels zero, no class names; for readers and generated data. Checks
 * the limits above (MQ_USAGE). */
mq_status mq_dataset_create(const char *name, size_t count, int height, int width, int channels, int classes,
                            mq_dataset **out, mq_error *error) MQ_MUST_CHECK;
/* The same for a detection set with images from `source`, whose context it takes over, also when it fails;
 * target_count empty targets. kept as in the request. */
mq_status mq_dataset_create_detect(const char *name, size_t count, int height, int width, int channels,
                                   int classes, size_t target_count, const mq_data_source *source,
                                   void *context, size_t kept, mq_dataset **out,
                                   mq_error *error) MQ_MUST_CHECK;
void mq_dataset_free(mq_dataset *dataset); /* NULL is fine */

/* Writes image `sample` into out, uint8 [height][width][channels], whether it is in memory or not; from any
 * thread. scratch: the thread's own, or NULL for one of this call. MQ_BAD_INPUT: the image's file is damaged.
 */
mq_status mq_dataset_image(const mq_dataset *dataset, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                           mq_error *error) MQ_MUST_CHECK;
/* Brings all images into memory, so that dataset->images is there; for code that needs them at one place.
 * MQ_USAGE when they are more than MQ_DATA_BYTES, MQ_BAD_INPUT at the first damaged one. At once done when
 * they are there. */
mq_status mq_dataset_load(mq_dataset *dataset, mq_error *error) MQ_MUST_CHECK;
/* The sample's name in the set ("boat1/000001"; else its number "000041"), cut to MQ_DATA_SAMPLE_NAME - 1
 * bytes. */
enum { MQ_DATA_SAMPLE_NAME = 256 };
void mq_dataset_sample_name(const mq_dataset *dataset, size_t sample, char out[MQ_DATA_SAMPLE_NAME]);

/* Height and width of the sample's image as it was before scaling, as its label (else its file) says; of
 * images that are drawn or padded, the set's. */
void mq_dataset_sample_size(const mq_dataset *dataset, size_t sample, int *height, int *width);

/* Bytes of one image: height * width * channels. */
static inline size_t mq_dataset_image_bytes(const mq_dataset *dataset) {
    return (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
}

/* The table of readers, for help texts; a row with name NULL ends it. */
typedef struct mq_data_reader {
    const char *name;
    const char *usage; /* "fashion-mnist[:DIR]" */
    const char *help;  /* one line */
    mq_data_task task;
    /* argument: what follows the ':' (NULL without one; never empty). */
    mq_status (*open)(const char *argument, const mq_data_request *request, mq_dataset **out,
                      mq_error *error);
} mq_data_reader;
extern const mq_data_reader mq_data_readers[];

/* What `mixq data info` prints of one split. */
enum { MQ_DATA_AREAS = 5 };
typedef struct mq_dataset_info {
    size_t count;
    int height, width, channels, classes;
    size_t *class_counts;               /* [classes] samples of each label, or objects of each class; owned */
    double mean[MQ_DATA_CHANNELS];      /* per channel, in pixel values 0..255, padding included */
    double deviation[MQ_DATA_CHANNELS]; /* standard deviation (divisor n), same unit */
    char images_sha256[MQ_DIGEST_TEXT]; /* of the bytes [count][height][width][channels] */
    char labels_sha256[MQ_DIGEST_TEXT]; /* of the labels as little-endian int32, or of the targets' bytes */
    double
        areas[MQ_DATA_AREAS]; /* detection: least, quartiles and largest of the boxes' parts of the image */
    double constant_iou;      /* detection: mean IoU of the best constant box */
    mq_box constant_box;
    size_t damaged; /* images that could not be read; not in means and hash */
    mq_error first_damage;
} mq_dataset_info;

mq_status mq_dataset_describe(const mq_dataset *dataset, mq_dataset_info *out, mq_error *error) MQ_MUST_CHECK;
void mq_dataset_info_clear(mq_dataset_info *info); /* releases what describe allocated */

#endif
