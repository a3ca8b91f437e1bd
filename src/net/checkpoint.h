/* checkpoint.h - self-contained checkpoints: a safetensors file whose metadata holds the network description,
 * mode, bits and quantiser options, and whose tensors are those of params.h (plus "optimizer.*" in
 * last.safetensors). */
#ifndef MIXQ_NET_CHECKPOINT_H
#define MIXQ_NET_CHECKPOINT_H

#include "io/safetensors.h"
#include "net/bits.h"
#include "net/net.h"
#include "net/params.h"

typedef struct mq_checkpoint {
    mq_net *net; /* owned */
    mq_mode mode;
    bool share;        /* search: shared weights */
    bool symmetric;    /* weight codes without -2^(b-1) */
    mq_bits bits;      /* fixed mode; in search mode what would be chosen now; float mode: unused */
    int64_t epoch;     /* finished epochs; 0 for an imported file */
    char precision[8]; /* "f32" or "bf16": how it was trained */
    mq_st_file *file;  /* owned; tensors are read from here */
} mq_checkpoint;

/* path: a .safetensors file, or a run folder (its best.safetensors). Every tensor of params.h is present with
 * its shape, float32 and finite; others than "optimizer.*" are refused. */
mq_status mq_checkpoint_load(const char *path, mq_checkpoint *out, mq_error *error) MQ_MUST_CHECK;
void mq_checkpoint_free(mq_checkpoint *checkpoint);

/* The data of a tensor by its node and kind (checked by load): float32. */
const float *mq_checkpoint_values(const mq_checkpoint *checkpoint, int node, mq_param_kind kind);

/* The same of a kind that is float64 (networks of given quantisers). */
const double *mq_checkpoint_doubles(const mq_checkpoint *checkpoint, int node, mq_param_kind kind);

/* The codes that a layer reads: of the image, of the network's quantiser, or as given. Checkpoints of fixed
 * bits. */
mq_qtype mq_checkpoint_input_type(const mq_checkpoint *checkpoint, int layer);

/* Adds the metadata to a writer; the caller adds the tensors. */
typedef struct mq_checkpoint_info {
    const mq_net *net;
    mq_mode mode;
    bool share, symmetric;
    const mq_bits *bits; /* NULL in float mode */
    int64_t epoch;
    const char *precision;
} mq_checkpoint_info;
mq_status mq_checkpoint_describe(mq_st_writer *writer, const mq_checkpoint_info *info,
                                 mq_error *error) MQ_MUST_CHECK;

#endif
