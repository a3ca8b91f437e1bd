/* idx.c - images and labels in MNIST's format, plain or gzip. */
#include <stdio.h>

#include "data/dataset.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size}, images = fuzz_part(&rest);
    const mq_data_request request = {0};
    mq_dataset *set;
    mq_error error = {0};
    char spec[128];
    fuzz_file("train-images-idx3-ubyte", images.at, images.left);
    fuzz_file("train-labels-idx1-ubyte", rest.at, rest.left);
    snprintf(spec, sizeof spec, "mnist:%s", fuzz_dir());
    if (!fuzz_accepted(mq_dataset_open(spec, &request, &set, &error), &error, MQ_USAGE)) return 0;
    for (size_t i = 0; i < set->count; i++)
        fuzz_demand(set->labels[i] >= 0 && set->labels[i] < set->classes, "a label");
    mq_dataset_free(set);
    return 0;
}
