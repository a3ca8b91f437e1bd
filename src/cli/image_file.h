/* image_file.h - images given as a file: `--input F`. */
#ifndef MIXQ_CLI_IMAGE_FILE_H
#define MIXQ_CLI_IMAGE_FILE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct image_file {
    size_t count;    /* at least 1 */
    uint8_t *images; /* [count][c][h][w]; owned */
} image_file;

/* path: a .npy, or a .safetensors with a tensor `images`: integers or float32 of shape [N, c, h, w] that hold
 * whole numbers 0..255; anything else is MQ_BAD_INPUT. */
mq_status image_file_open(const char *path, int c, int h, int w, image_file *out,
                          mq_error *error) MQ_MUST_CHECK;
void image_file_close(image_file *file);

#endif
