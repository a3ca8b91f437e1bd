/* npy.c - one array; then two as the images and labels of a data set. */
#include <stdio.h>

#include "data/dataset.h"
#include "fuzz.h"
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size}, first = fuzz_part(&rest);
    mq_tensor tensor;
    mq_error error = {0};
    const char *x = fuzz_file("x.npy", first.at, first.left), *y = fuzz_file("y.npy", rest.at, rest.left);
    if (!fuzz_accepted(mq_npy_load(x, &tensor, &error), &error, MQ_OK)) return 0;
    fuzz_demand(mq_tensor_bytes(&tensor) < first.left, "more data than the file has");
    mq_tensor_free(&tensor);
    char spec[600];
    snprintf(spec, sizeof spec, "npy:%s,%s", x, y);
    mq_dataset *set;
    for (int split = 0; split < 2; split++) {
        const mq_data_request request = {.split = (mq_split)split};
        error = (mq_error){0};
        if (!fuzz_accepted(mq_dataset_open(spec, &request, &set, &error), &error, MQ_USAGE)) continue;
        for (size_t i = 0; i < set->count; i++)
            fuzz_demand(set->labels[i] >= 0 && set->labels[i] < set->classes, "a label");
        mq_dataset_free(set);
    }
    return 0;
}
