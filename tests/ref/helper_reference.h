/* helper_reference.h - small networks with random parameters, a loss on their output, and finite differences.
 */
#ifndef MIXQ_TESTS_HELPER_REFERENCE_H
#define MIXQ_TESTS_HELPER_REFERENCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "ref/step.h"
#include "ok.h"

enum { MOST_IMAGES = 3 };

extern const char NET_ODD[];      /* odd sizes, stride 2, depthwise, groups, with and without bias, ReLU6 */
extern const char NET_BRANCHES[]; /* several readers, reorg, concat, an unsearched layer, 5x5 and strides */
extern const char NET_LINEAR[];   /* even kernel, overlapping pool, linear layers, batch norm of one */
extern const char NET_DOREFA[];   /* the other quantisers */
extern const char NET_ALONE[];    /* one layer: nothing is rounded behind its alphas */
extern const char NET_TIES[];     /* a max pool right behind a 1x1 convolution */

typedef struct fixture {
    mq_net *net;
    mq_ref *ref;
    uint8_t *images;
    double *linear, *square; /* coefficients of the test loss */
    double *d_output;
    int n;
    bool training, symmetric;
    size_t outputs; /* n * elements of the last node */
} fixture;

size_t elements(const mq_node *node); /* of one image */
int node_named(const mq_net *net, const char *name);
/* A network and its reference with random parameters and images; fixed mode has other bits in every layer. */
void begin(fixture *f, const char *text, mq_mode mode, bool share, bool symmetric, int n, bool training);
/* Puts a reference at the same bits everywhere in the place of f's. */
void refix(fixture *f, int weight_bits, int activation_bits);
void end(fixture *f);
/* Runs a forward: a loss that is neither linear nor symmetric in the output; sets d_output. */
double loss(fixture *f);

/* Derivative at 0 of fn, by the five-point formula. */
double difference(double (*fn)(void *, double), void *context);
/* Largest magnitude. */
double largest(const double *v, size_t n);
/* gradient and numeric agree to 1e-7 of scale, the tensor's largest gradient. Where that is itself rounding
 * (a bias in front of a batch norm), to 1e-7. */
void compare(const char *what, const char *name, size_t element, double gradient, double numeric,
             double scale);

/* A group set-up: one thread, since on tiny networks threads would only wait for each other. */
int one_thread(void **state);

#endif
