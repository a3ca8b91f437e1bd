/* stop.h - a polite request to stop: set by the command line's signal handler, asked for between steps. */
#ifndef MIXQ_BASE_STOP_H
#define MIXQ_BASE_STOP_H

#include <stdbool.h>

void mq_stop_request(void); /* async-signal-safe */
bool mq_stop_requested(void);
void mq_stop_clear(void);

#endif
