// mixq_stages.h - stages without multipliers, and the two ends of the accelerator.
#ifndef MIXQ_HLS_STAGES_H
#define MIXQ_HLS_STAGES_H

#include <ap_axi_sdata.h>

#include "mixq_common.h"

namespace mixq {

// 8-bit pixels of the host -> codes: the highest BITS bits.
template <int VALUES, int BITS, int AXIS, int BEATS>
void image(hls::stream<ap_axiu<AXIS, 0, 0, 0>> &in, hls::stream<ap_uint<VALUES * BITS>> &out) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II = 1
        const ap_uint<AXIS> data = in.read().data;
        ap_uint<VALUES *BITS> beat = 0;
        for (int v = 0; v < VALUES; v++) {
#pragma HLS UNROLL
            beat.range((v + 1) * BITS - 1, v * BITS) = data.range(8 * v + 7, 8 * v + 8 - BITS);
        }
        out.write(beat);
    }
}

// The head's accumulators -> the host; the frame's last beat is marked.
template <int WIDTH, int AXIS, int BEATS>
void output(hls::stream<ap_uint<WIDTH>> &in, hls::stream<ap_axiu<AXIS, 0, 0, 0>> &out) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II = 1
        ap_axiu<AXIS, 0, 0, 0> beat;
        beat.data = in.read();
        beat.keep = ~ap_uint<(AXIS + 7) / 8>(0);
        beat.strb = beat.keep;
        beat.last = i == BEATS - 1 ? 1 : 0;
        out.write(beat);
    }
}

// An edge that two stages read.
template <class T, int BEATS> void fork(hls::stream<T> &in, hls::stream<T> &first, hls::stream<T> &second) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II = 1
        const T beat = in.read();
        first.write(beat);
        second.write(beat);
    }
}

template <int BITS, bool SIGNED> ap_uint<BITS> larger_code(const ap_uint<BITS> &a, const ap_uint<BITS> &b) {
#pragma HLS INLINE
    const bool less = SIGNED ? ap_int<BITS>(a) < ap_int<BITS>(b) : a < b;
    return less ? b : a;
}

// Maximum of K x K, stride K: along the row first, then with a row of partial maxima. PX: pixels of a beat, a
// multiple of K, or 1.
template <int H, int W, int GROUPS, int CH, int PX, int BITS, bool SIGNED, int K>
void max_pool(hls::stream<ap_uint<CH * PX * BITS>> &in,
              hls::stream<ap_uint<CH *(PX == 1 ? 1 : PX / K) * BITS>> &out) {
    static const int OUT_PX = PX == 1 ? 1 : PX / K, X = ceil_div(W, PX), OUT_W = W / K;
    static const int TAKEN =
        PX == 1 ? OUT_W * K : ceil_div(OUT_W, OUT_PX); // beats of a row that reach an output
    static ap_uint<CH * OUT_PX * BITS> rows[GROUPS * (PX == 1 ? at_least_1(OUT_W) : X)];
    ap_uint<CH *BITS> run = 0;
    int x = 0, group = 0, y = 0, phase = 0, column = 0,
        at = 0; // y within the kernel, phase and column for PX == 1
    for (int i = 0; i < H * GROUPS * X; i++) {
#pragma HLS PIPELINE II = 1
#pragma HLS DEPENDENCE variable = rows inter false // one address a turn, again after a row: 8 beats or more
        const ap_uint<CH *PX *BITS> beat = in.read();
        ap_uint<CH *OUT_PX *BITS> most = 0;
        for (int c = 0; c < CH; c++) {
#pragma HLS UNROLL
            for (int p = 0; p < OUT_PX; p++) {
#pragma HLS UNROLL
                ap_uint<BITS> best = beat.range((p * (PX == 1 ? 1 : K) * CH + c + 1) * BITS - 1,
                                                (p * (PX == 1 ? 1 : K) * CH + c) * BITS);
                for (int k = 1; PX > 1 && k < K; k++) {
#pragma HLS UNROLL
                    const int from = ((p * K + k) * CH + c) * BITS;
                    best =
                        larger_code<BITS, SIGNED>(best, beat.range(smaller(from + BITS, CH * PX * BITS) - 1,
                                                                   smaller(from, CH * PX * BITS - BITS)));
                }
                if (PX == 1 && phase > 0)
                    best = larger_code<BITS, SIGNED>(best, run.range((c + 1) * BITS - 1, c * BITS));
                most.range((p * CH + c + 1) * BITS - 1, (p * CH + c) * BITS) = best;
            }
        }
        run = most;
        const bool whole = x < TAKEN && (PX > 1 || phase == K - 1) && i / (GROUPS * X) < H / K * K;
        if (whole) {
            const ap_uint<CH *OUT_PX *BITS> above = rows[at];
            for (int v = 0; v < CH * OUT_PX; v++) {
#pragma HLS UNROLL
                if (y > 0)
                    most.range((v + 1) * BITS - 1, v * BITS) = larger_code<BITS, SIGNED>(
                        most.range((v + 1) * BITS - 1, v * BITS), above.range((v + 1) * BITS - 1, v * BITS));
            }
            rows[at] = most;
            if (y == K - 1) {
                for (int p = 0; p < OUT_PX; p++) { // pixels beyond the row are 0
#pragma HLS UNROLL
                    if (column + p >= OUT_W)
                        most.range((p + 1) * CH * BITS - 1, p * CH * BITS) = ap_uint<CH * BITS>(0);
                }
                out.write(most);
            }
            column += OUT_PX;
            at++;
        }
        phase = phase == K - 1 ? 0 : phase + 1;
        if (++x == X) {
            x = phase = column = 0;
            if (++group == GROUPS) {
                group = at = 0;
                y = y == K - 1 ? 0 : y + 1;
            }
        }
    }
}

// Space to depth by 2: channel (2*dy + dx)*C + c at (y, x) is channel c at (2y + dy, 2x + dx). Two rows are
// stored while the two before them are read. C = GROUPS*CH, PX even or 1; W even.
template <int H, int W, int GROUPS, int CH, int PX, int BITS>
void reorg(hls::stream<ap_uint<CH * PX * BITS>> &in,
           hls::stream<ap_uint<CH *(PX == 1 ? 1 : PX / 2) * BITS>> &out) {
    static const int OUT_PX = PX == 1 ? 1 : PX / 2, X = ceil_div(W, PX), STORED = 2 * GROUPS * X;
    static const int OUT_X = ceil_div(W / 2, OUT_PX), READS = 4 * GROUPS * OUT_X,
                     TURN = larger(STORED, READS);
    static ap_uint<CH * PX * BITS> rows[2][STORED];
#pragma HLS ARRAY_PARTITION variable = rows dim = 1 complete
#pragma HLS DEPENDENCE variable = rows inter false // one half is stored while the other is read
    int pair = 0, n = 0, dy = 0, dx = 0, group = 0, x = 0;
    for (int i = 0; i < STORED + H / 2 * TURN; i++) {
#pragma HLS PIPELINE II = 1
        if (pair < H / 2 && n < STORED) rows[pair & 1][n] = in.read();
        if (pair > 0 && n < READS) {
            const int column = PX == 1 ? 2 * x + dx : x;
            const ap_uint<CH *PX *BITS> from = rows[(pair - 1) & 1][(dy * GROUPS + group) * X + column];
            ap_uint<CH *OUT_PX *BITS> beat = 0;
            for (int p = 0; p < OUT_PX; p++) {
#pragma HLS UNROLL
                const int even = 2 * p * CH * BITS, odd = smaller(even + CH * BITS, (PX - 1) * CH * BITS);
                const ap_uint<CH *BITS> a = from.range(even + CH * BITS - 1, even),
                                        b = from.range(odd + CH * BITS - 1, odd);
                beat.range((p + 1) * CH * BITS - 1, p * CH * BITS) = PX == 1 || dx == 0 ? a : b;
            }
            out.write(beat);
            if (++x == OUT_X) {
                x = 0;
                if (++group == GROUPS) {
                    group = 0;
                    dx ^= 1;
                    if (dx == 0) dy ^= 1;
                }
            }
        }
        if (++n == (pair == 0 ? STORED : TURN)) {
            n = 0;
            pair++;
        }
    }
}

// Per row all groups of the first input, then all of the second: X0, X1 beats of a row.
template <int H, int X0, int X1, int VALUES, int BITS0, int BITS1, int BITS>
void concat(hls::stream<ap_uint<VALUES * BITS0>> &first, hls::stream<ap_uint<VALUES * BITS1>> &second,
            hls::stream<ap_uint<VALUES * BITS>> &out) {
    int x = 0;
    for (int i = 0; i < H * (X0 + X1); i++) {
#pragma HLS PIPELINE II = 1
        ap_uint<VALUES *BITS> beat = 0;
        if (x < X0) {
            const ap_uint<VALUES *BITS0> from = first.read();
            for (int v = 0; v < VALUES; v++) {
#pragma HLS UNROLL
                beat.range((v + 1) * BITS - 1, v * BITS) =
                    ap_uint<BITS0>(from.range((v + 1) * BITS0 - 1, v * BITS0));
            }
        } else {
            const ap_uint<VALUES *BITS1> from = second.read();
            for (int v = 0; v < VALUES; v++) {
#pragma HLS UNROLL
                beat.range((v + 1) * BITS - 1, v * BITS) =
                    ap_uint<BITS1>(from.range((v + 1) * BITS1 - 1, v * BITS1));
            }
        }
        out.write(beat);
        x = x + 1 == X0 + X1 ? 0 : x + 1;
    }
}

// Codes through a table.
template <int VALUES, int BITS, int OUT_BITS, int BEATS>
void look_up(hls::stream<ap_uint<VALUES * BITS>> &in, const rom_word<OUT_BITS> table[1 << BITS],
             hls::stream<ap_uint<VALUES * OUT_BITS>> &out) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II = 1
        const ap_uint<VALUES *BITS> from = in.read();
        ap_uint<VALUES *OUT_BITS> beat = 0;
        for (int v = 0; v < VALUES; v++) {
#pragma HLS UNROLL
            const ap_uint<BITS> code = from.range((v + 1) * BITS - 1, v * BITS);
            beat.range((v + 1) * OUT_BITS - 1, v * OUT_BITS) = ap_uint<OUT_BITS>(table[code.to_uint()]);
        }
        out.write(beat);
    }
}

} // namespace mixq

#endif
