/* parallelism.h - how many multiplications each convolution does at once: the published config_simd_pe.txt.
 *
 * A header line `simd pe` or `simd pe actp pep`, then one row of positive integers per convolution (linear
 * layers have none), in network order. For a convolution of kernel k, ich input channels per group and och
 * outputs: simd  weights per word, divides k*ich          pe    output channels at once, divides och actp
 * requantisations at once, divides och     pep   1x1 only: output channels per word; pe*pep divides och */
#ifndef MIXQ_GEN_PARALLELISM_H
#define MIXQ_GEN_PARALLELISM_H

#include <stdbool.h>

#include "inet/inet.h"

typedef struct mq_parallelism_row {
    int simd, pe, actp, pep; /* without actp and pep in the file: actp = pe, pep = 1 */
} mq_parallelism_row;

typedef struct mq_parallelism {
    bool has_actp; /* the four-column form of the SkyNet exports */
    int count;     /* convolutions of the network */
    mq_parallelism_row rows[MQ_INET_MAX_NODES];
} mq_parallelism;

/* Reads and checks against the network; "file:line: ..." on failure. A file that begins with { is FINN's
 * folding_config.json (folding.h), its lines are the convolutions' numbers. */
mq_status mq_parallelism_load(const char *path, const mq_inet *net, mq_parallelism *out,
                              mq_error *error) MQ_MUST_CHECK;
/* The same from text; name stands in messages. */
mq_status mq_parallelism_parse(const char *name, const char *text, const mq_inet *net, mq_parallelism *out,
                               mq_error *error) MQ_MUST_CHECK;
/* The published file: four columns where the parallelism has them. Atomic. */
mq_status mq_parallelism_write(const mq_parallelism *parallelism, const char *path,
                               mq_error *error) MQ_MUST_CHECK;
/* Without a file: simd the largest divisor of ich up to 8, pe of och up to 8; two columns. */
void mq_parallelism_default(const mq_inet *net, mq_parallelism *out);

#endif
