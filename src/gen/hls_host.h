/* hls_host.h - the host's side of an accelerator: FOLDER with the driver (host/ of the sources), its
 * Makefile, accelerator.h which describes this accelerator, and mixq_id.v which lets the hardware say which
 * network it holds. For the HLS and the RTL build alike: they have the same streams. */
#ifndef MIXQ_GEN_HLS_HOST_H
#define MIXQ_GEN_HLS_HOST_H

#include "accel/stage.h"

/* in: 8-bit values, out: 32-bit values, beats as the accelerator's AXI4-Streams carry them. The network has
 * been saved or loaded. */
mq_status mq_hls_host_write(const mq_inet *net, const mq_stream *in, const mq_stream *out, const char *dir,
                            mq_error *error) MQ_MUST_CHECK;

#endif
