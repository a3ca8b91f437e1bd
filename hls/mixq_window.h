// mixq_window.h - beats in, operands of the multipliers out: a ring of KH+1 rows, one being filled while KH
// are read.
//
// One loop, one cycle a turn: in every cycle at most one beat is stored and one word per kernel row is read.
// Rows outside the image, and pixels of the last block beyond its width, are read as 0.
#ifndef MIXQ_HLS_WINDOW_H
#define MIXQ_HLS_WINDOW_H

#include "mixq_common.h"

namespace mixq {

template <class S> void window(hls::stream<in_beat<S>> &in, hls::stream<step_word<S>> steps[S::ROWS]) {
    typedef geometry<S> G;
    static const int SLOTS = S::KH + 1,
                     AHEAD = S::KH - S::PAD_TOP; // rows stored before the first is computed
    static const int FILLS = G::IN_GROUPS * G::ROW_X, READS = S::GROUPS * G::BLOCKS * G::STEPS;
    static const int ROW = larger(FILLS, READS), TOTAL = AHEAD * FILLS + S::OUT_H * ROW;
    static const int PART = smaller(S::CH, S::SIMD) * S::BITS; // of a word: channels that one beat brings
    static in_beat<S> ring[SLOTS][G::BANKS][G::DEPTH];
#pragma HLS ARRAY_PARTITION variable = ring dim = 1 complete
#pragma HLS ARRAY_PARTITION variable = ring dim = 2 complete
#pragma HLS DEPENDENCE variable = ring inter false // the row being filled is none of those being read
    int y = -AHEAD, n = 0, slot = 0;
    int fill_gather = 0, fill_beat = 0, fill_block = 0, fill_base = 0;
    int group = 0, block = 0, channels = 0, split = 0, base = 0, kernel_row = 0;
    for (int i = 0; i < TOTAL; i++) {
#pragma HLS PIPELINE II = 1
        if (n < FILLS && y + AHEAD < S::IN_H) {
            ring[slot][fill_gather * G::BEATS + fill_beat][fill_base + fill_block] = in.read();
            const bool last_x = fill_block * G::BEATS + fill_beat == G::ROW_X - 1;
            if (last_x) {
                fill_beat = fill_block = 0;
                if (++fill_gather == G::GATHER) {
                    fill_gather = 0;
                    fill_base += G::BLOCKS;
                }
            } else if (++fill_beat == G::BEATS) {
                fill_beat = 0;
                fill_block++;
            }
        }
        if (y >= 0 && n < READS) {
            for (int r = 0; r < S::ROWS; r++) {
#pragma HLS UNROLL
                const int k = kernel_row * S::ROWS + r, row = y - S::PAD_TOP + k;
                const int from = slot + 1 + k < SLOTS ? slot + 1 + k : slot + 1 + k - SLOTS;
                step_word<S> word = 0;
                for (int q = 0; q < G::GATHER; q++) {
#pragma HLS UNROLL
                    for (int e = 0; e < G::BEATS; e++) {
#pragma HLS UNROLL
                        const in_beat<S> beat = ring[from][q * G::BEATS + e][base + block];
                        for (int p = 0; p < S::PX; p++) {
#pragma HLS UNROLL
                            const int pixel = e * S::PX + p;
                            const ap_uint<S::CH *S::BITS> all =
                                beat.range((p + 1) * S::CH * S::BITS - 1, p * S::CH * S::BITS);
                            const ap_uint<PART> part = all >> (split * S::SIMD * S::BITS);
                            const bool inside = row >= 0 && row < S::IN_H && block * S::NPX + pixel < S::IN_W;
                            const int at = pixel * S::SIMD * S::BITS + q * PART;
                            if (inside) word.range(at + PART - 1, at) = part;
                        }
                    }
                }
                steps[r].write(word);
            }
            // step: kernel rows, then channels; then block; then group
            if (++kernel_row == G::ROW_STEPS) {
                kernel_row = 0;
                bool channels_done = true;
                if (!S::DEPTHWISE) {
                    channels_done = ++channels == G::STEPS / G::ROW_STEPS;
                    if (++split == G::SPLIT || channels_done) {
                        split = 0;
                        base = channels_done ? 0 : base + G::BLOCKS;
                    }
                    if (channels_done) channels = 0;
                }
                if (channels_done && ++block == G::BLOCKS) {
                    block = 0;
                    group++;
                    if (S::DEPTHWISE && ++split == G::SPLIT) { // a group is a word
                        split = 0;
                        base += G::BLOCKS;
                    }
                }
            }
        }
        if (++n == (y < 0 ? FILLS : ROW)) {
            n = fill_gather = fill_beat = fill_block = fill_base = 0;
            group = block = channels = split = base = kernel_row = 0;
            y++;
            slot = slot + 1 == SLOTS ? 0 : slot + 1;
        }
    }
}

// A linear layer: the whole frame is one pixel, its channels in the order the beats bring them.
template <class S>
void linear_window(hls::stream<ap_uint<S::BEAT_BITS>> &in, hls::stream<step_word<S>> steps[1]) {
    static const int STEPS = S::CHANNELS / S::SIMD, SPLIT = STEPS / S::FRAME_BEATS, READS = S::GROUPS * STEPS;
    static ap_uint<S::BEAT_BITS> frame[S::FRAME_BEATS];
    int address = 0, split = 0;
    for (int i = 0; i < S::FRAME_BEATS + READS; i++) {
#pragma HLS PIPELINE II = 1
        if (i < S::FRAME_BEATS) {
            frame[i] = in.read();
        } else {
            const ap_uint<S::SIMD *S::BITS> word = frame[address] >> (split * S::SIMD * S::BITS);
            steps[0].write(word); // the block's other pixels are 0
            if (++split == SPLIT) {
                split = 0;
                address = address + 1 == S::FRAME_BEATS ? 0 : address + 1;
            }
        }
    }
}

} // namespace mixq

#endif
