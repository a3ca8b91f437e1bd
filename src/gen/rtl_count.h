/* rtl_count.h - what Yosys makes of a stage: the scripts of synth/ run, their cells counted. No placement and
 * no timing; a LUT is a whole one, so that two small functions in one count twice (an upper bound). */
#ifndef MIXQ_GEN_RTL_COUNT_H
#define MIXQ_GEN_RTL_COUNT_H

#include "gen/build_file.h"
#include "io/json.h"

/* Cells by type, as Yosys' `stat -json` lists them: LUT1..LUT6, LUT6_2, shift registers and RAMs of LUTs (by
 * the LUTs that they take), flip-flops, RAMB18 and RAMB36, DSP slices. Other cells (carries, wide
 * multiplexers, inverters, buffers) are not counted. */
void mq_rtl_count_cells(const json_t *cells, mq_build_counts *out);

/* Runs synth/<module>.ys of a build folder in `work` (exists), at most `seconds` (0: no limit).
 * MQ_CHECK_FAILED: Yosys is missing, refuses the Verilog or is not done in time. */
mq_status mq_rtl_count(const char *dir, const char *work, const char *module, double seconds,
                       mq_build_counts *out, mq_error *error) MQ_MUST_CHECK;

#endif
