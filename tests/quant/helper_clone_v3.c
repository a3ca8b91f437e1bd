/* helper_clone_v3.c - see helper_clones.h. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("arch=x86-64-v3")
#define CLONE_NEEDS "x86-64-v3"
#endif
#define CLONE      quant_clone_v3
#define CLONE_NAME "v3"
#include "quant/helper_clone_body.h"
