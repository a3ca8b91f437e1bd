/* sim_place.c - one memory for what all nodes store, shared by liveness. */
#include "sim/sim_internal.h"

mq_status mq_sim_place(mq_arena *arena, size_t n, const size_t *need, const int *last_reader, size_t *offset,
                       size_t *memory, mq_error *error) {
    size_t places = 0, *size, *start, *place, *owner;
    MQ_TRY(mq_arena_alloc(arena, n, sizeof *size, "simulator", &size, error));
    MQ_TRY(mq_arena_alloc(arena, n, sizeof *start, "simulator", &start, error));
    MQ_TRY(mq_arena_alloc(arena, n, sizeof *place, "simulator", &place, error));
    MQ_TRY(mq_arena_alloc(arena, n, sizeof *owner, "simulator", &owner, error));
    for (size_t i = 0; i < n; i++) {
        if (need[i] == 0) continue;
        size_t best = places;
        for (size_t p = 0; p < places; p++)
            if ((size_t)last_reader[owner[p]] < i && (best == places || size[p] > size[best])) best = p;
        if (best == places) places++;
        if (size[best] < need[i]) size[best] = need[i];
        owner[best] = i;
        place[i] = best;
    }
    *memory = 0;
    for (size_t p = 0; p < places; p++) {
        start[p] = *memory;
        *memory += size[p];
    }
    for (size_t i = 0; i < n; i++) offset[i] = need[i] ? start[place[i]] : 0;
    return MQ_OK;
}
