/* real_input.h - inputs that are real numbers, not pixels: how they become the first layers' codes.
 *
 * An imported network may begin with a chain of scalings and a quantiser of its own (x*2 - 1, then signed
 * codes in steps of s). Its codes are defined by float32 operations in the chain's order, each rounded, as
 * ONNX runtimes compute them: x -> step 0 -> step 1 ... -> rint(clip(x/scale, low, high)), halves to even A
 * data set's pixel k stands for the real number (float)k/divisor. Codes travel as bytes: code + 128 where
 * codes are signed, else the code. */
#ifndef MIXQ_TENSOR_REAL_INPUT_H
#define MIXQ_TENSOR_REAL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* X(id, name in files) */
#define MQ_REAL_OPS(X)                                                                                       \
    X(ADD, "add")                                                                                            \
    X(SUB, "sub")                                                                                            \
    X(MUL, "mul")                                                                                            \
    X(DIV, "div")

typedef enum mq_real_op {
#define MQ_REAL_ENUM(id, name) MQ_REAL_##id,
    MQ_REAL_OPS(MQ_REAL_ENUM)
#undef MQ_REAL_ENUM
        MQ_REAL_OP_COUNT
} mq_real_op;

extern const char *const mq_real_op_names[MQ_REAL_OP_COUNT + 1]; /* ends with NULL */

enum { MQ_REAL_STEPS = 8, MQ_REAL_CHANNELS = 64 };

typedef struct mq_real_step {
    mq_real_op op;
    int count; /* 1, or one value per channel */
    float value[MQ_REAL_CHANNELS];
} mq_real_step;

typedef struct mq_real_input {
    float divisor; /* of a data set's pixels, above 0 */
    int count;
    mq_real_step step[MQ_REAL_STEPS];
} mq_real_input;

/* Finite, divisors not 0, counts 1 or channels; else MQ_BAD_INPUT. */
mq_status mq_real_input_check(const mq_real_input *real, int channels, mq_error *error) MQ_MUST_CHECK;
bool mq_real_input_equal(const mq_real_input *a, const mq_real_input *b);

/* The code of x in channel c; x not NaN, scale above 0. */
int mq_real_code(const mq_real_input *real, float scale, int low, int high, int c, float x);
/* Codes as bytes of x float32 [images][channels][pixels] in the same order; MQ_BAD_INPUT at a NaN. */
mq_status mq_real_codes(const mq_real_input *real, float scale, int low, int high, const float *x,
                        size_t images, int channels, size_t pixels, uint8_t *out,
                        mq_error *error) MQ_MUST_CHECK;
/* Codes as bytes of every pixel value: table[c][k]. */
void mq_real_pixels(const mq_real_input *real, float scale, int low, int high, int channels,
                    uint8_t (*table)[256]);

#endif
