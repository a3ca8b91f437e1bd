/* fuzz.h - what the harnesses share. A harness is a file <reader>.c that defines LLVMFuzzerTestOneInput;
 * CMake makes the program fuzz_<reader> of it: with libFuzzer (preset `fuzz`), else with replay.c, which runs
 * the committed corpus/<reader> and mutants of it as the test fuzz.<reader>.
 *
 * The contract of every reader: bytes are accepted, or refused with a status that fits and a message of one
 * line; never worse. What was accepted must bear being used. */
#ifndef MIXQ_TESTS_FUZZ_FUZZ_H
#define MIXQ_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* True when the reader accepted. Aborts when it kept the contract neither way; `allowed` besides MQ_OK and
 * MQ_BAD_INPUT, or MQ_OK. */
bool fuzz_accepted(mq_status status, const mq_error *error, mq_status allowed);
/* Aborts and says why: what was accepted is not as the reader promises. */
void fuzz_demand(bool holds, const char *what);

/* For readers of paths: a folder of this process, in memory where there is such a place, removed at the end.
 * fuzz_file writes DIR/name (a folder in name is made) and returns its path, valid for 4 more calls. */
const char *fuzz_dir(void);
const char *fuzz_file(const char *name, const uint8_t *data, size_t size);
void fuzz_no_file(const char *name);

/* An input of several files: they stand one after the other with "\n%%\n" between them. Takes the next one;
 * empty when there is none. */
typedef struct fuzz_bytes {
    const uint8_t *at;
    size_t left;
} fuzz_bytes;
fuzz_bytes fuzz_part(fuzz_bytes *rest);

/* Puts `digest` over the 64 hexadecimal digits of the first `"key": "` in text: a reader that checks a hash
 * first would refuse every mutant. */
void fuzz_put_digest(uint8_t *text, size_t size, const char *key, const char *digest);

/* A number below bound from the front of the input; 0 when it is used up. */
int fuzz_take(fuzz_bytes *rest, int bound);

#endif
