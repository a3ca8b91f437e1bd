/* rtl_build.h - what the writers of an accelerator's Verilog share. */
#ifndef MIXQ_GEN_RTL_BUILD_H
#define MIXQ_GEN_RTL_BUILD_H

#include "inet/inet_plan.h"

typedef struct mq_rtl_build {
    const mq_inet *net;
    const mq_inet_plan *plan;
    const char *dir; /* of the accelerator; memory files go to its mem/ and are named "mem/..." in Verilog */
} mq_rtl_build;

#endif
