/* images.c - the images that `simulate --input` takes, .npy and .safetensors, for a network of bytes. */
#include "cli/image_file.h"

#include <string.h>

#include "small_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const mq_inet *net = small_export();
    bool npy = size >= 6 && memcmp(data, "\x93NUMPY", 6) == 0;
    const char *path = fuzz_file(npy ? "images.npy" : "images.safetensors", data, size);
    image_file file;
    mq_error error = {0};
    if (!fuzz_accepted(image_file_open(path, &net->nodes[0], &file, &error), &error, MQ_OK)) return 0;
    const mq_inet_edge *e = &net->nodes[0].edge;
    fuzz_demand(file.count > 0 && file.count * (size_t)(e->h * e->w * e->c) <= size,
                "more pixels than the file has");
    image_file_close(&file);
    return 0;
}
