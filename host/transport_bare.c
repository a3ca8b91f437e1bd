/* transport_bare.c - no operating system: registers and buffers at fixed addresses. where: DMA,ID,BUFFER,SIZE
 * in hexadecimal (0xa0000000,0xa0010000,0x10000000,0x400000), SIZE in bytes. The platform gives four
 * functions; on Zynq the cache functions are Xil_DCacheFlushRange and Xil_DCacheInvalidateRange, the clock is
 * the global timer. */
#include <stdio.h>
#include <stdlib.h>

#include "dma_registers.h"

extern void mixq_cache_flush(const void *address, size_t bytes);
extern void mixq_cache_invalidate(void *address, size_t bytes);
extern uint64_t mixq_microseconds(void);
extern volatile uint32_t *mixq_map_registers(uintptr_t address); /* usually the address itself */

enum { DMA, OUT_BYTES, TRIES = 1000000, ALIGN = 4096 };

static volatile uint32_t *registers(mixq_link *link) {
    return (volatile uint32_t *)link->state[DMA];
}

static mixq_result open_link(mixq_link *link, const char *where, size_t in_bytes, size_t out_bytes) {
    unsigned long long word[4];
    char *end = NULL;
    for (int i = 0; i < 4; i++) {
        word[i] = strtoull(where, &end, 16);
        if (end == where || (i < 3 ? *end != ',' : *end != 0)) {
            snprintf(link->text, sizeof link->text, "DMA,ID,BUFFER,SIZE in hexadecimal expected");
            return MIXQ_BROKEN;
        }
        where = end + 1;
    }
    size_t in_room = (in_bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (word[3] < in_room + out_bytes) {
        snprintf(link->text, sizeof link->text, "a buffer of %llu bytes, a frame and its answer take %zu",
                 word[3], in_room + out_bytes);
        return MIXQ_BROKEN;
    }
    link->state[DMA] = (intptr_t)mixq_map_registers((uintptr_t)word[0]);
    link->in = (uint8_t *)(uintptr_t)word[2];
    link->in_room = in_room;
    link->out = link->in + in_room;
    link->out_room = (size_t)word[3] - in_room;
    mixq_read_identity(mixq_map_registers((uintptr_t)word[1]), link);
    if (mixq_dma_start(registers(link), TRIES)) return MIXQ_DONE;
    snprintf(link->text, sizeof link->text, "the reset of the DMA does not end");
    return MIXQ_BROKEN;
}

static mixq_result read_frame(mixq_link *link, size_t bytes) {
    link->state[OUT_BYTES] = (intptr_t)bytes;
    mixq_cache_invalidate(link->out, bytes);
    mixq_dma_transfer(registers(link), MIXQ_S2MM, (uint64_t)(uintptr_t)link->out, bytes);
    return MIXQ_DONE;
}

static mixq_result write_frame(mixq_link *link, size_t bytes) {
    mixq_cache_flush(link->in, bytes);
    mixq_dma_transfer(registers(link), MIXQ_MM2S, (uint64_t)(uintptr_t)link->in, bytes);
    return MIXQ_DONE;
}

static mixq_result wait_frame(mixq_link *link, int milliseconds) {
    uint64_t start = mixq_microseconds();
    for (;;) {
        int sent = mixq_dma_state(registers(link), MIXQ_MM2S),
            received = mixq_dma_state(registers(link), MIXQ_S2MM);
        int fault = sent < 0 || received < 0;
        if (!fault && sent && received) break;
        if (fault || mixq_microseconds() - start >= (uint64_t)milliseconds * 1000) {
            (void)mixq_dma_start(registers(link), TRIES);
            snprintf(link->text, sizeof link->text, "%s in %d ms",
                     fault ? "a DMA transfer failed" : "no answer", milliseconds);
            return fault ? MIXQ_BROKEN : MIXQ_TIMEOUT;
        }
    }
    mixq_cache_invalidate(link->out, (size_t)link->state[OUT_BYTES]);
    link->got = mixq_register(registers(link), MIXQ_S2MM + MIXQ_LENGTH);
    return MIXQ_DONE;
}

static void close_link(mixq_link *link) {
    mixq_register_set(registers(link), MIXQ_MM2S + MIXQ_CONTROL, 0);
    mixq_register_set(registers(link), MIXQ_S2MM + MIXQ_CONTROL, 0);
}

const mixq_transport mixq_transport_bare = {"bare",      open_link,  read_frame,
                                            write_frame, wait_frame, close_link};
