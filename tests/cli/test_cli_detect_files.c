/* test_cli_detect_files.c - a contest folder with faulty files through the commands: what is left out is
 * counted and named in one line, training goes on, and strict=1 refuses. */
#include "helper_detect.h"

#include <jpeglib.h>

enum { H = 160, W = 320 };

#define TRAIN                                                                                                \
    "train --model finder.yaml --threads 1 --batch 16 --quiet --bitw 444 --bita 844 --epochs 1 --force "     \
    "--out run --data "

static void put_jpeg(void **state, const char *name, J_COLOR_SPACE space, int channels) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr manager;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    uint8_t line[4 * W];
    info.err = jpeg_std_error(&manager);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &bytes, &size);
    info.image_height = H;
    info.image_width = W;
    info.input_components = channels;
    info.in_color_space = space;
    jpeg_set_defaults(&info);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < H) {
        for (int i = 0; i < 4 * W; i++) line[i] = (uint8_t)(i + (int)info.next_scanline);
        JSAMPROW row = line;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    cli_put(state, name, bytes, size);
    free(bytes);
}

static void put_label(void **state, const char *name, const char *objects) {
    char text[1024];
    snprintf(text, sizeof text,
             "<annotation><size><width>320</width><height>160</height></size>%s</annotation>", objects);
    cli_put_text(state, name, text);
}

#define BOX(name, xmin, ymin, xmax, ymax)                                                                    \
    "<object><name>" name "</name><bndbox><xmin>" xmin "</xmin><ymin>" ymin "</ymin><xmax>" xmax             \
    "</xmax><ymax>" ymax "</ymax></bndbox></object>"
#define GOOD BOX("car", "10", "20", "60", "70")

static const struct {
    const char *name, *objects; /* NULL: no XML */
    const char *words;          /* of the line; NULL: the image is used */
    const char *strict;         /* of the error */
} FILES[] = {
    {"good", GOOD, NULL, NULL},
    {"grey", GOOD, NULL, NULL},
    {"cmyk", GOOD, NULL, NULL},
    {"b\xc3\xa4r", BOX("b\xc3\xa4r", "1", "2", "30", "40"), NULL, NULL},
    {"\xff\xfe", GOOD, NULL, NULL}, /* no UTF-8 at all */
    {"empty", GOOD, "1 of 0 bytes (empty)", "empty.jpg"},
    {"unlabelled", NULL, "1 without XML (unlabelled)", "unlabelled.jpg"},
    {"broken", "<object>", "1 with damaged XML (broken)", "broken.xml"},
    {"nothing", "", "1 without object (nothing)", "nothing.jpg"},
    {"outside", BOX("car", "330", "20", "360", "70"), "1 with a box that is inverted or outside (outside)",
     "outside.jpg: box from (330, 20) to (360, 70)"},
    {"inverted", BOX("car", "60", "20", "10", "70"), "1 with a box that is inverted or outside (inverted)",
     "inverted.jpg: box from (60, 20) to (10, 70)"},
    {"several", GOOD BOX("boat", "1", "1", "9", "9"), "1 with several objects (the first is taken) (several)",
     NULL},
    {"partly", BOX("car", "300", "100", "340", "150"), "1 with a box partly outside (clipped) (partly)",
     NULL},
};
enum { FILE_COUNT = sizeof FILES / sizeof *FILES };

static void put_file(void **state, const char *folder, size_t i) {
    const char *name = FILES[i].name;
    char path[256];
    snprintf(path, sizeof path, "%s/%s.jpg", folder, name);
    if (strcmp(name, "empty") == 0)
        cli_put_text(state, path, "");
    else if (strcmp(name, "grey") == 0)
        put_jpeg(state, path, JCS_GRAYSCALE, 1);
    else if (strcmp(name, "cmyk") == 0)
        put_jpeg(state, path, JCS_CMYK, 4);
    else
        put_jpeg(state, path, JCS_RGB, 3);
    snprintf(path, sizeof path, "%s/%s.xml", folder, name);
    if (FILES[i].objects) put_label(state, path, FILES[i].objects);
}

static void make_folders(void **state, const char *root) {
    static const char *const below[] = {"", "/train", "/test"};
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s%s", root, below[i]);
        assert_int_equal(mkdir(temp_dir_path(state, path), 0777), 0);
    }
}

static void put_damaged(void **state, const char *name) {
    char path[256];
    size_t size;
    snprintf(path, sizeof path, "%s.jpg", name);
    put_jpeg(state, path, JCS_RGB, 3);
    uint8_t *bytes = cli_get(state, path, &size);
    cli_put(state, path, bytes, size / 2);
    free(bytes);
    snprintf(path, sizeof path, "%s.xml", name);
    put_label(state, path, GOOD);
}

/* Each fault alone, among good files. */
static void one_by_one(void **state) {
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char root[32], folder[64], line[256];
        snprintf(root, sizeof root, "set%zu", i);
        make_folders(state, root);
        snprintf(folder, sizeof folder, "%s/test", root);
        put_file(state, folder, 0);
        snprintf(folder, sizeof folder, "%s/train", root);
        put_file(state, folder, 0);
        put_file(state, folder, i);
        snprintf(line, sizeof line, TRAIN "dac-sdc:%s", root);
        cli_result *r = cli_works(state, "%s", line);
        if (FILES[i].words)
            cli_contains(line, r->err, FILES[i].words);
        else if (strstr(r->err, "left out"))
            fail_msg("%s:\n%s", FILES[i].name, r->err);
        if (FILES[i].strict) {
            cli_fails(state, 3, FILES[i].strict, "%s --set strict=1", line);
            cli_fails(state, 3, FILES[i].strict, "data info dac-sdc:%s --set strict=1", root);
        } else {
            cli_works(state, "%s --set strict=1", line);
        }
    }
}

/* All of them, in both splits: every command goes on and says so once. */
static void all_together(void **state) {
    static const char *const commands[] = {
        TRAIN "dac-sdc:all",
        "search --model finder.yaml --threads 1 --batch 16 --quiet --epochs 1 --force --out run --data "
        "dac-sdc:all",
        "test main --data dac-sdc:all --save-images pics --results lines.txt",
        "test main --data dac-sdc:all --engine integer --json",
        "simulate main --data dac-sdc:all",
        "simulate main --data dac-sdc:all --level packed",
        "data info dac-sdc:all",
    };
    make_folders(state, "all");
    for (size_t i = 0; i < FILE_COUNT; i++) {
        put_file(state, "all/train", i);
        put_file(state, "all/test", i);
    }
    for (size_t c = 0; c < sizeof commands / sizeof *commands; c++) {
        cli_result *r = cli_works(state, "%s", commands[c]);
        const char *line = strstr(r->err, "6 of 13 images left out: ");
        if (!line) fail_msg("mixq %s:\n%s", commands[c], r->err);
        for (size_t i = 0; i < FILE_COUNT; i++) {
            if (!FILES[i].words) continue;
            if (strstr(FILES[i].words, "inverted")) /* both kinds of boxes are counted together */
                cli_contains(commands[c], line, "2 with a box that is inverted or outside (inverted)");
            else
                cli_contains(commands[c], line, FILES[i].words);
        }
        cli_fails(state, 3, "all/", "%s --set strict=1", commands[c]);
    }
    size_t size;
    char *lines = (char *)cli_get(state, "lines.txt", &size);
    cli_contains("--results", lines, "b\xc3\xa4r |\xff\xfe |cmyk |grey |good |several |partly ");
    free(lines);
    assert_true(cli_exists(state, "pics/000000_b\xc3\xa4r.png"));
}

/* A JPEG that cannot be decoded is found out only when it is read. */
static void damaged(void **state) {
    static const char words[] = "1 damaged images were taken as grey without objects|cut.jpg";
    static const char *const commands[] = {
        TRAIN "dac-sdc:cut",
        "test main --data dac-sdc:cut",
        "test main --data dac-sdc:cut --engine integer",
        "simulate main --data dac-sdc:cut",
    };
    make_folders(state, "cut");
    put_file(state, "cut/train", 0);
    put_file(state, "cut/test", 0);
    put_damaged(state, "cut/train/cut");
    json_t *t = cli_json(state, "test main --data dac-sdc:cut");
    put_damaged(state, "cut/test/cut");
    for (size_t c = 0; c < sizeof commands / sizeof *commands; c++) {
        expect_warning(state, words, commands[c]);
        cli_fails(state, 3, "cut.jpg", "%s --set strict=1", commands[c]);
    }
    /* it does not count in the mean, is no image to look at, but has its line */
    json_t *r = cli_json(state, "test main --data dac-sdc:cut --save-images p --results l.txt"),
           *s = cli_json(state, "simulate main --data dac-sdc:cut"),
           *i = cli_json(state, "test main --data dac-sdc:cut --engine integer");
    assert_true(cli_number(r, "iou") == cli_number(t, "iou"));
    assert_true(cli_number(s, "iou") == cli_number(i, "iou"));
    assert_int_equal(cli_number(s, "images"), 2);
    assert_true(cli_exists(state, "p/000001_good.png"));
    assert_false(cli_exists(state, "p/000000_cut.png"));
    size_t size;
    char *lines = (char *)cli_get(state, "l.txt", &size);
    cli_contains("--results", lines, "cut |\ngood ");
    free(lines);
    json_decref(i);
    json_decref(s);
    json_decref(r);
    json_decref(t);
    cli_fails(state, 3, "--vectors 2|cut.jpg", "export main --out e --vectors 2 --data dac-sdc:cut");
    assert_false(cli_exists(state, "e"));
}

static void no_images(void **state) {
    static const char *const commands[] = {
        TRAIN, "search --model finder.yaml --quiet --epochs 1 --out run --data ", "test main --data ",
        "simulate main --data ", "export main --out e --vectors 1 --data "};
    make_folders(state, "bare");
    make_folders(state, "faulty");
    for (int split = 0; split < 2; split++)
        put_file(state, split ? "faulty/test" : "faulty/train", 8); /* without object */
    for (size_t c = 0; c < sizeof commands / sizeof *commands; c++) {
        cli_fails(state, 3, "nowhere: no such folder", "%sdac-sdc:nowhere", commands[c]);
        cli_fails(state, 3, "bare/t|no images", "%sdac-sdc:bare", commands[c]);
        cli_fails(state, 3, "none of its 1 images|nothing.jpg: an image without object", "%sdac-sdc:faulty",
                  commands[c]);
        cli_fails(state, 2, "dac-sdc:DIR", "%sdac-sdc", commands[c]);
        cli_fails(state, 2, "number of scenes|\"0\"", "%sshapes:0", commands[c]);
    }
    assert_false(cli_exists(state, "run"));
    assert_false(cli_exists(state, "e"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_by_one, finder_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(all_together, finder_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(damaged, finder_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(no_images, finder_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
