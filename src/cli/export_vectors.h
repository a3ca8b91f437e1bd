/* export_vectors.h - `export --vectors N`: images and the trained network's codes of every layer, as files.
 */
#ifndef MIXQ_CLI_EXPORT_VECTORS_H
#define MIXQ_CLI_EXPORT_VECTORS_H

#include "cli/cli.h"
#include "inet/inet.h"
#include "net/checkpoint.h"

#define VECTORS_FOLDER "vectors"
#define VECTORS_IMAGES "images"

typedef struct export_vectors {
    size_t count;    /* images; 0: none asked for */
    uint8_t *images; /* [count][h][w][c]; owned */
} export_vectors;

/* Reads --vectors, and --data or --input: the first N images of the test split or of the file. */
mq_status export_vectors_open(const cli_args *args, const mq_inet *net, export_vectors *out,
                              mq_error *error) MQ_MUST_CHECK;
void export_vectors_close(export_vectors *vectors);

/* Writes dir/images.npy uint8 [N,C,H,W] and dir/<dump>.npy of every dumped node, [N,C,H,W] in the smallest
 * type of uint8, int8, int16, int32, int64 that holds what the node can reach; the values come from the exact
 * evaluation of the checkpoint. The folder is made. */
mq_status export_vectors_write(const export_vectors *vectors, const mq_checkpoint *checkpoint,
                               const mq_inet *net, const char *dir, mq_error *error) MQ_MUST_CHECK;

#endif
