/* rtl_scripts.h - the files that drive tools over a build folder: constants of the test benches (sim/), Yosys
 * and Vivado scripts (synth/). */
#ifndef MIXQ_GEN_RTL_SCRIPTS_H
#define MIXQ_GEN_RTL_SCRIPTS_H

#include "gen/build_file.h"

/* sim/sim_config.h and .vh, synth/<module>.ys of every stage, synth/<top>.ys (forks, FIFOs and ports; the
 * stages as black boxes), synth/vivado.tcl. Scripts run in the build folder or beside a link to its rtl/ and
 * mem/; Yosys' counts go to <module>.json. */
mq_status mq_rtl_scripts_write(const mq_build *build, const char *dir, mq_error *error) MQ_MUST_CHECK;

#endif
