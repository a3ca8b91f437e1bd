/* plain_c.h - an integer network as one C11 source and its header, for processors: no library, no memory
 * from the heap, no floating point, weights packed at their own width.
 *
 *   void <model>_run(const uint8_t *image, int32_t *output);
 *
 * image: uint8 [channels][height][width], as images.npy of an export; output: the head's accumulators, int32
 * [channels][height][width], as `mixq simulate --output` writes them. Every code of every layer is that of
 * the definition (inet.h). The buffers are static: one image at a time. */
#ifndef MIXQ_GEN_PLAIN_C_H
#define MIXQ_GEN_PLAIN_C_H

#include "inet/inet.h"

/* <model> as C sees it: other characters than letters, digits and '_' become '_', a digit in front "net_". */
void mq_plain_c_name(const mq_inet *net, char out[MQ_INET_MAX_NAME + 16]);

/* MQ_BAD_INPUT names the node that cannot be said: outputs beyond 32 bits, a RESCALE of more than 65536
 * different codes, sums beyond 64 bits. */
mq_status mq_plain_c_check(const mq_inet *net, mq_error *error) MQ_MUST_CHECK;

/* Writes dir/<model>.c and dir/<model>.h, both or none; the folder is there. */
mq_status mq_plain_c_write(const mq_inet *net, const char *dir, mq_error *error) MQ_MUST_CHECK;

#endif
