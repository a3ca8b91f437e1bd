/* softmax.c - the softmax over a layer's branches and its gradient. */
#include "quant/quant.h"

#include <math.h>

void mq_softmax(const float *alpha, size_t n, float *s) {
    float top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) top = alpha[i] > top ? alpha[i] : top;
    for (size_t i = 0; i < n; i++) {
        s[i] = expf(alpha[i] - top);
        sum = sum + s[i];
    }
    for (size_t i = 0; i < n; i++) s[i] = s[i] / sum;
}

void mq_softmax_gradient(const float *s, const double *g, size_t n, float *dalpha) {
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += (double)s[i] * g[i];
    for (size_t i = 0; i < n; i++) dalpha[i] = (float)((double)s[i] * (g[i] - mean));
}
