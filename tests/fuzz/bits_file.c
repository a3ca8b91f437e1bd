/* bits_file.c - bits.json, as `train --bits` and `cost --bits` take it. */
#include "cli/bits_file.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] =
        "name: tiny\nclasses: 2\ninput: {channels: 1, height: 4, width: 4}\nlayers:\n"
        "  - conv: {out: 2, kernel: 3}\n  - conv: {out: 2, kernel: 3, weight_bits: 8, activation_bits: 8}\n"
        "  - linear: {out: 2}\n";
    static mq_net *net;
    mq_bits bits;
    mq_error error = {0};
    if (!net) fuzz_demand(mq_net_parse("tiny.yaml", text, strlen(text), &net, &error) == MQ_OK, error.text);
    const char *path = fuzz_file("bits.json", data, size);
    if (!fuzz_accepted(bits_file_read(path, net, &bits, &error), &error, MQ_OK)) return 0;
    for (int i = 0; i < net->layer_count; i++)
        fuzz_demand(bits.weight[i] >= 1 && bits.weight[i] <= 8 && bits.activation[i] >= 1 &&
                        bits.activation[i] <= 8,
                    "bits out of range");
    return 0;
}
