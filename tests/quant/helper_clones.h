/* helper_clones.h - the activation kernels and DoReFa's weight kernels compiled for every instruction set by
 * name, to compare and time what the program otherwise chooses when it starts. */
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
    float (*normalize)(const float *w, size_t n, float *t);
    void (*weight_gradient)(const float *t, size_t n, float m, float *grad);
} quant_clone;

extern const quant_clone quant_clone_base, quant_clone_v3, quant_clone_v4;

#endif
