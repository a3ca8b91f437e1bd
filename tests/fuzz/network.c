/* network.c - a network's description (YAML), then two bit strings. */
#include <string.h>

#include "base/memory.h"
#include "fuzz.h"
#include "net/bits.h"
#include "net/params.h"

static void use(const mq_net *net, fuzz_bytes rest) {
    mq_bits bits;
    mq_error error = {0};
    char text[2][600], bitw[MQ_BITS_TEXT], bita[MQ_BITS_TEXT];
    for (int k = 0; k < 2; k++) {
        fuzz_bytes part = fuzz_part(&rest);
        size_t n = part.left < sizeof text[k] ? part.left : sizeof text[k] - 1;
        if (n) memcpy(text[k], part.at, n);
        text[k][n] = 0;
    }
    if (fuzz_accepted(mq_bits_parse(net, text[0], text[1], &bits, &error), &error, MQ_USAGE)) {
        mq_bits again;
        mq_bits_text(net, &bits, bitw, bita);
        fuzz_demand(mq_bits_parse(net, bitw, bita, &again, NULL) == MQ_OK &&
                        memcmp(&again, &bits, sizeof bits) == 0,
                    "bits that their own text does not give");
    }
    for (int mode = MQ_MODE_FLOAT; mode <= MQ_MODE_FIXED; mode++) {
        mq_param_spec *specs = NULL;
        int count;
        error = (mq_error){0};
        if (fuzz_accepted(mq_params_list(net, (mq_mode)mode, false, &specs, &count, &error), &error, MQ_OK))
            for (int i = 0; i < count; i++) {
                size_t values;
                fuzz_demand(mq_shape_count(&specs[i].shape, &values) && specs[i].name[0], "a tensor's shape");
            }
        mq_free(specs);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size}, text = fuzz_part(&rest);
    mq_net *net;
    mq_error error = {0};
    if (!fuzz_accepted(mq_net_parse("fuzz.yaml", (const char *)text.at, text.left, &net, &error), &error,
                       MQ_OK))
        return 0;
    use(net, rest);
    mq_net_free(net);
    return 0;
}
