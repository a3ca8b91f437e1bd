/* transport_sim.c - a simulation in another process, over a file that both map (sim/sim_link.h). where: that
 * file. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mixq_host.h"
#include "sim/sim_link.h"

enum { MAPPED, SIZE };

static mixq_sim_link *shared(mixq_link *link) {
    return (mixq_sim_link *)link->state[MAPPED];
}

static mixq_result broken(mixq_link *link, const char *what, const char *where) {
    snprintf(link->text, sizeof link->text, "%.100s: %s", where, what);
    return MIXQ_BROKEN;
}

static mixq_result open_link(mixq_link *link, const char *where, size_t in_bytes, size_t out_bytes) {
    struct stat info;
    int file = open(where, O_RDWR);
    if (file < 0) return broken(link, strerror(errno), where);
    if (fstat(file, &info) != 0 || (size_t)info.st_size < sizeof(mixq_sim_link)) {
        close(file);
        return broken(link, "no link of a simulation", where);
    }
    size_t size = (size_t)info.st_size;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) return broken(link, strerror(errno), where);
    mixq_sim_link *s = memory;
    size_t room = size - sizeof *s;
    if (s->magic != MIXQ_SIM_MAGIC || s->version != MIXQ_SIM_VERSION || s->in_room > room ||
        s->out_room > room - s->in_room) {
        munmap(memory, size);
        return broken(link, "no link of a simulation", where);
    }
    (void)in_bytes;
    (void)out_bytes;
    link->state[MAPPED] = (intptr_t)memory;
    link->state[SIZE] = (intptr_t)size;
    link->in = (uint8_t *)(s + 1);
    link->out = link->in + s->in_room;
    link->in_room = s->in_room;
    link->out_room = s->out_room;
    memcpy(link->identity, s->identity, sizeof link->identity);
    link->has_identity = 1;
    return MIXQ_DONE;
}

static mixq_result read_frame(mixq_link *link, size_t bytes) {
    shared(link)->out_bytes = bytes;
    return MIXQ_DONE;
}

static mixq_result write_frame(mixq_link *link, size_t bytes) {
    mixq_sim_link *s = shared(link);
    if (mixq_sim_load(&s->status) == MIXQ_SIM_ENDED) return broken(link, "the simulation has ended", "sim");
    if (mixq_sim_load(&s->asked) != mixq_sim_load(&s->answered))
        return broken(link, "an earlier frame is still being simulated", "sim");
    s->in_bytes = bytes;
    s->got = 0;
    mixq_sim_store(&s->asked, s->asked + 1);
    return MIXQ_DONE;
}

static mixq_result wait_frame(mixq_link *link, int milliseconds) {
    mixq_sim_link *s = shared(link);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (mixq_sim_load(&s->answered) != mixq_sim_load(&s->asked)) {
        if (mixq_sim_load(&s->status) == MIXQ_SIM_ENDED)
            return broken(link, "the simulation has ended", "sim");
        clock_gettime(CLOCK_MONOTONIC, &now);
        long passed = (long)(now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
        if (passed >= milliseconds) {
            snprintf(link->text, sizeof link->text, "no answer in %d ms", milliseconds);
            return MIXQ_TIMEOUT;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    link->got = s->got;
    if (mixq_sim_load(&s->status) == MIXQ_SIM_STUCK) {
        snprintf(link->text, sizeof link->text,
                 "the accelerator stands still after %llu cycles and %llu bytes",
                 (unsigned long long)s->cycles, (unsigned long long)s->got);
        return MIXQ_TIMEOUT;
    }
    return MIXQ_DONE;
}

static void close_link(mixq_link *link) {
    munmap((void *)link->state[MAPPED], (size_t)link->state[SIZE]);
    link->state[MAPPED] = 0;
}

const mixq_transport mixq_transport_sim = {"sim", open_link, read_frame, write_frame, wait_frame, close_link};
