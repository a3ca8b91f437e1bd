// mixq_common.h - what the stages share. Streams, beats, blocks and borders: docs/accelerator.md. +X of a
// constant of a shape or a packing makes it a value where an ap_int would take a reference: it has no
// address.
#ifndef MIXQ_HLS_COMMON_H
#define MIXQ_HLS_COMMON_H

#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 4096
#endif
#include <ap_int.h>
#include <hls_stream.h>

// A short table of constants, read with constant indices: wiring in hardware.
#define MIXQ_TABLE(name, ...)                                                                                \
    static constexpr long long name(int i) {                                                                 \
        constexpr long long values[] = {__VA_ARGS__};                                                        \
        return values[i];                                                                                    \
    }

namespace mixq {

constexpr int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}
constexpr int larger(int a, int b) {
    return a > b ? a : b;
}
constexpr int smaller(int a, int b) {
    return a < b ? a : b;
}
constexpr int at_least_1(int a) {
    return a > 0 ? a : 1;
}

// Words of a memory of constants: exactly as wide as they must be in hardware; plain numbers in a simulation,
// so that large tables compile quickly.
#ifdef __SYNTHESIS__
template <int W> using rom_word = ap_uint<W>;
template <int W> using rom_int = ap_int<W>;
#else
template <int BYTES> struct plain {
    typedef long long sign;
    typedef unsigned long long none;
};
template <> struct plain<1> {
    typedef signed char sign;
    typedef unsigned char none;
};
template <> struct plain<2> {
    typedef short sign;
    typedef unsigned short none;
};
template <> struct plain<4> {
    typedef int sign;
    typedef unsigned none;
};
constexpr int plain_bytes(int bits) {
    return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}
template <int W> using rom_word = typename plain<plain_bytes(W)>::none;
template <int W> using rom_int = typename plain<plain_bytes(W)>::sign;
#endif

// Numbers of a layer's stage that follow from those of its shape S.
template <class S> struct geometry {
    // a word of the ring holds SIMD channels: GATHER beats side by side, or a beat holds SPLIT words
    static constexpr int GATHER = S::SIMD > S::CH ? S::SIMD / S::CH : 1;
    static constexpr int SPLIT = S::CH > S::SIMD ? S::CH / S::SIMD : 1;
    static constexpr int BEATS = S::NPX / S::PX; // of a block, in one channel group
    static constexpr int BANKS = GATHER * BEATS;
    static constexpr int BLOCKS = ceil_div(S::IN_W, S::NPX);
    static constexpr int ROW_X = ceil_div(S::IN_W, S::PX);
    static constexpr int IN_GROUPS = ceil_div(S::CHANNELS, S::CH);
    static constexpr int DEPTH = ceil_div(S::CHANNELS, larger(S::SIMD, S::CH)) * BLOCKS;
    static constexpr int ROW_STEPS = S::KH / S::ROWS;
    static constexpr int STEPS = (S::DEPTHWISE ? 1 : ceil_div(S::CHANNELS, S::SIMD)) * ROW_STEPS;
    static constexpr int FRAME_BLOCKS = S::OUT_H * S::GROUPS * BLOCKS;
    static constexpr int LEAD =
        S::KW - 1 - S::PAD_LEFT; // coefficients of block 0 before the row's first pixel
    static constexpr int COEFFICIENTS = S::NPX + S::KW - 1; // of a block
    static constexpr int WORD = S::SIMD * S::NPX * S::BITS;
    static constexpr int SUMS = (S::NPX + LEAD) * S::ACC; // message of a block, per output channel
};
template <class S> using in_beat = ap_uint<S::CH * S::PX * S::BITS>;
template <class S> using step_word = ap_uint<geometry<S>::WORD>; // pixel p, channel c at (p*SIMD + c)*BITS
template <class S> using block_sums = ap_uint<geometry<S>::SUMS>;

} // namespace mixq

#endif
