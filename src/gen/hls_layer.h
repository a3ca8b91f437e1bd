/* hls_layer.h - the C++ of one layer: ID.cpp (a page: shape, packings and why they are exact, requantiser,
 * the function) and ID_data.h (packed weights, constants, thresholds). Templates: hls/ *.h. */
#ifndef MIXQ_GEN_HLS_LAYER_H
#define MIXQ_GEN_HLS_LAYER_H

#include "gen/hls_net.h"
#include "gen/hls_text.h"

/* MQ_BAD_INPUT names the layer and the limit of the tool that it exceeds: an array of more than
 * MQ_HLS_PARTITION elements to be split into registers, a word of more than MQ_HLS_WORD bits. */
mq_status mq_hls_layer_check(const mq_hls_net *h, const mq_hls_stage *s, mq_error *error) MQ_MUST_CHECK;
mq_status mq_hls_layer_write(const mq_hls_net *h, const mq_hls_stage *s, const char *dir,
                             mq_error *error) MQ_MUST_CHECK;

/* "void ID(in, out, ...)": one output more for every requantiser beside the layer's own. */
void mq_hls_signature(const mq_hls_net *h, const mq_hls_stage *s, mq_hls_text *t);

/* hls_requant.c: struct ID_requant into the layer's page, its tables into the data header. */
typedef struct mq_hls_requant {
    mq_plan_requant kind;
    int lanes, turns;       /* sums at once; cycles of a beat */
    int inc_bits, sum_bits; /* affine */
    int low, high, shift, bits;
    int stages; /* threshold: of the search */
} mq_hls_requant;
mq_status mq_hls_requant_make(const mq_hls_net *h, const mq_hls_stage *s, mq_hls_requant *out,
                              mq_error *error) MQ_MUST_CHECK;
mq_status mq_hls_requant_tables(const mq_hls_net *h, const mq_hls_stage *s, const mq_hls_requant *r,
                                mq_hls_text *data, mq_error *error) MQ_MUST_CHECK;
void mq_hls_requant_page(const mq_hls_stage *s, const mq_hls_requant *r, mq_hls_text *page);

/* A table of numbers: `outer` rows of `inner`, from values. */
void mq_hls_table(mq_hls_text *t, const char *type, const char *name, const char *sizes,
                  const int64_t *values, size_t outer, size_t inner);

#endif
