/* dsp.c - the device table. */
#include "pack/dsp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const mq_dsp mq_dsps[] = {
    {"dsp48e2", 27, 18, 48, true},
    {"dsp48e1", 25, 18, 48, false},
    {"dsp58", 27, 24, 58, true},
    {"", 0, 0, 0, false},
};

enum { GENERIC_MIN = 4, GENERIC_MAX = 32, GENERIC_ACCUMULATOR = 48 };

mq_status mq_dsp_find(const char *name, mq_dsp *out, mq_error *error) {
    for (const mq_dsp *dsp = mq_dsps; dsp->name[0]; dsp++)
        if (strcmp(dsp->name, name) == 0) {
            *out = *dsp;
            return MQ_OK;
        }
    int one, other, end = 0;
    if (sscanf(name, "%2dx%2d%n", &one, &other, &end) == 2 && name[end] == '\0') {
        if (one < GENERIC_MIN || other < GENERIC_MIN || one > GENERIC_MAX || other > GENERIC_MAX ||
            one + other > GENERIC_ACCUMULATOR)
            return mq_fail(error, MQ_USAGE, "DSP '%s': ports of %d..%d bits, at most %d together, expected",
                           name, GENERIC_MIN, GENERIC_MAX, GENERIC_ACCUMULATOR);
        *out = (mq_dsp){"", one > other ? one : other, one > other ? other : one, GENERIC_ACCUMULATOR, false};
        snprintf(out->name, sizeof out->name, "%dx%d", one, other);
        return MQ_OK;
    }
    return mq_fail(error, MQ_USAGE, "unknown DSP '%.40s': dsp48e2, dsp48e1, dsp58 or NxM expected", name);
}

mq_status mq_dsp_check(const mq_dsp *dsp, const mq_dsp_inputs *in, mq_error *error) {
    const struct {
        const char *port;
        int64_t word;
        int bits;
    } ports[] = {{"A", in->a, dsp->wide},        {"D", in->d, dsp->wide},
                 {"B", in->b, dsp->narrow},      {"C", in->c, dsp->accumulator},
                 {"W", in->w, dsp->accumulator}, {"PCIN", in->pcin, dsp->accumulator}};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        int64_t top = (int64_t)1 << (ports[i].bits - 1);
        if (ports[i].word < -top || ports[i].word >= top)
            return mq_fail(error, MQ_CHECK_FAILED,
                           "%s: port %s: got %" PRId64 ", expected %" PRId64 "..%" PRId64 " (%d bits)",
                           dsp->name, ports[i].port, ports[i].word, -top, top - 1, ports[i].bits);
    }
    return MQ_OK;
}
