/* plain_c_run.h - the C of a network, compiled and run on images. */
#ifndef MIXQ_GEN_PLAIN_C_RUN_H
#define MIXQ_GEN_PLAIN_C_RUN_H

#include "inet/inet.h"

/* Those of cc, gcc, clang that are on PATH and not the same program under two names, at most 2; their number.
 */
enum { MQ_PLAIN_C_COMPILERS = 2 };
int mq_plain_c_compilers(const char *out[MQ_PLAIN_C_COMPILERS]);

/* Compiles dir/<model>.c with `compiler` and a program around it in the folder `work`, and runs it over
 * images, uint8 [count][c][h][w]. *outputs: [count][c][h][w] of the head; release with mq_free.
 * MQ_CHECK_FAILED with the compiler's last words when it does not compile, dies, or takes longer than
 * limit_s; MQ_INTERRUPTED. */
mq_status mq_plain_c_run(const mq_inet *net, const char *dir, const char *compiler, const char *work,
                         const uint8_t *images, size_t count, double limit_s, int32_t **outputs,
                         mq_error *error) MQ_MUST_CHECK;

#endif
