/* device.h - FPGA devices: what there is to spend. devices/<name>.yaml, built in; docs/accelerator.md has the
 * keys. */
#ifndef MIXQ_ACCEL_DEVICE_H
#define MIXQ_ACCEL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "pack/dsp.h"

enum { MQ_DEVICE_TEXT = 64 };

/* Resources, used or there to be used. Block RAM counts in halves of 18 Kbit. */
typedef enum mq_resource { MQ_RES_DSP, MQ_RES_LUT, MQ_RES_FF, MQ_RES_RAM18, MQ_RESOURCES } mq_resource;
typedef struct mq_resources {
    int64_t of[MQ_RESOURCES];
} mq_resources;
extern const char *const mq_resource_names[MQ_RESOURCES];

typedef struct mq_device {
    char name[MQ_DEVICE_TEXT], part[MQ_DEVICE_TEXT], board[MQ_DEVICE_TEXT];
    mq_dsp dsp; /* the kind of its slices */
    int64_t lut, ff, bram36, uram, dsps;
    double lut_cap, ff_cap, bram_cap, dsp_cap; /* shares that an allocation may use, 0..1 */
    double clock_mhz;                          /* when the user names none */
    bool build; /* false: estimate only, `mixq build` refuses; `why` says the reason */
    char why[2 * MQ_DEVICE_TEXT];
} mq_device;

/* From a description; name stands in messages ("file:line:column: ..."). */
mq_status mq_device_parse(const char *name, const char *text, size_t size, mq_device *out,
                          mq_error *error) MQ_MUST_CHECK;
/* A built-in name or a path ending in .yaml; an unknown name lists the built-in ones (MQ_USAGE). */
mq_status mq_device_open(const char *device, mq_device *out, mq_error *error) MQ_MUST_CHECK;
/* What an allocation may use: the device times its caps, rounded down. */
mq_resources mq_device_budget(const mq_device *device);

#endif
