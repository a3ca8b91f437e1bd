/* weight_bits.h - weight codes stored at their own width: a stream of bits, the first code in the lowest bits
 * of the first byte, codes in two's complement, the last byte filled with zeros. Private to this folder. */
#ifndef MIXQ_INET_WEIGHT_BITS_H
#define MIXQ_INET_WEIGHT_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* bits 1..8. */
size_t mq_weight_bytes(size_t count, int bits);
/* to: mq_weight_bytes, zeroed; codes within their bits. */
void mq_weight_pack(const int8_t *codes, size_t count, int bits, uint8_t *to);
/* False when the bits after the last code are not 0. */
bool mq_weight_unpack(const uint8_t *from, size_t count, int bits, int8_t *codes);

#endif
