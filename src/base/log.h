/* log.h - what a long run says while it works. The library hands lines and progress to a sink; only the
 * command line sets one (stderr: a bar on a terminal, plain lines elsewhere). Without a sink nothing is said.
 */
#ifndef MIXQ_BASE_LOG_H
#define MIXQ_BASE_LOG_H

#include <stdint.h>

#include "base/status.h"

typedef enum mq_log_level { MQ_LOG_WARN, MQ_LOG_INFO, MQ_LOG_DEBUG } mq_log_level;

typedef struct mq_log_sink {
    void (*line)(void *context, mq_log_level level, const char *text);
    /* done of total; note is a short text ("loss 1.23, 310 img/s"); done == total ends the bar. */
    void (*progress)(void *context, const char *what, uint64_t done, uint64_t total, const char *note);
    void *context;
} mq_log_sink;

void mq_log_set(const mq_log_sink *sink); /* copied; NULL = silence */
void mq_log(mq_log_level level, const char *format, ...) MQ_PRINTF(2, 3);
/* total MQ_LOG_ENDLESS: how much there is to do is not known; the note alone tells. */
#define MQ_LOG_ENDLESS UINT64_MAX
void mq_progress(const char *what, uint64_t done, uint64_t total, const char *format, ...) MQ_PRINTF(4, 5);

#endif
