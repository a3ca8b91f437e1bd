/* weight_bits.c - codes into a stream of bits and back. */
#include "inet/weight_bits.h"

size_t mq_weight_bytes(size_t count, int bits) {
    return (count * (size_t)bits + 7) / 8; /* count is at most 2^27 */
}

void mq_weight_pack(const int8_t *codes, size_t count, int bits, uint8_t *to) {
    for (size_t i = 0; i < count; i++) {
        size_t at = i * (size_t)bits;
        unsigned field = ((unsigned)codes[i] & ((1u << bits) - 1)) << at % 8;
        to[at / 8] |= (uint8_t)field;
        if (field >> 8) to[at / 8 + 1] |= (uint8_t)(field >> 8);
    }
}

bool mq_weight_unpack(const uint8_t *from, size_t count, int bits, int8_t *codes) {
    size_t bytes = mq_weight_bytes(count, bits), rest = bytes * 8 - count * (size_t)bits;
    for (size_t i = 0; i < count; i++) {
        size_t at = i * (size_t)bits;
        unsigned pair = from[at / 8];
        if (at / 8 + 1 < bytes) pair |= (unsigned)from[at / 8 + 1] << 8;
        unsigned field = (pair >> at % 8) & ((1u << bits) - 1);
        codes[i] = (int8_t)((int)field - (field >> (bits - 1) ? 1 << bits : 0));
    }
    return rest == 0 || from[bytes - 1] >> (8 - rest) == 0;
}
