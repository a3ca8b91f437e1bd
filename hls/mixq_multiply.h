// mixq_multiply.h - the multipliers of a layer, its accumulators and the borders between blocks.
//
// In every cycle SIMD channels x ROWS kernel rows x all taps of the row x NPX pixels meet PE output channels.
// Slices of one piece stand in cascade, over kernel rows, then channels, CHAIN of them; then P is split. A
// packing's fields are coefficients of the product of a kernel row and a block of pixels: coefficient v
// belongs to column block*NPX + v - LEAD, whatever the packing.
#ifndef MIXQ_HLS_MULTIPLY_H
#define MIXQ_HLS_MULTIPLY_H

#include "mixq_slice.h"

namespace mixq {

// Slices of one kind of pieces, for all PE output channels.
template <class S, class P> struct pieces {
    static constexpr int CHANNELS =
        S::DEPTHWISE ? 1 : S::SIMD;                   // a depthwise output sees its own channel only
    static constexpr int LENGTH = S::ROWS * CHANNELS; // slices that add to one sum
    static constexpr int OUTPUTS = S::PE / P::WEIGHT_GROUPS;
    static constexpr int SLICES = at_least_1(OUTPUTS * P::COUNT * LENGTH);
    static constexpr int SIDE = S::NPX / P::ACTIVATIONS; // packings of pixels side by side
};
struct no_pieces {
    static constexpr int COUNT = 0, TAPS = 1, CHAIN = 1, WEIGHTS = 1, ACTIVATIONS = 1, FIELDS = 1,
                         WEIGHT_GROUPS = 1;
    static constexpr int WEIGHT_PORT = 1, ACTIVATION_PORT = 32, P_BITS = 48, KNOWN = 0, FIX = FITS,
                         FIX_SHIFT = 0, FIX_SIGN = 0;
    static constexpr bool PLAIN = true;
    static constexpr long long ZERO_WORD = 0, BIAS = 0;
    MIXQ_TABLE(activation_position, 0)
    MIXQ_TABLE(zero, 0)
    MIXQ_TABLE(field, 0)
    MIXQ_TABLE(position, 0)
    MIXQ_TABLE(spacing, 48)
    MIXQ_TABLE(overlap, 0)
    MIXQ_TABLE(low, 0)
    MIXQ_TABLE(column, 0)
    MIXQ_TABLE(channel, 0)
};

template <class S, class P>
void add_pieces(
    const ap_uint<S::BITS> codes[S::ROWS][S::SIMD][S::NPX],
    const rom_word<weight_word<P>::BITS> weights[pieces<S, P>::SLICES][S::GROUPS * geometry<S>::STEPS],
    int address, ap_int<S::ACC> sum[S::PE][geometry<S>::COEFFICIENTS]) {
#pragma HLS INLINE
    typedef pieces<S, P> K;
    operand<P> a[S::ROWS][S::SIMD][K::SIDE];
#pragma HLS ARRAY_PARTITION variable = a dim = 0 complete
    for (int r = 0; r < S::ROWS; r++) {
#pragma HLS UNROLL
        for (int c = 0; c < S::SIMD; c++) {
#pragma HLS UNROLL
            for (int k = 0; k < K::SIDE; k++) {
#pragma HLS UNROLL
                a[r][c][k] = make_operand<P, S::SIGNED, S::BITS>(&codes[r][c][k * P::ACTIVATIONS]);
            }
        }
    }
    for (int o = 0; o < K::OUTPUTS; o++) {
#pragma HLS UNROLL
        for (int q = 0; q < P::COUNT; q++) {
#pragma HLS UNROLL
            for (int k = 0; k < K::SIDE; k++) {
#pragma HLS UNROLL
                for (int first = 0; first < K::LENGTH; first += P::CHAIN) {
#pragma HLS UNROLL
                    const int n = smaller(P::CHAIN, K::LENGTH - first);
                    ap_int<P::P_BITS> p = ap_int<P::P_BITS>(+P::BIAS) * n;
                    ap_uint<2> known[P::FIELDS];
                    ap_int<S::ACC> field[P::FIELDS];
                    for (int i = 0; i < n; i++) {
#pragma HLS UNROLL
                        const int r = (first + i) % S::ROWS, c = (first + i) / S::ROWS;
                        const ap_uint<weight_word<P>::BITS> word =
                            weights[((o * P::COUNT + q) * K::CHANNELS + c) * S::ROWS + r][address];
                        const operand<P> &x = a[r][S::DEPTHWISE ? o : c][k];
                        p = slice<P>(p, word, x);
#if defined __SYNTHESIS__
                        if (P::PLAIN) {
#pragma HLS BIND_OP variable = p op = mul impl = fabric
                        }
#endif
                        know<P>(word, x, known);
                    }
                    split<P, S::ACC>(p, known, n, field);
                    for (int f = 0; f < P::FIELDS; f++) {
#pragma HLS UNROLL
                        // a piece that reaches past the row has fields of zero weights only
                        const int v = k * P::ACTIVATIONS + static_cast<int>(P::column(f)) - q * P::TAPS;
                        const int channel = o * P::WEIGHT_GROUPS + static_cast<int>(P::channel(f));
                        if (v >= 0 && v < geometry<S>::COEFFICIENTS) sum[channel][v] += field[f];
                    }
                }
            }
        }
    }
}

// Constants of a layer's sums: left[v][channel][group] stands for the columns before the image, right[v] for
// those after it; first(v) takes the fields' constants away.
template <class S, class P0, class P1>
void multiply(
    hls::stream<step_word<S>> steps[S::ROWS],
    const rom_word<weight_word<P0>::BITS> weights0[pieces<S, P0>::SLICES][S::GROUPS * geometry<S>::STEPS],
    const rom_word<weight_word<P1>::BITS> weights1[pieces<S, P1>::SLICES][S::GROUPS * geometry<S>::STEPS],
    const rom_int<S::ACC> left[at_least_1(S::KW - 1)][S::PE][S::GROUPS],
    const rom_int<S::ACC> right[at_least_1(geometry<S>::LEAD)][S::PE][S::GROUPS],
    hls::stream<block_sums<S>> sums[S::PE]) {
#pragma HLS ARRAY_PARTITION variable = weights0 dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = weights1 dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = left dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = left dim = 2 complete
#pragma HLS ARRAY_PARTITION variable = right dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = right dim = 2 complete
    typedef geometry<S> G;
    static const int TAIL = at_least_1(S::KW - 1);
    ap_int<S::ACC> acc[S::PE][G::COEFFICIENTS], tail[S::PE][TAIL];
#pragma HLS ARRAY_PARTITION variable = acc dim = 0 complete
#pragma HLS ARRAY_PARTITION variable = tail dim = 0 complete
    int step = 0, block = 0, group = 0, address = 0;
    for (int i = 0; i < G::FRAME_BLOCKS * G::STEPS; i++) {
#pragma HLS PIPELINE II = 1
        ap_uint<S::BITS> codes[S::ROWS][S::SIMD][S::NPX];
        ap_int<S::ACC> sum[S::PE][G::COEFFICIENTS];
#pragma HLS ARRAY_PARTITION variable = codes dim = 0 complete
#pragma HLS ARRAY_PARTITION variable = sum dim = 0 complete
        for (int r = 0; r < S::ROWS; r++) {
#pragma HLS UNROLL
            const step_word<S> word = steps[r].read();
            for (int c = 0; c < S::SIMD; c++) {
#pragma HLS UNROLL
                for (int p = 0; p < S::NPX; p++) {
#pragma HLS UNROLL
                    const int at = (p * S::SIMD + c) * S::BITS;
                    codes[r][c][p] = word.range(at + S::BITS - 1, at);
                }
            }
        }
        add_pieces<S, P0>(codes, weights0, address, sum);
        if (P1::COUNT > 0) add_pieces<S, P1>(codes, weights1, address, sum);

        const bool last_step = step == G::STEPS - 1;
        for (int o = 0; o < S::PE; o++) {
#pragma HLS UNROLL
            for (int v = 0; v < G::COEFFICIENTS; v++) {
#pragma HLS UNROLL
                const ap_int<S::ACC> before = step == 0 ? ap_int<S::ACC>(S::first(v)) : acc[o][v];
                acc[o][v] = before + sum[o][v];
            }
            if (last_step) {
                block_sums<S> message = 0;
                for (int v = 0; v < S::KW - 1; v++) { // the block before reaches into this one
#pragma HLS UNROLL
                    acc[o][v] += block == 0 ? ap_int<S::ACC>(left[v][o][group]) : tail[o][v];
                }
                for (int v = 0; v < S::NPX; v++) {
#pragma HLS UNROLL
                    message.range((v + 1) * S::ACC - 1, v * S::ACC) = acc[o][v];
                }
                for (int v = 0; v < S::KW - 1; v++) {
#pragma HLS UNROLL
                    tail[o][v] = acc[o][S::NPX + v];
                }
                for (int v = 0; v < G::LEAD; v++) { // what they are if the row ends here
#pragma HLS UNROLL
                    const ap_int<S::ACC> end = tail[o][v] + ap_int<S::ACC>(right[v][o][group]);
                    message.range((S::NPX + v + 1) * S::ACC - 1, (S::NPX + v) * S::ACC) = end;
                }
                sums[o].write(message);
            }
        }
        address++;
        step++;
        if (last_step) {
            step = 0;
            address -= G::STEPS; // the next block has the same weights
            if (++block == G::BLOCKS) {
                block = 0;
                address += G::STEPS;
                if (++group == S::GROUPS) group = address = 0;
            }
        }
    }
}

// The same with one kind of pieces.
template <class S, class P>
void multiply(
    hls::stream<step_word<S>> steps[S::ROWS],
    const rom_word<weight_word<P>::BITS> weights[pieces<S, P>::SLICES][S::GROUPS * geometry<S>::STEPS],
    const rom_int<S::ACC> left[at_least_1(S::KW - 1)][S::PE][S::GROUPS],
    const rom_int<S::ACC> right[at_least_1(geometry<S>::LEAD)][S::PE][S::GROUPS],
    hls::stream<block_sums<S>> sums[S::PE]) {
#pragma HLS INLINE
    static const rom_word<weight_word<no_pieces>::BITS> none[1][S::GROUPS * geometry<S>::STEPS] = {{0}};
    multiply<S, P, no_pieces>(steps, weights, none, left, right, sums);
}

} // namespace mixq

#endif
