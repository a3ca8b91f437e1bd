/* memory_plan.c - placing buffers with lifetimes into one block. */
#include "ops/memory_plan.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

typedef struct slot_info {
    size_t bytes, offset;
    int first, last;
} slot_info;

struct mq_plan {
    slot_info *slots;
    size_t count, room;
    unsigned char *block;
    size_t block_bytes;
};

mq_status mq_plan_create(mq_plan **out, mq_error *error) {
    return mq_alloc(1, sizeof **out, "a memory plan", out, error);
}

void mq_plan_destroy(mq_plan *plan) {
    if (!plan) return;
    mq_free(plan->slots);
    mq_free(plan->block);
    mq_free(plan);
}

mq_status mq_plan_add(mq_plan *plan, size_t bytes, int first, int last, mq_slot *out, mq_error *error) {
    *out = -1;
    if (plan->count == plan->room) {
        size_t room = plan->room ? 2 * plan->room : 64;
        MQ_TRY(mq_resize(plan->count, room, sizeof *plan->slots, "a memory plan", &plan->slots, error));
        plan->room = room;
    }
    bytes = (bytes + MQ_ALIGN - 1) / MQ_ALIGN * MQ_ALIGN;
    plan->slots[plan->count] = (slot_info){.bytes = bytes, .first = first, .last = last};
    *out = (mq_slot)plan->count++;
    return MQ_OK;
}

static int larger_first(const void *a, const void *b) {
    const slot_info *x = *(slot_info *const *)a, *y = *(slot_info *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

mq_status mq_plan_place(mq_plan *plan, mq_error *error) {
    slot_info **order;
    MQ_TRY(mq_alloc(plan->count, sizeof *order, "a memory plan", &order, error));
    for (size_t i = 0; i < plan->count; i++) order[i] = &plan->slots[i];
    qsort(order, plan->count, sizeof *order, larger_first);
    plan->block_bytes = 0;
    for (size_t i = 0; i < plan->count; i++) {
        slot_info *s = order[i];
        /* Move up past every placed buffer that overlaps in time and space, until none does. */
        s->offset = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (size_t k = 0; k < i; k++) {
                const slot_info *t = order[k];
                bool time = s->first <= t->last && t->first <= s->last;
                bool space = s->offset < t->offset + t->bytes && t->offset < s->offset + s->bytes;
                if (time && space) {
                    s->offset = t->offset + t->bytes;
                    moved = true;
                }
            }
        }
        if (s->offset + s->bytes > plan->block_bytes) plan->block_bytes = s->offset + s->bytes;
    }
    mq_free(order);
    return mq_alloc(plan->block_bytes, 1, "activations and gradients", &plan->block, error);
}

void *mq_plan_memory(const mq_plan *plan, mq_slot slot) {
    return slot < 0 ? NULL : plan->block + plan->slots[slot].offset;
}

int mq_plan_last(const mq_plan *plan, mq_slot slot) {
    return plan->slots[slot].last;
}

size_t mq_plan_bytes(const mq_plan *plan) {
    return plan->block_bytes;
}
