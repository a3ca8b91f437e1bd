/* helper_networks.h - built-in networks with random parameters and bits, as checkpoints. */
#ifndef MIXQ_TESTS_FLOW_HELPER_NETWORKS_H
#define MIXQ_TESTS_FLOW_HELPER_NETWORKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/checkpoint.h"
#include "net/net.h"

#define NEED(call)                                                                                           \
    do {                                                                                                     \
        if ((call) != MQ_OK) fail_msg("%s", error.text);                                                     \
    } while (0)

/* Seed 0: 4 bits everywhere; else random bits from 2 to 8. */
void network_checkpoint(const mq_net *net, uint64_t seed, const char *path, mq_checkpoint *out);

#endif
