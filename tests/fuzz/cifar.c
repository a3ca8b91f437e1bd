/* cifar.c - CIFAR-10's test batch and class names. The first bytes of each record come from the input, its
 * other pixels are zeros, so that small inputs are several records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "fuzz.h"

enum { RECORD = 3073, GIVEN = 8, MOST = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t records[MOST * RECORD];
    fuzz_bytes rest = {data, size}, batch = fuzz_part(&rest);
    size_t count = batch.left / GIVEN < MOST ? batch.left / GIVEN : MOST - 1, extra = batch.left % GIVEN;
    memset(records, 0, sizeof records);
    for (size_t i = 0; i <= count && i * GIVEN < batch.left; i++)
        memcpy(records + i * RECORD, batch.at + i * GIVEN, i < count ? GIVEN : extra);
    fuzz_file("test_batch.bin", records, count * RECORD + extra);
    fuzz_file("batches.meta.txt", rest.at, rest.left);
    const mq_data_request request = {.split = MQ_SPLIT_TEST};
    mq_dataset *set;
    mq_error error = {0};
    char spec[128];
    snprintf(spec, sizeof spec, "cifar10:%s", fuzz_dir());
    if (!fuzz_accepted(mq_dataset_open(spec, &request, &set, &error), &error, MQ_USAGE)) return 0;
    for (int i = 0; set->class_names && i < set->classes; i++)
        fuzz_demand(memchr(set->class_names[i], 0, MQ_DATA_NAME) != NULL, "a class name without end");
    mq_dataset_free(set);
    return 0;
}
