/* embedded.h - data files that the build puts inside the binary (network descriptions, cost tables). */
#ifndef MIXQ_BASE_EMBEDDED_H
#define MIXQ_BASE_EMBEDDED_H

#include <stddef.h>

typedef struct mq_embedded_file {
    const char *name; /* file name without folder; NULL ends a table */
    const unsigned char *bytes;
    size_t size; /* a 0 byte follows, not counted */
} mq_embedded_file;

extern const mq_embedded_file mixq_builtin_models[];  /* models/ *.yaml */
extern const mq_embedded_file mixq_builtin_factors[]; /* factors/ *.csv */
extern const mq_embedded_file mixq_rtl_library[];     /* rtl/ *.v */
extern const mq_embedded_file mixq_rtl_models[];      /* rtl/sim/ *.v */
extern const mq_embedded_file mixq_rtl_benches[];     /* rtl/bench/ * */
extern const mq_embedded_file mixq_builtin_devices[]; /* devices/ *.yaml */

#endif
