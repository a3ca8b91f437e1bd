/* dma_registers.h - AXI DMA (PG021, direct register mode) and mixq_id, seen from a processor; used by both
 * transports on hardware. The memory map is docs/vivado.md's. */
#ifndef MIXQ_DMA_REGISTERS_H
#define MIXQ_DMA_REGISTERS_H

#include "mixq_host.h"

enum {
    MIXQ_MM2S = 0x00, /* to the accelerator */
    MIXQ_S2MM = 0x30, /* from it */
    MIXQ_CONTROL = 0x00,
    MIXQ_STATUS = 0x04,
    MIXQ_ADDRESS = 0x18,
    MIXQ_ADDRESS_HIGH = 0x1c,
    MIXQ_LENGTH = 0x28,
    MIXQ_RUN = 1,
    MIXQ_RESET = 4,
    MIXQ_HALTED = 1,
    MIXQ_IDLE = 2,
    MIXQ_FAULTS = 0x770,
    MIXQ_ID_MAGIC = 0x6d697871 /* word 0 of mixq_id; words 1..8: SHA-256, first byte highest */
};

#ifndef MIXQ_REGISTER
#define MIXQ_REGISTER(base, at) ((base)[(at) / 4]) /* a platform, or a test, may have its own way to read */
#endif

static inline uint32_t mixq_register(volatile uint32_t *base, unsigned at) {
    return MIXQ_REGISTER(base, at);
}
static inline void mixq_register_set(volatile uint32_t *base, unsigned at, uint32_t value) {
    base[at / 4] = value;
}

/* Resets both channels (one bit resets the engine) and lets them run; 0 when the reset does not end within
 * `tries` reads. */
static inline int mixq_dma_start(volatile uint32_t *dma, unsigned tries) {
    mixq_register_set(dma, MIXQ_MM2S + MIXQ_CONTROL, MIXQ_RESET);
    while (mixq_register(dma, MIXQ_MM2S + MIXQ_CONTROL) & MIXQ_RESET)
        if (tries-- == 0) return 0;
    mixq_register_set(dma, MIXQ_MM2S + MIXQ_CONTROL, MIXQ_RUN);
    mixq_register_set(dma, MIXQ_S2MM + MIXQ_CONTROL, MIXQ_RUN);
    return 1;
}

static inline void mixq_dma_transfer(volatile uint32_t *dma, unsigned channel, uint64_t address,
                                     size_t bytes) {
    mixq_register_set(dma, channel + MIXQ_ADDRESS, (uint32_t)address);
    mixq_register_set(dma, channel + MIXQ_ADDRESS_HIGH, (uint32_t)(address >> 32));
    mixq_register_set(dma, channel + MIXQ_LENGTH, (uint32_t)bytes); /* starts it */
}

/* 1 done, 0 at work, -1 a fault. */
static inline int mixq_dma_state(volatile uint32_t *dma, unsigned channel) {
    uint32_t status = mixq_register(dma, channel + MIXQ_STATUS);
    if (status & MIXQ_FAULTS) return -1;
    return status & MIXQ_IDLE ? 1 : 0;
}

static inline void mixq_read_identity(volatile uint32_t *id, mixq_link *link) {
    if (mixq_register(id, 0) != MIXQ_ID_MAGIC) return;
    for (unsigned i = 0; i < MIXQ_IDENTITY; i++)
        link->identity[i] = (uint8_t)(mixq_register(id, 4 + 4 * (i / 4)) >> (24 - 8 * (i % 4)));
    link->has_identity = 1;
}

#endif
