/* confusion.c - the confusion matrix of a classifier. */
#include "cli/confusion.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_IN_TABLE = 20, PAIRS = 10, LABEL = 14 };

mq_status confusion_make(const mq_dataset *set, const int32_t *found, int outputs, confusion *out,
                         mq_error *error) {
    *out = (confusion){.set = set, .classes = outputs > set->classes ? outputs : set->classes};
    size_t n = (size_t)out->classes;
    MQ_TRY(mq_alloc(n * n, sizeof *out->count, "the confusion matrix", &out->count, error));
    for (size_t i = 0; i < set->count; i++) out->count[(size_t)set->labels[i] * n + (size_t)found[i]]++;
    return MQ_OK;
}

void confusion_free(confusion *c) {
    mq_free(c->count);
    *c = (confusion){0};
}

static void class_name(const confusion *c, int i, char out[MQ_DATA_NAME]) {
    if (c->set->class_names && i < c->set->classes)
        snprintf(out, MQ_DATA_NAME, "%s", c->set->class_names[i]);
    else
        snprintf(out, MQ_DATA_NAME, "%d", i);
    for (char *at = out; *at; at++)
        if (iscntrl((unsigned char)*at)) *at = '?';
}

json_t *confusion_json(const confusion *c) {
    json_t *names = json_array(), *matrix = json_array();
    for (int i = 0; i < c->classes; i++) {
        char name[MQ_DATA_NAME];
        json_t *row = json_array();
        class_name(c, i, name);
        json_t *text = json_string(name); /* NULL where the bytes are no UTF-8 */
        json_array_append_new(names, text ? text : json_integer(i));
        for (int k = 0; k < c->classes; k++)
            json_array_append_new(
                row, json_integer((json_int_t)c->count[(size_t)i * (size_t)c->classes + (size_t)k]));
        json_array_append_new(matrix, row);
    }
    return json_pack("{s:o, s:o}", "classes", names, "matrix", matrix);
}

static int digits(size_t v) {
    int n = 1;
    for (; v > 9; v /= 10) n++;
    return n;
}

static void print_table(const confusion *c) {
    size_t n = (size_t)c->classes, most = n - 1;
    for (size_t i = 0; i < n * n; i++)
        if (c->count[i] > most) most = c->count[i];
    int width = digits(most) + 1;
    printf("true class (rows) and found class (columns):\n  %*s ", LABEL + 4, "");
    for (int k = 0; k < c->classes; k++) printf("%*d", width, k);
    printf("   right\n");
    for (size_t i = 0; i < n; i++) {
        char name[MQ_DATA_NAME];
        size_t all = 0;
        class_name(c, (int)i, name);
        printf("  %3zu %-*.*s ", i, LABEL, LABEL, name);
        for (size_t k = 0; k < n; k++) {
            all += c->count[i * n + k];
            if (c->count[i * n + k])
                printf("%*zu", width, c->count[i * n + k]);
            else
                printf("%*s", width, ".");
        }
        if (all)
            printf("  %6.4f\n", (double)c->count[i * n + i] / (double)all);
        else
            printf("       -\n");
    }
}

/* The largest count off the diagonal below `before` in the order (count, place); false: none left. */
static bool next_pair(const confusion *c, size_t *count, size_t *place) {
    size_t n = (size_t)c->classes, best = 0, at = 0;
    for (size_t i = 0; i < n * n; i++) {
        bool later = c->count[i] < *count || (c->count[i] == *count && i > *place);
        if (i / n != i % n && later && c->count[i] > best) {
            best = c->count[i];
            at = i;
        }
    }
    *count = best;
    *place = at;
    return best > 0;
}

static void print_pairs(const confusion *c) {
    size_t count = SIZE_MAX, place = 0, n = (size_t)c->classes;
    printf("confused most (%d classes; --json has the whole matrix):\n", c->classes);
    for (int i = 0; i < PAIRS && next_pair(c, &count, &place); i++) {
        char is[MQ_DATA_NAME], found[MQ_DATA_NAME];
        class_name(c, (int)(place / n), is);
        class_name(c, (int)(place % n), found);
        printf("  %6zu  %s taken for %s\n", count, is, found);
    }
}

void confusion_print(const confusion *c) {
    if (c->classes <= MOST_IN_TABLE)
        print_table(c);
    else
        print_pairs(c);
}
