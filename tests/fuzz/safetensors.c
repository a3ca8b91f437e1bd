/* safetensors.c - a container; every byte of every tensor is inside it. */
#include <string.h>

#include "fuzz.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_st_file *file;
    mq_error error = {0};
    if (!fuzz_accepted(mq_st_parse("fuzz.safetensors", data, size, &file, &error), &error, MQ_OK)) return 0;
    size_t total = 0;
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < mq_st_count(file); i++) {
        const mq_st_entry *entry = mq_st_at(file, i);
        size_t bytes = mq_tensor_bytes(&entry->tensor);
        for (size_t k = 0; k < bytes; k++) sum = (uint8_t)(sum + ((const uint8_t *)entry->tensor.data)[k]);
        total += bytes;
        fuzz_demand(mq_st_find(file, entry->name) == entry, "a tensor that its name does not find");
    }
    fuzz_demand(total <= size, "more data than the file has");
    (void)mq_st_meta(file, "mixq");
    mq_st_free(file);
    return 0;
}
