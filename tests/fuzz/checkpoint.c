/* checkpoint.c - a checkpoint of ours: a container with a network in its metadata. */
#include "fuzz.h"
#include "net/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_checkpoint c;
    mq_error error = {0};
    const char *path = fuzz_file("fuzz.safetensors", data, size);
    if (!fuzz_accepted(mq_checkpoint_load(path, &c, &error), &error, MQ_OK)) return 0;
    for (int i = 0; i < c.net->layer_count; i++) {
        volatile float first = 0;
        if (c.mode != MQ_MODE_SEARCH)
            first = mq_checkpoint_values(&c, c.net->layers[i].node, MQ_PARAM_WEIGHT)[0];
        (void)first;
        if (c.mode == MQ_MODE_FIXED) {
            mq_qtype type = mq_checkpoint_input_type(&c, i);
            fuzz_demand(type.bits >= 1 && type.bits <= 8, "codes of an input");
        }
    }
    mq_checkpoint_free(&c);
    return 0;
}
