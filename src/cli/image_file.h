/* image_file.h - images given as a file: `--input F`. */
#ifndef MIXQ_CLI_IMAGE_FILE_H
#define MIXQ_CLI_IMAGE_FILE_H

#include "inet/inet.h"

#include <stddef.h>
#include <stdint.h>

typedef struct image_file {
    size_t count;    /* at least 1 */
    uint8_t *images; /* [count][c][h][w] bytes as the simulator takes them; owned */
} image_file;

/* path: a .npy, a .npz with an array `images`, `x`, `x_test` or `arr_0` or with one array, or a .safetensors
 * with a tensor `images`: integers or float32 of shape [N, c, h, w] that hold
 * whole numbers 0..255. A network with a real input takes float32 as its own values, and integers as pixels
 * that its divisor scales; where it has one channel also shapes [N, h, w] and [N, h*w]. Anything else is
 * MQ_BAD_INPUT. */
mq_status image_file_open(const char *path, const mq_inet_node *image, image_file *out,
                          mq_error *error) MQ_MUST_CHECK;
void image_file_close(image_file *file);

#endif
