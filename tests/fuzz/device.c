/* device.c - a device's description (YAML). */
#include "accel/device.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_device device;
    mq_error error = {0};
    if (!fuzz_accepted(mq_device_parse("fuzz.yaml", (const char *)data, size, &device, &error), &error,
                       MQ_OK))
        return 0;
    mq_resources budget = mq_device_budget(&device);
    for (int i = 0; i < MQ_RESOURCES; i++) fuzz_demand(budget.of[i] >= 0, "a budget below 0");
    return 0;
}
