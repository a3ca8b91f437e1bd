/* helper_clones.h - the activation kernels, DoReFa's weight kernels and the mix of weights compiled for every
 * instruction set by name, to compare and time what the program otherwise chooses when it starts. */
#ifndef MIXQ_TESTS_QUANT_HELPER_CLONES_H
#define MIXQ_TESTS_QUANT_HELPER_CLONES_H

#include <stdbool.h>

#include "quant/quant.h"

typedef struct quant_clone {
    const char *name;
    bool (*available)(void);
    void (*values)(const float *x, size_t n, mq_quantizer quantizer, int bits, float *y);
    void (*codes)(const float *x, size_t n, mq_quantizer quantizer, int bits, uint8_t *codes);
    void (*gradient)(const float *x, const float *dy, size_t n, mq_quantizer quantizer, int bits, float *dx);
    void (*mix)(const float *x, size_t n, mq_quantizer quantizer, const float softmax[MQ_BRANCHES], float *y);
    void (*mix_gradient)(const float *x, const float *dy, size_t n, mq_quantizer quantizer,
                         const float softmax[MQ_BRANCHES], float *dx, double g[MQ_BRANCHES]);
    void (*mix_slope)(const float *x, const float *dy, size_t n, mq_quantizer quantizer,
                      const float softmax[MQ_BRANCHES], float *dx);
    float (*normalize)(const float *w, size_t n, float *t);
    void (*weight_gradient)(const float *t, size_t n, float m, float *grad);
    void (*weight_mix)(const float *w, size_t n, bool narrow, const double step[MQ_BRANCHES],
                       const float softmax[MQ_BRANCHES], float *y);
    void (*weight_mix_dot)(const float *w, const float *dy, size_t n, bool narrow,
                           const double step[MQ_BRANCHES], double g[MQ_BRANCHES]);
} quant_clone;

extern const quant_clone quant_clone_base, quant_clone_v3, quant_clone_v4;

#endif
