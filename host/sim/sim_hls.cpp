// sim_hls.cpp - the HLS C++ behind the link: values, no cycles.
#include "mixq_bench.h"
#include "sim_server.h"
#include "top.h"

const char *mixq::tap_folder = nullptr;

struct hls_model : mixq_sim::model {
    long truncate;
    explicit hls_model(long beats) : truncate(beats) {}
    bool frame(const uint8_t *in, uint64_t in_bytes, uint8_t *out, uint64_t out_bytes, uint64_t *got, uint64_t *) override {
        if (in_bytes != uint64_t(MIXQ_IN_BEATS) * MIXQ_IN_BYTES || out_bytes != uint64_t(MIXQ_OUT_BEATS) * MIXQ_OUT_BYTES) return false;
        hls::stream<mixq_in> s_axis("s_axis");
        hls::stream<mixq_out> m_axis("m_axis");
        for (int i = 0; i < MIXQ_IN_BEATS; i++) {
            mixq_in beat;
            beat.data = mixq::beat_of<8 * MIXQ_IN_BYTES>(in + static_cast<size_t>(i) * MIXQ_IN_BYTES);
            beat.last = i == MIXQ_IN_BEATS - 1 ? 1 : 0;
            s_axis.write(beat);
        }
        mixq_accelerator(s_axis, m_axis);
        for (long i = 0; i < MIXQ_OUT_BEATS; i++) {
            const ap_uint<8 * MIXQ_OUT_BYTES> data = m_axis.read().data;
            if (truncate >= 0 && i >= truncate) continue;
            mixq::beat_bytes<8 * MIXQ_OUT_BYTES>(data, out + *got);
            *got += MIXQ_OUT_BYTES;
        }
        return true;
    }
};

int main(int argc, char **argv) {
    const mixq_sim::options o = mixq_sim::parse(argc, argv);
    hls_model m(o.truncate);
    return mixq_sim::serve(o, m);
}
