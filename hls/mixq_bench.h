// mixq_bench.h - files of a simulation: beats, one after the other, each in whole bytes, lowest first. Not
// for synthesis.
#ifndef MIXQ_HLS_BENCH_H
#define MIXQ_HLS_BENCH_H

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "mixq_common.h"

namespace mixq {

extern const char *tap_folder; // where stages' beats are written; NULL: nowhere. Defined by the bench.

template <int W> void beat_bytes(const ap_uint<W> &beat, unsigned char *bytes) {
    for (int i = 0; i < (W + 7) / 8; i++)
        bytes[i] = static_cast<unsigned char>(ap_uint<8>(beat >> (8 * i)).to_uint());
}
template <int W> ap_uint<W> beat_of(const unsigned char *bytes) {
    ap_uint<W> beat = 0;
    for (int i = (W + 7) / 8 - 1; i >= 0; i--) beat = (beat << 8) | ap_uint<8>(bytes[i]);
    return beat;
}

// Appends what stands in a stream to FOLDER/NAME.beats and puts it back.
template <int W> void tap(const char *name, hls::stream<ap_uint<W>> &stream) {
    if (!tap_folder) return;
    const std::string path = std::string(tap_folder) + "/" + name + ".beats";
    std::FILE *file = std::fopen(path.c_str(), "ab");
    if (!file) {
        std::fprintf(stderr, "%s: cannot be written\n", path.c_str());
        std::exit(3);
    }
    std::vector<ap_uint<W>> beats;
    unsigned char bytes[(W + 7) / 8];
    while (!stream.empty()) beats.push_back(stream.read());
    for (const ap_uint<W> &beat : beats) {
        beat_bytes<W>(beat, bytes);
        std::fwrite(bytes, 1, sizeof bytes, file);
        stream.write(beat);
    }
    if (std::fclose(file) != 0) std::exit(3);
}

inline std::vector<unsigned char> read_file(const std::string &path) {
    std::vector<unsigned char> bytes;
    std::FILE *file = std::fopen(path.c_str(), "rb");
    if (!file) {
        std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
        std::exit(3);
    }
    unsigned char part[4096];
    for (size_t n; (n = std::fread(part, 1, sizeof part, file)) > 0;)
        bytes.insert(bytes.end(), part, part + n);
    std::fclose(file);
    return bytes;
}

} // namespace mixq

#endif
