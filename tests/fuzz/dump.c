/* dump.c - dump.json and two .npy files of one layer, compared as `diff` does. */
#include "fuzz.h"
#include "sim/dump_diff.h"

#include <stdio.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size}, index = fuzz_part(&rest), first = fuzz_part(&rest);
    char a[128], b[128];
    mq_dump_difference difference;
    mq_error error = {0};
    fuzz_file("a/dump.json", index.at, index.left);
    fuzz_file("a/conv0.npy", first.at, first.left);
    fuzz_file("b/conv0.npy", rest.at, rest.left);
    snprintf(a, sizeof a, "%s/a", fuzz_dir());
    snprintf(b, sizeof b, "%s/b", fuzz_dir());
    (void)fuzz_accepted(mq_dump_diff(a, b, &difference, &error), &error, MQ_OK);
    return 0;
}
