/* transport_uio.c - Linux: registers by UIO, frames in a contiguous DMA buffer. where:
 *
 *   DMA,ID,BUFFER   /dev/uio0,/dev/uio1,/dev/udmabuf0
 *
 * DMA: the AXI DMA's UIO device; ID: that of mixq_id; BUFFER: a device that maps contiguous memory and tells
 * its physical address in /sys/class/u-dma-buf/NAME/phys_addr. The buffer is opened with O_SYNC: not cached.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dma_registers.h"

enum { DMA, ID, BUFFER, SIZE, PHYSICAL, OUT_BYTES, PAGE = 4096, ALIGN = 4096, TRIES = 1000000 };

static volatile uint32_t *registers(mixq_link *link, int which) {
    return (volatile uint32_t *)link->state[which];
}

static mixq_result broken(mixq_link *link, const char *where, const char *what) {
    snprintf(link->text, sizeof link->text, "%.100s: %s", where, what);
    return MIXQ_BROKEN;
}

static void *map(const char *path, size_t size) {
    int file = open(path, O_RDWR | O_SYNC);
    if (file < 0) return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Number in a file of /sys. */
static int number(const char *device, const char *what, unsigned long long *out) {
    char path[256];
    const char *name = strrchr(device, '/');
    snprintf(path, sizeof path, "/sys/class/u-dma-buf/%.100s/%s", name ? name + 1 : device, what);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    char text[64] = "", *end = text;
    int ok = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    if (ok) *out = strtoull(text, &end, 0);
    return ok && end != text;
}

static void close_link(mixq_link *link) {
    if (link->state[DMA]) munmap((void *)link->state[DMA], PAGE);
    if (link->state[ID]) munmap((void *)link->state[ID], PAGE);
    if (link->state[BUFFER]) munmap((void *)link->state[BUFFER], (size_t)link->state[SIZE]);
    memset(link->state, 0, sizeof link->state);
}

static mixq_result open_parts(mixq_link *link, char *words[3], size_t in_bytes, size_t out_bytes) {
    unsigned long long size = 0, physical = 0;
    size_t in_room = (in_bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!number(words[2], "size", &size) || !number(words[2], "phys_addr", &physical))
        return broken(link, words[2], "no size or phys_addr under /sys/class/u-dma-buf");
    if (size < in_room + out_bytes) return broken(link, words[2], "smaller than a frame and its answer");
    link->state[SIZE] = (intptr_t)size;
    link->state[PHYSICAL] = (intptr_t)physical;
    if (!(link->state[BUFFER] = (intptr_t)map(words[2], (size_t)size)))
        return broken(link, words[2], strerror(errno));
    if (!(link->state[DMA] = (intptr_t)map(words[0], PAGE))) return broken(link, words[0], strerror(errno));
    if (!(link->state[ID] = (intptr_t)map(words[1], PAGE))) return broken(link, words[1], strerror(errno));
    link->in = (uint8_t *)link->state[BUFFER];
    link->in_room = in_room;
    link->out = link->in + in_room;
    link->out_room = (size_t)size - in_room;
    mixq_read_identity(registers(link, ID), link);
    return mixq_dma_start(registers(link, DMA), TRIES)
               ? MIXQ_DONE
               : broken(link, words[0], "the reset of the DMA does not end");
}

static mixq_result open_link(mixq_link *link, const char *where, size_t in_bytes, size_t out_bytes) {
    char text[256], *words[3];
    if (snprintf(text, sizeof text, "%s", where) >= (int)sizeof text) return broken(link, where, "too long");
    char *at = text;
    for (int i = 0; i < 3; i++) {
        words[i] = at;
        char *comma = at ? strchr(at, ',') : NULL;
        if (!at || !*at || (i < 2 && !comma)) return broken(link, where, "DMA,ID,BUFFER expected");
        if (comma) *comma = 0;
        at = comma ? comma + 1 : NULL;
    }
    mixq_result result = open_parts(link, words, in_bytes, out_bytes);
    if (result != MIXQ_DONE) close_link(link);
    return result;
}

static mixq_result read_frame(mixq_link *link, size_t bytes) {
    link->state[OUT_BYTES] = (intptr_t)bytes;
    mixq_dma_transfer(registers(link, DMA), MIXQ_S2MM, (uint64_t)link->state[PHYSICAL] + link->in_room,
                      bytes);
    return MIXQ_DONE;
}

static mixq_result write_frame(mixq_link *link, size_t bytes) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the frame is in memory before it is sent */
    mixq_dma_transfer(registers(link, DMA), MIXQ_MM2S, (uint64_t)link->state[PHYSICAL], bytes);
    return MIXQ_DONE;
}

static mixq_result wait_frame(mixq_link *link, int milliseconds) {
    volatile uint32_t *dma = registers(link, DMA);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        int sent = mixq_dma_state(dma, MIXQ_MM2S), received = mixq_dma_state(dma, MIXQ_S2MM);
        if (sent < 0 || received < 0) {
            (void)mixq_dma_start(dma, TRIES);
            return broken(link, "DMA", "a transfer failed: address, length or a stream that is too long");
        }
        if (sent && received) break;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((long)(now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 >=
            milliseconds) {
            (void)mixq_dma_start(dma, TRIES);
            snprintf(link->text, sizeof link->text,
                     "no answer in %d ms: frame %s; the accelerator must be reset", milliseconds,
                     sent ? "sent" : "not taken");
            return MIXQ_TIMEOUT;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    link->got = mixq_register(dma, MIXQ_S2MM + MIXQ_LENGTH); /* bytes until tlast */
    return MIXQ_DONE;
}

const mixq_transport mixq_transport_uio = {"uio", open_link, read_frame, write_frame, wait_frame, close_link};
