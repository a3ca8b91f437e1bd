/* voc.c - VOC labels through expat. Elements are known by their path from the root, "/object/bndbox/xmin". */
#include "data/voc.h"

#include <expat.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

enum { PLACE = 128, TEXT = 256, DEPTH = 64 };

typedef struct parse {
    XML_Parser xml;
    const char *path;
    mq_voc *out;
    mq_error *error;
    mq_status status;
    char place[PLACE];  /* below the root; empty in the root */
    size_t mark[DEPTH]; /* place's length before each open element */
    int depth, skipped; /* open elements; of these below one that does not matter */
    char text[TEXT];    /* of the innermost element */
    size_t used;
    unsigned have; /* bits of the first object: name, xmin, ymin, xmax, ymax */
} parse;

static const char *const fields[] = {"/object/name", "/object/bndbox/xmin", "/object/bndbox/ymin",
                                     "/object/bndbox/xmax", "/object/bndbox/ymax"};
enum { FIELDS = sizeof fields / sizeof fields[0], WHOLE = (1 << FIELDS) - 1 };

static void stop(parse *p, const char *what, const char *got) {
    if (p->status != MQ_OK) return;
    p->status = mq_fail(p->error, MQ_BAD_INPUT, "%s:%lu: %s%.60s", p->path, XML_GetCurrentLineNumber(p->xml),
                        what, got);
    XML_StopParser(p->xml, XML_FALSE);
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes) {
    (void)attributes;
    parse *p = context;
    if (p->depth == 0 && strcmp(name, "annotation") != 0) {
        stop(p, "root element: expected annotation, got ", name);
        return;
    }
    p->used = 0;
    if (p->depth == DEPTH) {
        stop(p, "elements too deep within each other", "");
        return;
    }
    size_t length = strlen(p->place);
    p->mark[p->depth++] = length;
    if (p->depth == 1 || p->skipped) {
        p->skipped += p->skipped > 0;
        return;
    }
    if (length + strlen(name) + 2 > PLACE) { /* too long to be one of ours */
        p->skipped = 1;
        return;
    }
    snprintf(p->place + length, PLACE - length, "/%s", name);
    if (strcmp(p->place, "/object") == 0) p->out->objects++;
}

static void XMLCALL on_text(void *context, const XML_Char *text, int length) {
    parse *p = context;
    size_t n = (size_t)length;
    if (p->used + n >= TEXT) n = TEXT - 1 - p->used; /* long ones are faults only where they matter */
    memcpy(p->text + p->used, text, n);
    p->used += n;
}

static const char *trimmed(parse *p) {
    char *begin = p->text;
    p->text[p->used] = 0;
    while (p->used && strchr(" \t\r\n", p->text[p->used - 1])) p->text[--p->used] = 0;
    while (*begin && strchr(" \t\r\n", *begin)) begin++;
    return begin;
}

static void read_size(parse *p, int *out) {
    double value;
    const char *text = trimmed(p);
    if (!mq_parse_double(text, &value) || !(value >= 0 && value <= INT32_MAX) || value != rint(value))
        stop(p, "size of the image: expected a whole number, got ", text);
    else
        *out = (int)value;
}

static void read_field(parse *p, int which) {
    double *const edges[] = {&p->out->xmin, &p->out->ymin, &p->out->xmax, &p->out->ymax};
    const char *text = trimmed(p);
    if (which == 0) {
        if (!*text || strlen(text) >= MQ_DATA_NAME) {
            stop(p, "name of the object: expected 1..63 bytes, got ", text);
            return;
        }
        snprintf(p->out->name, MQ_DATA_NAME, "%s", text);
    } else if (!mq_parse_double(text, edges[which - 1])) {
        stop(p, "edge of the box: expected a number, got ", text);
        return;
    }
    p->have |= 1U << which;
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
    (void)name;
    parse *p = context;
    if (p->status != MQ_OK) return;
    if (p->skipped) {
        p->skipped--;
    } else {
        if (strcmp(p->place, "/size/width") == 0) read_size(p, &p->out->width);
        if (strcmp(p->place, "/size/height") == 0) read_size(p, &p->out->height);
        for (int i = 0; i < FIELDS && p->out->objects == 1; i++)
            if (strcmp(p->place, fields[i]) == 0) read_field(p, i);
        if (p->out->objects == 1 && p->have != WHOLE && strcmp(p->place, "/object") == 0)
            stop(p, "object: expected a name and a bndbox of xmin, ymin, xmax, ymax", "");
    }
    p->place[p->mark[--p->depth]] = 0;
    p->used = 0;
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal) {
    (void)system;
    (void)public;
    (void)internal;
    stop(context, "document types are not read, got ", name);
}

mq_status mq_voc_parse(const char *path, const uint8_t *bytes, size_t size, mq_voc *out, mq_error *error) {
    *out = (mq_voc){0};
    if (size > MQ_VOC_BYTES)
        return mq_fail(error, MQ_BAD_INPUT, "%s: got %zu bytes of XML, expected at most %d", path, size,
                       MQ_VOC_BYTES);
    parse p = {.xml = XML_ParserCreate(NULL), .path = path, .out = out, .error = error};
    if (!p.xml) return mq_fail_memory(error, "an XML parser", 0);
    XML_SetUserData(p.xml, &p);
    XML_SetElementHandler(p.xml, on_start, on_end);
    XML_SetCharacterDataHandler(p.xml, on_text);
    XML_SetStartDoctypeDeclHandler(p.xml, on_doctype);
    enum XML_Status parsed = XML_Parse(p.xml, (const char *)bytes, (int)size, XML_TRUE);
    if (parsed != XML_STATUS_OK && p.status == MQ_OK)
        p.status = XML_GetErrorCode(p.xml) == XML_ERROR_NO_MEMORY
                       ? mq_fail_memory(error, "an XML parser", 0)
                       : mq_fail(error, MQ_BAD_INPUT, "%s:%lu: not well-formed XML: %s", path,
                                 XML_GetCurrentLineNumber(p.xml), XML_ErrorString(XML_GetErrorCode(p.xml)));
    XML_ParserFree(p.xml);
    return p.status;
}

static mq_status put_text(mq_outfile *file, const char *text, mq_error *error) {
    for (; *text; text++) {
        const char *as = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        MQ_TRY(as ? mq_outfile_write(file, as, strlen(as), error) : mq_outfile_write(file, text, 1, error));
    }
    return MQ_OK;
}

static mq_status put_all(mq_outfile *file, const char *filename, const mq_voc *voc, mq_error *error) {
    MQ_TRY(mq_outfile_printf(file, error, "<annotation>\n\t<filename>"));
    MQ_TRY(put_text(file, filename, error));
    MQ_TRY(mq_outfile_printf(
        file, error,
        "</filename>\n\t<size>\n\t\t<width>%d</width>\n\t\t<height>%d</height>\n\t\t<depth>3</depth>\n"
        "\t</size>\n\t<object>\n\t\t<name>",
        voc->width, voc->height));
    MQ_TRY(put_text(file, voc->name, error));
    return mq_outfile_printf(
        file, error,
        "</name>\n\t\t<bndbox>\n\t\t\t<xmin>%.9g</xmin>\n\t\t\t<ymin>%.9g</ymin>\n\t\t\t<xmax>%.9g</xmax>\n"
        "\t\t\t<ymax>%.9g</ymax>\n\t\t</bndbox>\n\t</object>\n</annotation>\n",
        voc->xmin, voc->ymin, voc->xmax, voc->ymax);
}

mq_status mq_voc_write(const char *path, const char *filename, const mq_voc *voc, mq_error *error) {
    mq_outfile *file;
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_outfile_unsynced(file);
    mq_status status = put_all(file, filename, voc, error);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}
