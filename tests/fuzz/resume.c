/* resume.c - what `train --resume` reads: last.safetensors with the optimiser's state, metrics.jsonl,
 * run.json. */
#include <string.h>

#include "fuzz.h"
#include "fuzz_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size}, metrics = fuzz_part(&rest), about = fuzz_part(&rest);
    run *r = fuzz_run();
    fuzz_file("metrics.jsonl", metrics.at, metrics.left);
    fuzz_file("run.json", about.at, about.left);
    if (rest.left)
        fuzz_file("last.safetensors", rest.at, rest.left);
    else
        fuzz_no_file("last.safetensors");
    bool resumed = false;
    mq_error error = {0};
    r->state = (run_state){0};
    if (fuzz_accepted(run_open(r, &resumed, &error), &error, MQ_USAGE) && resumed)
        fuzz_demand(r->state.epoch >= 0 && r->state.epoch <= r->settings->epochs, "an epoch beyond the run");
    run_close(r);
    return 0;
}
