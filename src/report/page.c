/* page.c - growing text, and words made harmless. */
#include "report/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void mq_page_begin(mq_page *page, mq_error *error) {
    *page = (mq_page){.error = error};
}

static void add(mq_page *page, const char *bytes, size_t n) {
    if (page->status != MQ_OK) return;
    if (page->room - page->used < n + 1) {
        size_t room = 2 * page->room + n + 4096;
        page->status = mq_resize(page->room, room, 1, "a report", &page->text, page->error);
        if (page->status != MQ_OK) return;
        page->room = room;
    }
    memcpy(page->text + page->used, bytes, n);
    page->used += n;
    page->text[page->used] = 0;
}

void mq_page_say(mq_page *page, const char *format, ...) {
    char small[512], *text = small;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n >= (int)sizeof small && page->status == MQ_OK) {
        page->status = mq_alloc((size_t)n + 1, 1, "a report", &text, page->error);
        if (page->status == MQ_OK) vsnprintf(text, (size_t)n + 1, format, again);
    }
    va_end(again);
    if (n > 0) add(page, text, (size_t)n);
    if (text != small) mq_free(text);
}

/* Bytes of the UTF-8 character at s, 0 when it is none. */
static size_t utf8(const unsigned char *s) {
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 0;
    if (s[0] >= 0xf0 && s[0] < 0xf5) n = 4;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] >= 0xa0) return 0;
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] >= 0x90) return 0;
    return n;
}

void mq_page_text(mq_page *page, const char *text) {
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const char *entity = *s == '<'    ? "&lt;"
                             : *s == '>'  ? "&gt;"
                             : *s == '&'  ? "&amp;"
                             : *s == '"'  ? "&quot;"
                             : *s == '\'' ? "&#39;"
                                          : NULL;
        size_t n = utf8(s);
        if (entity)
            add(page, entity, strlen(entity));
        else if (n == 0 || *s < ' ' || *s == 0x7f)
            add(page, "?", 1);
        else
            add(page, (const char *)s, n);
        s += n ? n : 1;
    }
}

mq_status mq_page_take(mq_page *page, char **out, mq_error *error) {
    mq_status status = page->status;
    *out = NULL;
    if (status == MQ_OK && !page->text) status = mq_strdup("", &page->text, error);
    if (status == MQ_OK)
        *out = page->text;
    else
        mq_free(page->text);
    *page = (mq_page){.error = page->error};
    return status;
}
