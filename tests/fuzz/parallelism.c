/* parallelism.c - config_simd_pe.txt, or FINN's folding_config.json. */
#include "gen/parallelism.h"

#include <stdlib.h>
#include <string.h>

#include "small_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static mq_parallelism p;
    mq_error error = {0};
    const mq_inet *net = small_export();
    const char *path = fuzz_file("fuzz.txt", data, size);
    if (!fuzz_accepted(mq_parallelism_load(path, net, &p, &error), &error, MQ_USAGE)) return 0;
    for (int i = 0; i < p.count; i++)
        fuzz_demand(p.rows[i].simd > 0 && p.rows[i].pe > 0 && p.rows[i].actp > 0 && p.rows[i].pep > 0,
                    "a parallelism below 1");
    return 0;
}
