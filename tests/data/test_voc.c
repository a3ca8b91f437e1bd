/* test_voc.c - labels in XML: what is read, what does not matter, what is refused. */
#include "data/helper_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/voc.h"

#define SIZE   "<size><width>640</width><height>360</height><depth>3</depth></size>"
#define BOX    "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>110</xmax><ymax>70.5</ymax></bndbox>"
#define OBJECT "<object><name>boat</name>" BOX "</object>"
#define OPEN   "<annotation>"
#define CLOSE  "</annotation>"

static mq_status parse(const char *text, mq_voc *out, mq_error *error) {
    return mq_voc_parse("labels/a.xml", (const uint8_t *)text, strlen(text), out, error);
}

static mq_voc expect_good(const char *text) {
    mq_voc voc;
    mq_error error = {0};
    if (parse(text, &voc, &error) != MQ_OK) fail_msg("%s\n%s", text, error.text);
    return voc;
}

static void check_boat(const mq_voc *voc) {
    assert_string_equal(voc->name, "boat");
    assert_true(voc->xmin == 10 && voc->ymin == 20 && voc->xmax == 110 && voc->ymax == 70.5);
}

static void test_read(void **state) {
    (void)state;
    static const char *const same[] = {
        OPEN SIZE OBJECT CLOSE,
        "<?xml version='1.0' encoding='UTF-8'?>\n<annotation verified=\"no\">" OBJECT SIZE CLOSE "\n",
        "<!-- made by hand -->" OPEN "<folder>x</folder><filename>a.jpg</filename>" SIZE
        "<object><pose>Left</pose>" BOX "<name>  boat\n</name><difficult>0</difficult></object>" CLOSE,
        OPEN SIZE "<object><name><![CDATA[boat]]></name>" BOX "</object>" CLOSE,
        /* names of ours elsewhere do not matter, nor a part that has boxes of its own */
        OPEN SIZE "<owner><name>me</name><bndbox><xmin>x</xmin></bndbox></owner><object><name>boat</name>" BOX
                  "<part><name>sail</name><bndbox><xmin>1</xmin></bndbox></part></object>" CLOSE,
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        mq_voc voc = expect_good(same[i]);
        check_boat(&voc);
        assert_int_equal(voc.objects, 1);
        assert_int_equal(voc.width, 640);
        assert_int_equal(voc.height, 360);
    }
}

static void test_variants(void **state) {
    (void)state;
    mq_voc voc = expect_good(OPEN OBJECT CLOSE);
    assert_true(voc.width == 0 && voc.height == 0);
    voc = expect_good(OPEN SIZE CLOSE);
    assert_int_equal(voc.objects, 0);
    voc = expect_good(OPEN SIZE OBJECT "<object><name>gull</name></object><object/>" CLOSE);
    check_boat(&voc); /* the first */
    assert_int_equal(voc.objects, 3);
    voc = expect_good(OPEN SIZE "<object><name>b\xc3\xa4r &amp; &#x6c34;</name>" BOX "</object>" CLOSE);
    assert_string_equal(voc.name, "b\xc3\xa4r & \xe6\xb0\xb4");
    voc = expect_good("<?xml version='1.0' encoding='ISO-8859-1'?>" OPEN SIZE
                      "<object><name>b\xe4r</name>" BOX "</object>" CLOSE);
    assert_string_equal(voc.name, "b\xc3\xa4r");
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "no element found"},
        {"\xff\xd8\xff", "not well-formed"},
        {OPEN SIZE OBJECT, "no element found"},
        {OPEN SIZE "<object></annotation>", "mismatched tag"},
        {"<xml></xml>", "expected annotation, got xml"},
        {OPEN SIZE "<object><name>boat</name></object>" CLOSE, "expected a name and a bndbox"},
        {OPEN SIZE "<object>" BOX "</object>" CLOSE, "expected a name and a bndbox"},
        {OPEN SIZE "<object><name>boat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax></bndbox></"
                   "object>" CLOSE,
         "expected a name and a bndbox"},
        {OPEN SIZE "<object><name>boat</name><bndbox><xmin>1e</xmin></bndbox></object>" CLOSE,
         "expected a number, got 1e"},
        {OPEN SIZE "<object><name>boat</name><bndbox><xmin>nan</xmin></bndbox></object>" CLOSE,
         "expected a number"},
        {OPEN SIZE "<object><name>boat</name><bndbox><xmin></xmin></bndbox></object>" CLOSE,
         "expected a number"},
        {OPEN SIZE "<object><name> </name>" BOX "</object>" CLOSE, "expected 1..63 bytes"},
        {OPEN SIZE "<object><name>123456789012345678901234567890123456789012345678901234567890abcd</name>" BOX
                   "</object>" CLOSE,
         "expected 1..63 bytes"},
        {OPEN "<size><width>-1</width></size>" OBJECT CLOSE, "expected a whole number, got -1"},
        {OPEN "<size><width>6.5</width></size>" OBJECT CLOSE, "expected a whole number, got 6.5"},
        {OPEN "<object><name>b\xe4r</name></object>" CLOSE, "not well-formed"},
        {"<!DOCTYPE annotation SYSTEM 'file:///etc/passwd'>" OPEN CLOSE, "document types are not read"},
        {"<!DOCTYPE a [<!ENTITY b \"0123456789\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">"
         "<!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]>" OPEN "&d;" CLOSE,
         "document types are not read"},
        {OPEN "&unknown;" CLOSE, "undefined entity"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mq_voc voc;
        mq_error error = {0};
        assert_int_equal(parse(cases[i].text, &voc, &error), MQ_BAD_INPUT);
        if (!strstr(error.text, cases[i].words) || !strstr(error.text, "labels/a.xml:"))
            fail_msg("%s\ngot \"%s\", expected \"%s\"", cases[i].text, error.text, cases[i].words);
    }
}

static void test_large(void **state) {
    (void)state;
    enum { DEEP = 60000 };
    char *text = malloc(MQ_VOC_BYTES + 2);
    mq_voc voc;
    mq_error error = {0};
    memset(text, ' ', MQ_VOC_BYTES + 1);
    assert_int_equal(mq_voc_parse("a.xml", (uint8_t *)text, MQ_VOC_BYTES + 1, &voc, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "at most"));
    strcpy(text, OPEN);
    for (int i = 0; i < DEEP; i++) strcpy(text + strlen(OPEN) + 3 * (size_t)i, "<a>");
    assert_int_equal(parse(text, &voc, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "too deep"));
    /* a long text that does not matter, one that does */
    size_t n = (size_t)sprintf(text, OPEN "<note>");
    memset(text + n, 'x', 5000);
    strcpy(text + n + 5000, "</note>" SIZE OBJECT CLOSE);
    voc = expect_good(text);
    check_boat(&voc);
    n = (size_t)sprintf(text, OPEN "<object><name>");
    memset(text + n, 'x', 5000);
    strcpy(text + n + 5000, "</name>" BOX "</object>" CLOSE);
    assert_int_equal(parse(text, &voc, &error), MQ_BAD_INPUT);
    n = (size_t)sprintf(text, OPEN SIZE "<");
    memset(text + n, 'y', 5000); /* a long name of an element */
    strcpy(text + n + 5000, "/>" OBJECT CLOSE);
    voc = expect_good(text);
    check_boat(&voc);
    free(text);
}

/* Every beginning of a label is refused or read, nothing worse; and every byte changed. */
static void test_damage(void **state) {
    (void)state;
    static const char whole[] = OPEN SIZE OBJECT CLOSE;
    char text[sizeof whole];
    mq_voc voc;
    mq_error error;
    for (size_t i = 0; i < sizeof whole - 1; i++)
        assert_int_equal(mq_voc_parse("a", (const uint8_t *)whole, i, &voc, &error), MQ_BAD_INPUT);
    for (size_t i = 0; i < sizeof whole - 1; i++)
        for (int v = 0; v < 256; v += 3) {
            memcpy(text, whole, sizeof whole);
            text[i] = (char)v;
            mq_status status = mq_voc_parse("a", (const uint8_t *)text, sizeof whole - 1, &voc, &error);
            assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
        }
}

static void test_written(void **state) {
    (void)state;
    char folder[64], path[128];
    uint8_t bytes[2000];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/a.xml", folder);
    const mq_voc voc = {.width = 320,
                        .height = 160,
                        .name = "a<b>&\"c\" b\xc3\xa4r",
                        .xmin = 1,
                        .ymin = 2.125,
                        .xmax = 300.0625,
                        .ymax = 150};
    mq_error error;
    assert_int_equal(mq_voc_write(path, "a&b.jpg", &voc, &error), MQ_OK);
    size_t size = get_file(folder, "a.xml", bytes, sizeof bytes - 1);
    bytes[size] = 0;
    assert_non_null(strstr((char *)bytes, "<filename>a&amp;b.jpg</filename>"));
    mq_voc again = expect_good((char *)bytes);
    assert_string_equal(again.name, voc.name);
    assert_true(again.width == 320 && again.height == 160 && again.objects == 1);
    assert_true(again.xmin == 1 && again.ymin == 2.125 && again.xmax == 300.0625 && again.ymax == 150);
    drop_folder(folder);
    assert_int_equal(mq_voc_write(path, "a.jpg", &voc, &error), MQ_BAD_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),  cmocka_unit_test(test_variants), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_large), cmocka_unit_test(test_damage),   cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests_name("voc", tests, NULL, NULL);
}
