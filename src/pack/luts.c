/* luts.c - the one LUT model of the packings. A LUT has 6 inputs; LUT6_2 gives two functions of 5 common
 * inputs.
 *
 *   overlap of 1 bit   carry = P bit ^ XOR of n ANDs (the next field's lowest bit). One LUT takes 2 ANDs and
 * the P bit; a tree of L LUTs has 5L + 1 inputs, so L = ceil(2n/5). The carry becomes the lower field's top
 *                      bit (a wire) and a carry-in of the adder behind the upper field.
 *   overlap of 2 bits  each product modulo 4 is subtracted from 2 bits of P: 6 inputs, 2 outputs, 2 LUTs a
 * product; then the 2-bit carry is subtracted from the upper field: one LUT per bit of its window. extra port
 * bit     a conditional negation of the other port's word into C: 2 bits per LUT6_2. canary             per
 * boundary the parity tree with P's old bit as one more input, one LUT for the upper canary bit, and a
 * counter of one LUT per bit.
 *
 * Adders that accumulate outside the slice are there with or without packing and are not counted, nor is what
 * all slices share. */
#include "pack/packing.h"
#include "base/bit_length.h"

int mq_luts_repair(int overlap, int products, int width) {
    if (overlap == 0) return 0;
    if (overlap == 1) return (2 * products + 4) / 5;
    return 2 * products + width;
}

int mq_luts_port(const mq_packing *p) {
    if (p->fix != MQ_PORT_EXTRA) return 0;
    /* the other port's word: its top position and the operand, signed */
    const mq_pack_operand *other = p->fix_weights ? p->activation : p->weight;
    int top = 0, bits = p->fix_weights ? mq_bit_length(p->activation_codes.high) + 1
                                       : mq_bit_length((int64_t)p->weight_codes.high - p->weight_codes.low);
    for (int i = 0; i < (p->fix_weights ? p->activations : p->weights); i++)
        if (other[i].position > top) top = other[i].position;
    return (top + bits + 1) / 2;
}

int mq_luts_canary(const mq_packing *p, int64_t cycles) {
    int luts = mq_luts_port(p);
    for (int f = 1; f < p->fields; f++) {
        int r = p->field[f - 1].overlap;
        luts +=
            (2 * p->field[f].products + 5) / 5 + 1 + r * 2 * p->field[f].products + mq_bit_length(cycles) + r;
    }
    return luts;
}

double mq_luts_multiplier(int wbit, int abit) {
    int least = wbit < abit ? wbit : abit, most = wbit < abit ? abit : wbit;
    if (most == 1) return 1;
    if (least == 1) return most;
    if (most == 2) return 2;
    return least == 2 ? most + 1 : wbit * abit;
}
