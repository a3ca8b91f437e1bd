/* pt.c - PyTorch's checkpoints: a zip archive as it stands, or a pickle and the bytes of data/0, data/1 that
 * are put into a sound archive (its checksums would stop nearly every mutant); then their import. */
#include <string.h>

#include "base/memory.h"
#include "fuzz.h"
#include "io/make_pt.h"
#include "io/pickle.h"
#include "net/import.h"

static void read_archive(const uint8_t *data, size_t size) {
    mq_pt_file *pt;
    mq_error error = {0};
    if (!fuzz_accepted(mq_pt_parse("fuzz.pt", data, size, &pt, &error), &error, MQ_OK)) return;
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < mq_pt_count(pt); i++) {
        const mq_st_entry *entry = mq_pt_at(pt, i);
        size_t stored = mq_tensor_bytes(&entry->tensor);
        for (size_t k = 0; k < stored; k++) sum = (uint8_t)(sum + ((const uint8_t *)entry->tensor.data)[k]);
    }
    (void)mq_pt_epoch(pt);
    (void)mq_pt_bits(pt, "bitw");
    mq_pt_free(pt);
    static const char model[] = "name: tiny\nclasses: 2\ninput: {channels: 1, height: 2, width: 2}\nlayers:\n"
                                "  - conv: {out: 1, kernel: 1}\n  - batch_norm\n  - linear: {out: 2}\n";
    mq_imported imported;
    const char *path = fuzz_file("fuzz.pt", data, size);
    const char *models[] = {NULL, fuzz_file("tiny.yaml", (const uint8_t *)model, sizeof model - 1)};
    for (int i = 0; i < 2; i++) {
        error = (mq_error){0};
        if (fuzz_accepted(mq_import_open(path, models[i], &imported, &error), &error, MQ_USAGE))
            mq_imported_free(&imported);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size >= 2 && memcmp(data, "PK", 2) == 0) {
        read_archive(data, size);
        return 0;
    }
    fuzz_bytes rest = {data, size}, part = fuzz_part(&rest);
    mq_arena *arena;
    mq_error error = {0};
    const mq_pickle_value *value;
    fuzz_demand(mq_arena_create(&arena, NULL) == MQ_OK, "memory");
    (void)fuzz_accepted(mq_pickle_read("fuzz.pkl", part.at, part.left, arena, &value, &error), &error, MQ_OK);
    mq_arena_destroy(arena);
    zip_writer z = {0};
    zip_add(&z, "archive/data.pkl", part.at, part.left);
    for (int i = 0; i < 4 && rest.left; i++) {
        char name[32];
        part = fuzz_part(&rest);
        snprintf(name, sizeof name, "archive/data/%d", i);
        zip_add(&z, name, part.at, part.left);
    }
    bytes file = zip_finish(&z, 1);
    read_archive(file.data, file.size);
    free(file.data);
    return 0;
}
