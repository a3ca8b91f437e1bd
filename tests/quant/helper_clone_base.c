/* helper_clone_base.c - see helper_clones.h. */
#define CLONE      quant_clone_base
#define CLONE_NAME "base"
#include "quant/helper_clone_body.h"
