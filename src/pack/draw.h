/* draw.h - a packing as bit fields with its arithmetic written out, for a terminal and as SVG. */
#ifndef MIXQ_PACK_DRAW_H
#define MIXQ_PACK_DRAW_H

#include "pack/packing.h"

/* Text of many lines, or an SVG document; release with mq_free. */
mq_status mq_pack_draw_text(const mq_packing *packing, char **out, mq_error *error) MQ_MUST_CHECK;
mq_status mq_pack_draw_svg(const mq_packing *packing, char **out, mq_error *error) MQ_MUST_CHECK;

#endif
