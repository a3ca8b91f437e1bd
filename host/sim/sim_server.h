// sim_server.h - the side of the link that answers: makes the file, serves frames until told to stop. A model
// has one function.
//
//   --link FILE  --stalls PERCENT (0)  --seed N (1)  --cycles MOST (100000000: a frame's limit)
//   --truncate BEATS, --network HEX, --swallow: faults, for tests of the host's side
#ifndef MIXQ_SIM_SERVER_H
#define MIXQ_SIM_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "accelerator.h"
#include "sim_link.h"

namespace mixq_sim {

struct options {
    std::string link;
    unsigned stalls = 0;
    uint64_t seed = 1, cycles = 100000000;
    long truncate = -1;
    std::string network = mixq_accelerator_here.network;
    bool swallow = false;
};

struct model {
    virtual ~model() {}
    // Frame `in` -> at most out_bytes of `out`; *got bytes came. True when the frame ended (or was cut by
    // `truncate` beats).
    virtual bool frame(const uint8_t *in, uint64_t in_bytes, uint8_t *out, uint64_t out_bytes, uint64_t *got,
                       uint64_t *cycles) = 0;
};

inline volatile sig_atomic_t &ended() {
    static volatile sig_atomic_t flag = 0;
    return flag;
}
inline void on_signal(int) {
    ended() = 1;
}

inline options parse(int argc, char **argv) {
    options o;
    for (int i = 1; i < argc; i++) {
        const std::string word = argv[i];
        if (word == "--swallow") {
            o.swallow = true;
            continue;
        }
        if (i + 1 == argc) {
            std::fprintf(stderr, "%s: a value expected\n", argv[i]);
            std::exit(2);
        }
        const char *value = argv[++i];
        if (word == "--link")
            o.link = value;
        else if (word == "--stalls")
            o.stalls = static_cast<unsigned>(std::atoi(value));
        else if (word == "--seed")
            o.seed = std::strtoull(value, nullptr, 10);
        else if (word == "--cycles")
            o.cycles = std::strtoull(value, nullptr, 10);
        else if (word == "--truncate")
            o.truncate = std::atol(value);
        else if (word == "--network")
            o.network = value;
        else {
            std::fprintf(stderr, "%s: not an option\n", word.c_str());
            std::exit(2);
        }
    }
    if (o.link.empty() || o.network.size() != 64 || o.stalls > 95) {
        std::fprintf(stderr, "--link FILE expected; --stalls 0..95; --network of 64 digits\n");
        std::exit(2);
    }
    return o;
}

inline int serve(const options &o, model &m) {
    const uint64_t in_room = uint64_t(MIXQ_IN_FRAME), out_room = uint64_t(MIXQ_OUT_FRAME),
                   size = sizeof(mixq_sim_link) + in_room + out_room;
    const std::string made = o.link + ".new"; // appears under its name when it is ready
    const int file = open(made.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0) {
        std::perror(made.c_str());
        return 3;
    }
    void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) {
        std::perror(made.c_str());
        return 3;
    }
    mixq_sim_link *s = static_cast<mixq_sim_link *>(memory);
    uint8_t *in = reinterpret_cast<uint8_t *>(s + 1), *out = in + in_room;
    s->version = MIXQ_SIM_VERSION;
    for (size_t i = 0; i < 32; i++)
        s->identity[i] = static_cast<uint8_t>(std::strtoul(o.network.substr(2 * i, 2).c_str(), nullptr, 16));
    s->in_room = in_room;
    s->out_room = out_room;
    s->magic = MIXQ_SIM_MAGIC;
    if (rename(made.c_str(), o.link.c_str()) != 0) {
        std::perror(o.link.c_str());
        return 3;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    const pid_t parent = getppid();
    while (!ended() && !mixq_sim_load(&s->stop) && getppid() == parent) {
        const uint32_t asked = mixq_sim_load(&s->asked);
        if (asked == s->answered || o.swallow) {
            const struct timespec pause = {0, 200000};
            nanosleep(&pause, nullptr);
            continue;
        }
        uint64_t got = 0, cycles = 0;
        const bool whole = s->in_bytes <= in_room && s->out_bytes <= out_room &&
                           m.frame(in, s->in_bytes, out, s->out_bytes, &got, &cycles);
        s->got = got;
        s->cycles = cycles;
        mixq_sim_store(&s->status, whole ? MIXQ_SIM_FINE : MIXQ_SIM_STUCK);
        mixq_sim_store(&s->answered, asked);
        std::fprintf(stderr, "frame %u: %llu bytes in %llu cycles%s\n", asked,
                     static_cast<unsigned long long>(got), static_cast<unsigned long long>(cycles),
                     whole ? "" : ": stuck");
    }
    mixq_sim_store(&s->status, MIXQ_SIM_ENDED);
    munmap(memory, size);
    unlink(o.link.c_str());
    return 0;
}

} // namespace mixq_sim

#endif
