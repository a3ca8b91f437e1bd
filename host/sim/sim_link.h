/* sim_link.h - the memory that a simulated accelerator and its host share: a file, mapped by both. The host
 * fills `in`, sets the sizes and counts `asked` up; the simulation answers in `out`, sets `got` and `status`
 * and lets `answered` follow. */
#ifndef MIXQ_SIM_LINK_H
#define MIXQ_SIM_LINK_H

#include <stdint.h>

#define MIXQ_SIM_MAGIC   0x6d697871u
#define MIXQ_SIM_VERSION 1u

enum { MIXQ_SIM_FINE = 0, MIXQ_SIM_STUCK = 1, MIXQ_SIM_ENDED = 2 };

typedef struct mixq_sim_link {
    uint32_t magic, version;
    uint8_t identity[32];              /* SHA-256 of the network that was built */
    uint64_t in_room, out_room;        /* bytes of the two areas behind this head */
    uint64_t in_bytes, out_bytes, got; /* of this frame: sent, expected, answered */
    uint64_t cycles;                   /* clock cycles of it */
    uint32_t asked, answered;          /* frames */
    uint32_t status;
    uint32_t stop; /* the host wants the simulation to end */
} mixq_sim_link;

static inline uint32_t mixq_sim_load(const uint32_t *at) {
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
static inline void mixq_sim_store(uint32_t *at, uint32_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

#endif
