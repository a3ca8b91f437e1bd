// mixq_slice.h - one DSP slice with several multiplications in it: docs/packing.md.
//
// Weights stand side by side on one port, activations less their zero points on the other; the product's
// fields are sums of w*(a - zero). A constant per field keeps them from going below 0, so that P's bits are
// the fields' bits. Where a field reaches r bits into the next one, the carry it leaves there is the
// difference between the next field's r lowest bits in P and what the operands' low bits say they are.
//
// A packing P (written by the generator): WEIGHTS, ACTIVATIONS, FIELDS, TAPS, WEIGHT_PORT, ACTIVATION_PORT,
// P_BITS, FIX, FIX_SHIFT, FIX_SIGN, KNOWN (low bits of a weight beside its word), PLAIN (one product in
// LUTs), ZERO_WORD, BIAS; tables activation_position, zero, field (of weight*ACTIVATIONS + activation),
// position, spacing, overlap, low, column, channel (of a field).
#ifndef MIXQ_HLS_SLICE_H
#define MIXQ_HLS_SLICE_H

#include "mixq_common.h"

namespace mixq {

// How a port takes a range that is not centred, or a bit too wide.
enum port_fix { FITS, OFFSET_WEIGHTS, OFFSET_ACTIVATIONS, EXTRA_WEIGHTS, EXTRA_ACTIVATIONS };

// The activations' side, shared by all slices that see these codes.
template <class P> struct operand {
    ap_int<P::ACTIVATION_PORT + 1> value; // codes side by side less zero points
    ap_int<P::ACTIVATION_PORT> port;      // moved, where the port needs it
    ap_uint<2> low[P::ACTIVATIONS];       // of code less zero point
};

template <class P, bool SIGNED, int BITS> operand<P> make_operand(const ap_uint<BITS> codes[P::ACTIVATIONS]) {
#pragma HLS INLINE
    operand<P> out;
    if (P::PLAIN && SIGNED) {
        out.value = ap_int<BITS>(codes[0]);
    } else {
        ap_uint<P::ACTIVATION_PORT + 1> raw = 0;
        for (int j = 0; j < P::ACTIVATIONS; j++) {
#pragma HLS UNROLL
            const int at = P::activation_position(j);
            raw.range(at + BITS - 1, at) = codes[j];
        }
        out.value = raw - ap_int<P::ACTIVATION_PORT + 2>(+P::ZERO_WORD);
    }
    const ap_int<P::ACTIVATION_PORT + 2> by = ap_int<P::ACTIVATION_PORT + 2>(1) << +P::FIX_SHIFT;
    out.port = out.value;
    if (P::FIX == OFFSET_ACTIVATIONS) out.port = P::FIX_SIGN > 0 ? out.value + by : out.value - by;
    if (P::FIX == EXTRA_ACTIVATIONS) out.port = out.value < 0 ? out.value + by : out.value - by;
    for (int j = 0; P::KNOWN > 0 && j < P::ACTIVATIONS; j++) {
#pragma HLS UNROLL
        out.low[j] = ap_uint<2>(codes[j]) - ap_uint<2>(static_cast<int>(P::zero(j) & 3));
    }
    return out;
}

// Bits of a word of the weights' memory: the port's, a sign where the port has a bit too few, low bits of
// each weight.
template <class P> struct weight_word {
    static constexpr int FLAG = P::FIX == EXTRA_WEIGHTS ? 1 : 0;
    static constexpr int BITS = P::WEIGHT_PORT + FLAG + P::KNOWN * P::WEIGHTS;
};

// P after this slice; before: P of the slice before it in the cascade, or the fields' constant.
template <class P>
ap_int<P::P_BITS> slice(ap_int<P::P_BITS> before, const ap_uint<weight_word<P>::BITS> &word,
                        const operand<P> &a) {
#pragma HLS INLINE
    const ap_int<P::WEIGHT_PORT> w = word.range(P::WEIGHT_PORT - 1, 0);
    const ap_int<P::P_BITS> product = w * a.port;
    ap_int<P::P_BITS> c = 0; // takes back what moved a port
    if (P::FIX == OFFSET_WEIGHTS || P::FIX == EXTRA_WEIGHTS) c = ap_int<P::P_BITS>(a.value) << +P::FIX_SHIFT;
    if (P::FIX == OFFSET_ACTIVATIONS || P::FIX == EXTRA_ACTIVATIONS)
        c = ap_int<P::P_BITS>(w) << +P::FIX_SHIFT;
    bool added = P::FIX_SIGN > 0;
    if (P::FIX == EXTRA_WEIGHTS) added = word[P::WEIGHT_PORT];
    if (P::FIX == EXTRA_ACTIVATIONS) added = a.value < 0;
    if (P::FIX == FITS) return before + product;
    return added ? before + product - c : before + product + c;
}

// What the operands' low bits say of every field, modulo 4; summed along the cascade.
template <class P>
void know(const ap_uint<weight_word<P>::BITS> &word, const operand<P> &a, ap_uint<2> known[P::FIELDS]) {
#pragma HLS INLINE
    for (int i = 0; P::KNOWN > 0 && i < P::WEIGHTS; i++) {
#pragma HLS UNROLL
        const int at = P::WEIGHT_PORT + weight_word<P>::FLAG + i * P::KNOWN;
        const ap_uint<2> w = word.range(at + larger(P::KNOWN, 1) - 1, at);
        for (int j = 0; j < P::ACTIVATIONS; j++) {
#pragma HLS UNROLL
            const int f = static_cast<int>(P::field(i * P::ACTIVATIONS + j));
            known[f] += ap_uint<2>(w * a.low[j]);
        }
    }
}

// P of n slices into its fields, each with n times its constant still in it, modulo 2^ACC.
template <class P, int ACC>
void split(ap_int<P::P_BITS> p, const ap_uint<2> known[P::FIELDS], int n, ap_int<ACC> sums[P::FIELDS]) {
#pragma HLS INLINE
    ap_uint<2> carry = 0; // into field f
    for (int f = 0; f < P::FIELDS; f++) {
#pragma HLS UNROLL
        const int at = static_cast<int>(P::position(f)), bits = static_cast<int>(P::spacing(f)),
                  r = static_cast<int>(P::overlap(f));
        ap_int<ACC> sum =
            P::PLAIN ? ap_int<ACC>(p) : ap_int<ACC>(ap_uint<P::P_BITS>(p.range(at + bits - 1, at)));
        sum -= carry;
        carry = 0;
        if (r > 0) {
            const int next = at + bits;
            const ap_uint<2> own =
                known[f + 1] - ap_uint<2>(static_cast<int>(P::low(f + 1 < P::FIELDS ? f + 1 : f) * n & 3));
            carry = ap_uint<2>(p.range(next + r - 1, next)) - own;
            if (r == 1) carry[1] = 0;
            sum += ap_int<ACC>(carry) << bits;
        }
        sums[f] = sum;
    }
}

} // namespace mixq

#endif
