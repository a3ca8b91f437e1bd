/* hls_golden.h - an export's vectors as the golden ones of an HLS bench. */
#ifndef MIXQ_GEN_HLS_GOLDEN_H
#define MIXQ_GEN_HLS_GOLDEN_H

#include "inet/inet.h"

typedef struct mq_hls_golden {
    size_t images;
    uint8_t *image;   /* [images][h][w][c]; owned */
    int64_t **output; /* [images] of [h][w][c]; owned */
} mq_hls_golden;

/* DIR/vectors/images.npy and the head's codes in file `head`, both [N,C,H,W]. MQ_BAD_INPUT: other shapes. */
mq_status mq_hls_golden_load(const mq_inet *net, const char *dir, const char *head, mq_hls_golden *out,
                             mq_error *error) MQ_MUST_CHECK;
void mq_hls_golden_free(mq_hls_golden *golden);

#endif
