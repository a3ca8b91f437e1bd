// sim_rtl.cpp - the Verilog accelerator behind the link, cycle by cycle. MIXQ_MODEL: Verilator's class of the top, MIXQ_HEADER its
// header. With --stalls both streams pause at random.
#include MIXQ_HEADER

#include <verilated.h>

#include "sim_server.h"

double sc_time_stamp() { return 0; }

// Ports of any width, by bytes.
template <class T> void put(T &port, const uint8_t *bytes, int count) {
    T value = 0;
    for (int i = 0; i < count; i++) value = static_cast<T>(value | static_cast<T>(bytes[i]) << (8 * i));
    port = value;
}
template <std::size_t N> void put(VlWide<N> &port, const uint8_t *bytes, int count) {
    for (std::size_t i = 0; i < N; i++) port[i] = 0;
    for (int i = 0; i < count; i++) port[static_cast<std::size_t>(i / 4)] |= static_cast<uint32_t>(bytes[i]) << (i % 4 * 8);
}
template <class T> void take(const T &port, uint8_t *bytes, int count) {
    for (int i = 0; i < count; i++) bytes[i] = static_cast<uint8_t>(port >> (8 * i));
}
template <std::size_t N> void take(const VlWide<N> &port, uint8_t *bytes, int count) {
    for (int i = 0; i < count; i++) bytes[i] = static_cast<uint8_t>(port[static_cast<std::size_t>(i / 4)] >> (i % 4 * 8));
}

struct rtl_model : mixq_sim::model {
    const mixq_sim::options &o;
    MIXQ_MODEL top;
    uint64_t random;
    explicit rtl_model(const mixq_sim::options &from) : o(from), random(from.seed * 2 + 1) { reset(); }
    ~rtl_model() override { top.final(); }

    bool stalled() {
        random = random * 6364136223846793005u + 1442695040888963407u;
        return (random >> 33) % 100 < o.stalls;
    }
    void tick() {
        top.aclk = 1;
        top.eval();
        top.aclk = 0;
        top.eval();
    }
    void reset() {
        top.s_axis_tvalid = 0;
        top.m_axis_tready = 0;
        top.aresetn = 0;
        for (int i = 0; i < 64; i++) tick();
        top.aresetn = 1;
        for (int i = 0; i < 8; i++) tick();
    }

    bool frame(const uint8_t *in, uint64_t in_bytes, uint8_t *out, uint64_t out_bytes, uint64_t *got, uint64_t *cycles) override {
        const int in_beat = mixq_accelerator_here.in.bytes, out_beat = mixq_accelerator_here.out.bytes;
        uint64_t sent = 0;
        bool offered = false;
        for (*cycles = 0; *cycles < o.cycles && !mixq_sim::ended(); ++*cycles) {
            // valid, once up, stays up until the beat is taken
            if (!offered && sent + static_cast<uint64_t>(in_beat) <= in_bytes && !stalled()) {
                put(top.s_axis_tdata, in + sent, in_beat);
                offered = true;
            }
            top.s_axis_tvalid = offered;
            top.m_axis_tready = !stalled();
            top.eval();
            const bool taken = offered && top.s_axis_tready, given = top.m_axis_tready && top.m_axis_tvalid;
            bool last = false;
            if (given) {
                if (*got + static_cast<uint64_t>(out_beat) > out_bytes) return false;
                take(top.m_axis_tdata, out + *got, out_beat);
                *got += static_cast<uint64_t>(out_beat);
                last = top.m_axis_tlast;
            }
            tick();
            if (taken) {
                sent += static_cast<uint64_t>(in_beat);
                offered = false;
            }
            if (last) {
                top.s_axis_tvalid = top.m_axis_tready = 0;
                if (o.truncate >= 0 && *got > static_cast<uint64_t>(o.truncate * out_beat)) *got = static_cast<uint64_t>(o.truncate * out_beat);
                return true;
            }
        }
        reset(); // what is left of this frame
        return false;
    }
};

int main(int argc, char **argv) {
    const mixq_sim::options o = mixq_sim::parse(argc, argv);
    rtl_model *m = new rtl_model(o);
    const int code = mixq_sim::serve(o, *m);
    delete m;
    return code;
}
