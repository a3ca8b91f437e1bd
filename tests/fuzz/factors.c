/* factors.c - a cost table (CSV). */
#include "fuzz.h"
#include "pack/factors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_factors factors;
    mq_error error = {0};
    const char *path = fuzz_file("fuzz.csv", data, size);
    if (!fuzz_accepted(mq_factors_load(path, &factors, &error), &error, MQ_USAGE)) return 0;
    for (int d = 0; d < 2; d++)
        for (int k = 0; k < factors.rows[d].kernel_count; k++)
            for (int w = 1; w <= MQ_BITS_MAX; w++)
                for (int a = 1; a <= MQ_BITS_MAX; a++) {
                    double f = 0;
                    error = (mq_error){0};
                    if (fuzz_accepted(
                            mq_factors_get(&factors, factors.rows[d].kernel[k], d, w, a, &f, &error), &error,
                            MQ_USAGE))
                        fuzz_demand(f > 0, "a factor that is no divisor");
                }
    return 0;
}
