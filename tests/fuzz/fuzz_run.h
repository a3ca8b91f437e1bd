/* fuzz_run.h - a training run of a tiny network in fuzz_dir(), ready to be resumed. */
#ifndef MIXQ_TESTS_FUZZ_FUZZ_RUN_H
#define MIXQ_TESTS_FUZZ_FUZZ_RUN_H

#include <string.h>

#include "fuzz.h"
#include "train/state.h"

static inline run *fuzz_run(void) {
    static const char text[] = "name: tiny\nclasses: 2\ninput: {channels: 1, height: 4, width: 4}\nlayers:\n"
                               "  - conv: {out: 2, kernel: 3}\n  - batch_norm\n  - linear: {out: 2}\n";
    static run r;
    static mq_train_settings settings;
    static mq_bits bits;
    mq_net *net;
    if (r.net) return &r;
    fuzz_demand(mq_net_parse("tiny.yaml", text, strlen(text), &net, NULL) == MQ_OK, "no network");
    mq_bits_uniform(net, 4, 4, &bits);
    settings = (mq_train_settings){.model = {.mode = MQ_MODE_FIXED,
                                             .bits = &bits,
                                             .share = true,
                                             .training = true,
                                             .compute = MQ_F32,
                                             .batch = 2},
                                   .epochs = 3,
                                   .batch = 2,
                                   .out = fuzz_dir(),
                                   .resume = true,
                                   .settings = json_pack("{s:s, s:i}", "mode", "fixed", "epochs", 3)};
    r = (run){.net = net, .settings = &settings, .lock = -1};
    fuzz_demand(mq_model_create(net, &settings.model, &r.model, NULL) == MQ_OK, "no model");
    mq_model_initialise(r.model, 1);
    fuzz_demand(mq_optimizer_create(r.model, settings.method, &r.optimizer, NULL) == MQ_OK, "no optimiser");
    return &r;
}

#endif
