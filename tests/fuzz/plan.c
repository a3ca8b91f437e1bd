/* plan.c - plan.json of a fixed network, and the same bytes as a packing of one's own. */
#include "fuzz.h"
#include "inet/inet_plan.h"
#include "pack/packing_file.h"
#include "small_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const mq_inet *net = small_export();
    const char *path = fuzz_file("plan.json", data, size);
    mq_inet_plan *plan;
    mq_packing packing;
    mq_error error = {0};
    if (fuzz_accepted(mq_inet_plan_load(path, net, &plan, &error), &error, MQ_OK)) {
        fuzz_demand(mq_inet_plan_save(plan, net, fuzz_file("again.json", NULL, 0), &error) == MQ_OK,
                    error.text);
        mq_inet_plan_free(plan);
    }
    error = (mq_error){0};
    if (fuzz_accepted(mq_packing_load(path, &packing, &error), &error, MQ_USAGE)) {
        json_t *object = mq_packing_json(&packing);
        fuzz_demand(object != NULL, "memory");
        json_decref(object);
    }
    return 0;
}
