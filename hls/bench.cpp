// bench.cpp - bench [VECTORS [DUMPS]] sends the frames of VECTORS/input.beats and compares what comes with output.beats; with
// DUMPS every stage's beats are written there. Ends with 1 where something differs, 3 where files are not as they must be.
#include "mixq_bench.h"
#include "top.h"

const char *mixq::tap_folder = nullptr;

int main(int argc, char **argv) {
    const std::string folder = argc > 1 ? argv[1] : "vectors";
    if (argc > 2) mixq::tap_folder = argv[2];
    const std::vector<unsigned char> in = mixq::read_file(folder + "/input.beats");
    const std::vector<unsigned char> expected = mixq::read_file(folder + "/output.beats");
    const size_t in_frame = size_t(MIXQ_IN_BEATS) * MIXQ_IN_BYTES, out_frame = size_t(MIXQ_OUT_BEATS) * MIXQ_OUT_BYTES;
    const size_t frames = in.size() / in_frame;
    if (frames == 0 || in.size() % in_frame != 0 || expected.size() != frames * out_frame) {
        std::fprintf(stderr, "%s: %zu bytes in, %zu out: no whole frames of %zu and %zu\n", folder.c_str(), in.size(),
                     expected.size(), in_frame, out_frame);
        return 3;
    }
    size_t mismatches = 0;
    for (size_t f = 0; f < frames; f++) {
        hls::stream<mixq_in> s_axis("s_axis");
        hls::stream<mixq_out> m_axis("m_axis");
        for (int i = 0; i < MIXQ_IN_BEATS; i++) {
            mixq_in beat;
            beat.data = mixq::beat_of<8 * MIXQ_IN_BYTES>(&in[f * in_frame + size_t(i) * MIXQ_IN_BYTES]);
            beat.keep = ~ap_uint<MIXQ_IN_BYTES>(0);
            beat.strb = beat.keep;
            beat.last = i == MIXQ_IN_BEATS - 1 ? 1 : 0;
            s_axis.write(beat);
        }
        mixq_accelerator(s_axis, m_axis);
        for (int i = 0; i < MIXQ_OUT_BEATS; i++) {
            const mixq_out beat = m_axis.read();
            const ap_uint<8 * MIXQ_OUT_BYTES> data = beat.data;
            const bool last = beat.last == 1;
            unsigned char bytes[MIXQ_OUT_BYTES];
            mixq::beat_bytes<8 * MIXQ_OUT_BYTES>(data, bytes);
            bool same = last == (i == MIXQ_OUT_BEATS - 1);
            for (int b = 0; b < MIXQ_OUT_BYTES; b++)
                same = same && bytes[b] == expected[f * out_frame + size_t(i) * MIXQ_OUT_BYTES + size_t(b)];
            if (!same && mismatches++ == 0) std::printf("frame %zu, beat %d: differs\n", f, i);
        }
        if (!m_axis.empty()) {
            std::printf("frame %zu: more than %d beats\n", f, MIXQ_OUT_BEATS);
            return 1;
        }
    }
    std::printf("%zu frames, %zu beats differ\n", frames, mismatches);
    return mismatches ? 1 : 0;
}
