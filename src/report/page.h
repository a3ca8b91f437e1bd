/* page.h - text that grows: HTML and SVG are written into it. After the first failure nothing more happens,
 * and taking the text says what it was. */
#ifndef MIXQ_REPORT_PAGE_H
#define MIXQ_REPORT_PAGE_H

#include <stddef.h>

#include "base/status.h"

typedef struct mq_page {
    char *text;
    size_t used, room;
    mq_status status;
    mq_error *error;
    int figures; /* drawn so far: makes their ids unique */
} mq_page;

void mq_page_begin(mq_page *page, mq_error *error);
/* As it stands: markup. */
void mq_page_say(mq_page *page, const char *format, ...) MQ_PRINTF(2, 3);
/* Words of others: <, >, &, quotes become entities, control characters and bytes that are no UTF-8 '?'. */
void mq_page_text(mq_page *page, const char *text);
/* The text, ended with 0; release with mq_free. The page is empty afterwards, also after a failure. */
mq_status mq_page_take(mq_page *page, char **out, mq_error *error) MQ_MUST_CHECK;

#endif
