/* machine.h - what a run folder records about where it ran. */
#ifndef MIXQ_BASE_MACHINE_H
#define MIXQ_BASE_MACHINE_H

#include <stddef.h>

enum { MQ_MACHINE_TEXT = 128 };

const char *mq_version(void);
/* The processor's name as the system tells it, or "unknown". */
void mq_cpu_name(char out[MQ_MACHINE_TEXT]);
/* The vector instruction sets that matter here, as words: "avx2 avx512f avx512_vnni avx512_bf16". */
void mq_cpu_features(char out[MQ_MACHINE_TEXT]);
double mq_seconds(void);         /* monotonic */
size_t mq_physical_memory(void); /* bytes of the whole machine */
size_t mq_peak_memory(void);     /* bytes, resident, of this process so far */

#endif
