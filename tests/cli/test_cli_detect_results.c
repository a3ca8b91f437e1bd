/* test_cli_detect_results.c - what a detector found, as a user gets it: images with both boxes, lines of
 * boxes, the integer network's mean IoU by every simulator, and vectors. */
#include "helper_detect.h"

#include <math.h>
#include <png.h>
#include <stdbool.h>

#include "data/dataset.h"

static mq_dataset *open_test(const char *spec) {
    const mq_data_request request = {.split = MQ_SPLIT_TEST, .height = FINDER_H, .width = FINDER_W};
    mq_error error = {0};
    mq_dataset *set;
    if (mq_dataset_open(spec, &request, &set, &error) != MQ_OK) fail_msg("%s", error.text);
    return set;
}

/* ---- lines ---- */

typedef struct edges {
    double xmin, xmax, ymin, ymax;
} edges;

/* Cuts the line's end off: what stays is the name. */
static edges take_edges(char *line) {
    double v[4];
    for (int i = 3; i >= 0; i--) {
        char *space = strrchr(line, ' ');
        assert_non_null(space);
        v[i] = strtod(space + 1, NULL);
        *space = 0;
    }
    return (edges){v[0], v[1], v[2], v[3]};
}

/* Lines stand in file order, one per image; by them the mean IoU is the command's. out: [set->count] in parts
 * of the image. */
static void check_lines(void **state, const char *file, const mq_dataset *set, double iou, mq_box *out) {
    size_t size, i = 0;
    double sum = 0;
    char *text = (char *)cli_get(state, file, &size);
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), i++) {
        char name[MQ_DATA_SAMPLE_NAME];
        int height, width;
        assert_true(i < set->count);
        mq_dataset_sample_name(set, i, name);
        mq_dataset_sample_size(set, i, &height, &width);
        edges e = take_edges(line);
        assert_string_equal(line, name);
        assert_true(e.xmin < e.xmax && e.ymin < e.ymax);
        out[i] = (mq_box){(float)((e.xmin + e.xmax) / 2 / width), (float)((e.ymin + e.ymax) / 2 / height),
                          (float)((e.xmax - e.xmin) / width), (float)((e.ymax - e.ymin) / height)};
        sum += mq_box_iou(&out[i], &set->targets[i].box);
    }
    free(text);
    assert_int_equal(i, set->count);
    if (fabs(sum / (double)i - iou) > 2e-3) fail_msg("%s: IoU %g, %g expected", file, sum / (double)i, iou);
}

/* ---- images ---- */

/* Where a colour is: parts of the image. */
static bool find_colour(const uint8_t *pixels, int height, int width, const uint8_t colour[3], mq_box *out) {
    int left = width, right = -1, top = height, bottom = -1;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            if (memcmp(pixels + 3 * (y * width + x), colour, 3) != 0) continue;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y > bottom ? y : bottom;
        }
    if (right < 0) return false;
    *out =
        (mq_box){(float)(left + right + 1) / 2 / (float)width, (float)(top + bottom + 1) / 2 / (float)height,
                 (float)(right + 1 - left) / (float)width, (float)(bottom + 1 - top) / (float)height};
    return true;
}

/* The red frame is the found box, what is green lies on the true one's. */
static void check_image(void **state, const char *name, const mq_box *truth, const mq_box *found) {
    static const uint8_t green[3] = {0, 255, 0}, red[3] = {255, 0, 0};
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&png, temp_dir_path(state, name))) fail_msg("%s: no PNG", name);
    png.format = PNG_FORMAT_RGB;
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(png));
    assert_true(png_image_finish_read(&png, NULL, pixels, 0, NULL));
    int height = (int)png.height, width = (int)png.width;
    assert_true(height % FINDER_H == 0 && width / FINDER_W == height / FINDER_H);
    mq_box box;
    bool inside = found->x - found->w / 2 >= 0 && found->x + found->w / 2 <= 1 &&
                  found->y - found->h / 2 >= 0 && found->y + found->h / 2 <= 1;
    if (!find_colour(pixels, height, width, red, &box)) fail_msg("%s: no red", name);
    if (inside && mq_box_iou(&box, found) < 0.9) fail_msg("%s: the red box is elsewhere", name);
    if (!find_colour(pixels, height, width, green, &box)) fail_msg("%s: no green", name);
    double far = fmax(fabs((double)(box.x - truth->x)), fabs((double)(box.y - truth->y)));
    if (far > 0.5 * fmax((double)truth->w, (double)truth->h))
        fail_msg("%s: the green box is elsewhere", name);
    free(pixels);
}

static void check_images(void **state, const char *folder, const mq_dataset *set, const mq_box *found,
                         size_t count) {
    temp_dir inner = {0};
    void *inside = &inner;
    snprintf(inner.path, sizeof inner.path, "%.63s", temp_dir_path(state, folder));
    assert_int_equal(temp_dir_count(&inside), count);
    for (size_t i = 0; i < count; i++) {
        char sample[MQ_DATA_SAMPLE_NAME], name[512];
        mq_dataset_sample_name(set, i, sample);
        for (char *at = sample; *at; at++)
            if (*at == '/') *at = '_';
        snprintf(name, sizeof name, "%s/%06zu", folder, i);
        if (strcmp(sample, name + strlen(folder) + 1) != 0)
            snprintf(name + strlen(name), sizeof name - strlen(name), "_%s", sample);
        strcat(name, ".png");
        check_image(state, name, &set->targets[i].box, &found[i]);
    }
}

static void check_results(void **state, const char *spec, const char *engine, const char *folder) {
    char line[512], lines[64];
    mq_dataset *set = open_test(spec);
    mq_box *found = calloc(set->count, sizeof *found);
    snprintf(line, sizeof line, "test main --data %s --threads 1 --engine %s", spec, engine);
    snprintf(lines, sizeof lines, "%s.txt", folder);
    json_t *plain = cli_json(state, "%s", line),
           *r = cli_json(state, "%s --save-images %s --save 7 --results %s", line, folder, lines);
    assert_true(json_equal(plain, r));
    check_lines(state, lines, set, cli_number(r, "iou"), found);
    check_images(state, folder, set, found, 7);
    json_decref(plain);
    json_decref(r);
    free(found);
    mq_dataset_free(set);
}

static void images_and_lines(void **state) {
    check_results(state, "shapes:48", "float", "f");
    check_results(state, "shapes:48", "integer", "i");
    cli_contains("test",
                 cli_works(state, "test main --data shapes:48 --threads 1 --save-images f --results f.txt "
                                  "--compare")
                     ->out,
                 "finder (fixed): iou|f: 24 images|green|red|f.txt: 64 lines: name xmin xmax ymin ymax");
}

/* Files of another size than the network's, with names and folders. */
static void original_pixels(void **state) {
    cli_works(state, "data export shapes:8 scenes");
    size_t size;
    char spec[300], name[MQ_DATA_SAMPLE_NAME], label[400];
    snprintf(spec, sizeof spec, "dac-sdc:%.200s", temp_dir_path(state, "scenes"));
    mq_dataset *set = open_test(spec);
    int height, width;
    mq_dataset_sample_name(set, 5, name);
    mq_dataset_free(set);
    /* without a size in its XML, the JPEG says it */
    snprintf(label, sizeof label, "scenes/test/%s.xml", name);
    char *text = (char *)cli_get(state, label, &size), *at = strstr(text, "<size>");
    assert_non_null(at);
    memcpy(at, "<soze>", 6);
    at = strstr(text, "</size>");
    memcpy(at, "</soze>", 7);
    cli_put(state, label, text, size);
    free(text);
    set = open_test(spec);
    for (size_t i = 0; i < set->count; i++) {
        mq_dataset_sample_size(set, i, &height, &width);
        assert_true(height == 160 && width == 320);
    }
    mq_dataset_free(set);
    check_results(state, spec, "integer", "d");
}

static void nothing_half_done(void **state) {
    static const char test[] = "test main --data shapes:48 --threads 1 --limit 4";
    cli_put_text(state, "taken", "x");
    cli_put_data(state, "data", 20, 20, 8);
    int entries = temp_dir_count(state);
    cli_fails(state, 2, "--save-images taken|a folder expected", "%s --save-images taken", test);
    cli_fails(state, 3, "cannot make a folder|taken", "%s --save-images taken/pics", test);
    cli_fails(state, 3, "main|not a regular file", "%s --results main", test);
    cli_fails(state, 3, "no/lines.txt", "%s --results no/lines.txt", test);
    cli_fails(state, 2, "--save belongs to --save-images", "%s --save 3", test);
    cli_fails(state, 2, "--save|'0'", "%s --save-images pics --save 0", test);
    cli_fails(state, 2, "strict|0 or 1", "%s --set strict=0.5", test);
    cli_fails(state, 2, "data set mnist has classes of images|detector",
              "test main --data mnist:data --results lines.txt");
    assert_int_equal(temp_dir_count(state), entries); /* no pics, no lines */
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_works(state,
              "train --model tiny.yaml --data mnist:data --threads 1 --quiet --float --epochs 1 --out t");
    cli_fails(state, 2, "--results is for detectors|mnist has no boxes",
              "test t --data mnist:data --results lines.txt");
    cli_fails(state, 2, "--save-images is for detectors", "test t --data mnist:data --save-images pics");
    assert_false(cli_exists(state, "lines.txt"));
}

/* The trained network's integer answers, from the export, by every simulator. */
static void simulated(void **state) {
    cli_works(state, "export main --out net --data shapes:48 --vectors 3");
    cli_contains("verify", cli_works(state, "verify net --checkpoint main")->out, "3 images|packed");
    json_t *t = cli_json(state, "test main --data shapes:48 --threads 1 --engine integer");
    static const char *const from[] = {"net", "main", "net --engine reference", "net --level packed"};
    char digest[128] = "";
    for (int i = 0; i < 4; i++) {
        json_t *r = cli_json(state, "simulate %s --data shapes:48 --threads 1", from[i]);
        assert_true(cli_number(r, "iou") == cli_number(t, "iou"));
        assert_true(cli_number(r, "constant_iou") == cli_number(t, "constant_iou"));
        assert_int_equal(cli_number(r, "images"), 64);
        assert_null(json_object_get(r, "accuracy"));
        if (i == 0) snprintf(digest, sizeof digest, "%s", cli_text(r, "output_sha256"));
        assert_string_equal(cli_text(r, "output_sha256"), digest);
        json_decref(r);
    }
    json_decref(t);
    cli_works(state, "simulate net --data shapes:48 --threads 1 --limit 5 --dump d --output o.npy");
    cli_works(state,
              "simulate net --data shapes:48 --limit 5 --level packed --threads 2 --dump p --output q.npy");
    cli_same_file(state, "o.npy", "q.npy");
    cli_works(state, "diff d p");
    cli_works(state, "simulate net --input net/vectors/images.npy --dump v"); /* the same images as a file */
    cli_works(state, "simulate net --data shapes:48 --limit 3 --dump w");
    cli_works(state, "diff v w");
    json_t *r = cli_json(state, "simulate net --data shapes:48 --threads 1 --seed 5"),
           *again = cli_json(state, "simulate net --input net/vectors/images.npy");
    assert_string_not_equal(cli_text(r, "output_sha256"), digest);
    assert_null(json_object_get(again, "iou"));
    json_decref(again);
    json_decref(r);
    cli_contains("simulate", cli_works(state, "simulate net --data shapes:48 --limit 4")->out,
                 "finder (integer): iou |best constant box|4 images");
    cli_put_data(state, "data", 20, 20, 8);
    cli_fails(state, 2, "mnist has classes of images|the network is a detector",
              "simulate net --data mnist:data");
    cli_fails(state, 2, "finder is a detector", "export main --out e --vectors 2 --data mnist:data");
    cli_fails(state, 2, "--vectors 65|64 images", "export main --out e --vectors 65 --data shapes:48");
    assert_false(cli_exists(state, "e"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(images_and_lines, finder_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(original_pixels, finder_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(nothing_half_done, finder_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(simulated, finder_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
