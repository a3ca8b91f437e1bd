/* one_line.h - inside io only: file content in a message must not break the line or drive a terminal. */
#ifndef MIXQ_IO_ONE_LINE_H
#define MIXQ_IO_ONE_LINE_H

#include "base/status.h"

/* Turns the control characters of a message that is already set into '?'; returns status. */
static inline mq_status mq_one_line(mq_error *error, mq_status status) {
    if (!error) return status;
    for (char *c = error->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return status;
}

#endif
