/* text.c - small string helpers. */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORD = 64 };

/* Levenshtein distance of the first MAX_WORD characters. */
static size_t edit_distance(const char *a, const char *b) {
    size_t n = strnlen(a, MAX_WORD), m = strnlen(b, MAX_WORD), row[MAX_WORD + 1];
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[m];
}

const char *mq_nearest(const char *word, const char *const *candidates) {
    const char *best = NULL;
    size_t best_distance = strnlen(word, MAX_WORD) / 2 + 1;
    for (; *candidates; candidates++) {
        size_t distance = edit_distance(word, *candidates);
        if (distance < best_distance) {
            best_distance = distance;
            best = *candidates;
        }
    }
    return best;
}

int mq_natural_compare(const char *a, const char *b) {
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            while (*a == '0' && isdigit((unsigned char)a[1])) a++;
            while (*b == '0' && isdigit((unsigned char)b[1])) b++;
            size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
            if (n != m) return n < m ? -1 : 1;
            int order = strncmp(a, b, n);
            if (order) return order;
            a += n;
            b += m;
        } else {
            if (*a != *b) break;
            a++;
            b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}

bool mq_parse_int(const char *text, int64_t *out) {
    char *end;
    if (!*text || isspace((unsigned char)*text)) return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end) return false;
    *out = value;
    return true;
}

bool mq_parse_double(const char *text, double *out) {
    char *end;
    if (!*text || isspace((unsigned char)*text)) return false;
    errno = 0;
    double value = strtod(text, &end);
    if (*end || end == text || !isfinite(value)) return false;
    *out = value;
    return true;
}

bool mq_starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool mq_ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}
