// mixq_finish.h - from the sums of blocks to beats of codes: alignment, requantisation, serialising.
//
// A block's first LEAD columns complete the block before it, so that blocks leave one slot late; the row's
// last one is completed by what the multipliers say it is if the row ends. A requantiser R handles LANES sums
// a cycle.
#ifndef MIXQ_HLS_FINISH_H
#define MIXQ_HLS_FINISH_H

#include "mixq_common.h"

namespace mixq {

// clip((acc*inc + bias) >> shift, low, high). Tables: inc, bias [LANES][GROUPS*TURNS]; the layer's own
// constant (what recentring leaves, the convolution's bias) is in bias.
template <class S, class R> struct affine {
    static constexpr int BITS = R::BITS, LANES = R::LANES, TURNS = S::PE * S::OUT_PIXELS / R::LANES;
    static ap_uint<BITS> code(ap_int<S::ACC> acc, int lane, int group, int turn) {
#pragma HLS INLINE
        const ap_int<R::INC> inc = R::inc(lane, group * TURNS + turn);
        const ap_int<R::SUM> sum = acc * inc + ap_int<R::SUM>(R::bias(lane, group * TURNS + turn));
        const ap_int<R::SUM> shifted = sum >> +R::SHIFT;
        const ap_int<BITS + 1> clipped = shifted < +R::LOW    ? ap_int<BITS + 1>(+R::LOW)
                                         : shifted > +R::HIGH ? ap_int<BITS + 1>(+R::HIGH)
                                                              : ap_int<BITS + 1>(shifted);
        return ap_uint<BITS>(clipped);
    }
};

// Number of thresholds t <= acc by binary search, one stage per bit; a falling channel counts from the top.
// Tables by stage, since every stage reads its own in the same cycle.
template <class S, class R> struct threshold {
    static constexpr int BITS = R::BITS, LANES = S::PE * S::OUT_PIXELS, TURNS = 1;
    static ap_uint<BITS> code(ap_int<S::ACC> acc, int lane, int group, int) {
#pragma HLS INLINE
        const int channel = lane % S::PE;
        int count = 0;
        for (int stage = 0; stage < BITS; stage++) {
#pragma HLS UNROLL
            const ap_int<S::ACC + 1> t = R::threshold(stage, channel, (group << stage) + count);
            count = 2 * count + (ap_int<S::ACC + 1>(acc) >= t ? 1 : 0);
        }
        const int value = R::falling(channel, group) ? R::HIGH - count : R::LOW + count;
        return ap_uint<BITS>(value);
    }
};

// The last layer: accumulators, 32 bits.
template <class S, class R> struct head {
    static constexpr int BITS = 32, LANES = S::PE * S::OUT_PIXELS, TURNS = 1;
    static ap_uint<32> code(ap_int<S::ACC> acc, int lane, int group, int) {
#pragma HLS INLINE
        return ap_uint<32>(ap_int<32>(acc + ap_int<32>(R::constant(lane % S::PE, group))));
    }
};

template <class S, class Q>
void finish(hls::stream<block_sums<S>> sums[S::PE],
            hls::stream<ap_uint<S::PE * S::OUT_PIXELS * Q::BITS>> &out) {
    typedef geometry<S> G;
    static const int LATE = G::LEAD > 0 ? 1 : 0, SLOTS = G::FRAME_BLOCKS + LATE,
                     BEATS = S::NPX / S::OUT_PIXELS;
    static const int SUMS = S::NPX * S::PE, PER_BEAT = S::PE * S::OUT_PIXELS;
    block_sums<S> held[S::PE];
    ap_int<S::ACC> row[SUMS]; // pixel p, channel c at p*PE + c; taken from the front
    ap_uint<PER_BEAT *Q::BITS> beat = 0;
#pragma HLS ARRAY_PARTITION variable = held complete
#pragma HLS ARRAY_PARTITION variable = row complete
    int turn = 0, part = 0, slot = 0, in_block = 0, block = 0, group = 0;
    for (int i = 0; i < SLOTS * BEATS * Q::TURNS; i++) {
#pragma HLS PIPELINE II = 1
        if (turn == 0 && part == 0) {
            for (int c = 0; c < S::PE; c++) {
#pragma HLS UNROLL
                block_sums<S> now = 0;
                if (slot < G::FRAME_BLOCKS) now = sums[c].read();
                for (int p = 0; p < S::NPX; p++) {
#pragma HLS UNROLL
                    const int v = p + G::LEAD;
                    const bool whole = v < S::NPX;
                    const int at = (whole || in_block == 0 ? v : v - S::NPX) * S::ACC;
                    const block_sums<S> &from = LATE && (whole || in_block == 0) ? held[c] : now;
                    row[p * S::PE + c] = ap_int<S::ACC>(ap_uint<S::ACC>(from.range(at + S::ACC - 1, at)));
                }
                held[c] = now;
            }
        }
        for (int l = 0; l < Q::LANES; l++) {
#pragma HLS UNROLL
            const int pixel = block * S::NPX + part * S::OUT_PIXELS + (turn * Q::LANES + l) / S::PE;
            const ap_uint<Q::BITS> code =
                pixel < S::OUT_W ? Q::code(row[l], l, group, turn) : ap_uint<Q::BITS>(0);
            if (Q::TURNS > 1) {
                beat >>= +Q::BITS;
                beat.range(PER_BEAT * Q::BITS - 1, (PER_BEAT - 1) * Q::BITS) = code;
            } else {
                beat.range((l + 1) * Q::BITS - 1, l * Q::BITS) = code;
            }
        }
        for (int e = 0; e + Q::LANES < SUMS; e++) {
#pragma HLS UNROLL
            row[e] = row[e + Q::LANES];
        }
        if (++turn == Q::TURNS) {
            turn = 0;
            if (slot >= LATE && block * S::NPX + part * S::OUT_PIXELS < S::OUT_W) out.write(beat);
            if (++part == BEATS) {
                part = 0;
                if (++in_block == G::BLOCKS) in_block = 0;
                if (slot >= LATE && ++block == G::BLOCKS) {
                    block = 0;
                    if (++group == S::GROUPS) group = 0;
                }
                slot++;
            }
        }
    }
}

// For a layer with two requantisers.
template <class S>
void both(hls::stream<block_sums<S>> in[S::PE], hls::stream<block_sums<S>> first[S::PE],
          hls::stream<block_sums<S>> second[S::PE]) {
    for (int i = 0; i < geometry<S>::FRAME_BLOCKS; i++) {
#pragma HLS PIPELINE II = 1
        for (int c = 0; c < S::PE; c++) {
#pragma HLS UNROLL
            const block_sums<S> sums = in[c].read();
            first[c].write(sums);
            second[c].write(sums);
        }
    }
}

} // namespace mixq

#endif
