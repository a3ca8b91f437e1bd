/* csv.h - a small table of numbers with a header line, such as a cost table.
 *
 * Comma separated, no quotes, no empty lines, spaces around a field are dropped; LF or CRLF. Every row has a
 * finite decimal number for every name. At most 1 MiB. Messages are "file:line: ...". */
#ifndef MIXQ_IO_CSV_H
#define MIXQ_IO_CSV_H

#include <stddef.h>

#include "base/status.h"

typedef struct mq_csv {
    const char *file; /* for messages */
    size_t columns, rows;
    const char **name;   /* [columns], printable ASCII, unique, not empty */
    const double *value; /* [rows][columns] */
} mq_csv;

/* Owned by the caller until mq_csv_free, with everything in it. name: used in messages. */
mq_status mq_csv_parse(const char *name, const char *text, size_t size, mq_csv **out,
                       mq_error *error) MQ_MUST_CHECK;
mq_status mq_csv_load(const char *path, mq_csv **out, mq_error *error) MQ_MUST_CHECK;
void mq_csv_free(mq_csv *csv); /* NULL is fine */

/* The column of a name; a missing one fails and names the nearest. */
mq_status mq_csv_column(const mq_csv *csv, const char *name, size_t *out, mq_error *error) MQ_MUST_CHECK;

/* The value as a whole number in low..high, or "file:line: name: got ..., expected ...". */
mq_status mq_csv_int(const mq_csv *csv, size_t row, size_t column, int low, int high, int *out,
                     mq_error *error) MQ_MUST_CHECK;

/* Fills *error with "file:line: ..." for a row (0 = the first below the header); returns MQ_BAD_INPUT. */
mq_status mq_csv_fail(const mq_csv *csv, size_t row, mq_error *error, const char *format, ...)
    MQ_PRINTF(4, 5);

#endif
