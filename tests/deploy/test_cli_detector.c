/* test_cli_detector.c - a detector whose boxes are known by hand, through `mixq simulate` as every build has
 * it: mean IoU on generated scenes and on a folder of images, by every simulator. */
#include "cli_run.h"

#include <math.h>

#include "data/dataset.h"
#include "detect/constant_box.h"
#include "inet/inet.h"

enum { H = 48, W = 96, STRIDE = 8, GH = H / STRIDE, GW = W / STRIDE, ANCHORS = 2, FIELDS = 6, DIVISOR = 64 };

/* Accumulators of x, y, w, h: the same in every cell; objectness is the cell's first pixel in blue. */
static const int64_t BOXES[ANCHORS][4] = {{-40, 30, 20, -10}, {90, -70, 0, 64}};
static const double SIZES[ANCHORS][2] = {{14, 10}, {9, 12}};

static void add(mq_inet *net, mq_inet_node node) {
    mq_error error = {0};
    node.input_count = net->node_count > 0;
    node.input[0] = net->node_count - 1;
    if (mq_inet_add(net, &node, NULL, &error) != MQ_OK) fail_msg("%s", error.text);
}

static int make(void **state) {
    int8_t weight[ANCHORS * FIELDS * 3] = {0};
    int64_t bias[ANCHORS * FIELDS] = {0};
    mq_error error = {0};
    mq_inet *net;
    if (temp_dir_make(state) != 0) return -1;
    for (int a = 0; a < ANCHORS; a++) {
        memcpy(bias + a * FIELDS, BOXES[a], sizeof BOXES[a]);
        weight[(a * FIELDS + 4) * 3] = 1;
        bias[a * FIELDS + 4] = -128;
    }
    assert_int_equal(mq_inet_create(&net, &error), MQ_OK);
    strcpy(net->model, "bluest");
    net->task = MQ_INET_DETECTION;
    net->classes = 1;
    net->anchor_count = ANCHORS;
    for (int a = 0; a < ANCHORS; a++) {
        net->anchor_w[a] = SIZES[a][0];
        net->anchor_h[a] = SIZES[a][1];
    }
    strcpy(net->bitw, "2");
    strcpy(net->bita, "8");
    add(net, (mq_inet_node){.kind = MQ_INET_IMAGE, .name = "image", .image = {H, W, 3, 8}});
    mq_inet_node conv = {.kind = MQ_INET_CONV, .name = "conv0", .dump = "conv0"};
    conv.conv = (mq_inet_conv){
        .out_channels = ANCHORS * FIELDS, .kernel_h = 1, .kernel_w = 1, .groups = 1, .weight_bits = 2};
    conv.conv.stride_h = conv.conv.stride_w = STRIDE;
    conv.conv.weight = weight;
    conv.conv.bias = bias;
    add(net, conv);
    add(net, (mq_inet_node){.kind = MQ_INET_OUTPUT, .name = "output", .output = {DIVISOR}});
    if (mq_inet_finish(net, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_inet_save(net, temp_dir_path(state, "net"), &error), MQ_OK);
    mq_inet_free(net);
    return 0;
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* In pixels. */
static mq_box box_at(int row, int column) {
    double x = 0, y = 0, w = 0, h = 0;
    for (int a = 0; a < ANCHORS; a++) {
        x += (sigmoid((double)BOXES[a][0] / DIVISOR) + column) * STRIDE / ANCHORS;
        y += (sigmoid((double)BOXES[a][1] / DIVISOR) + row) * STRIDE / ANCHORS;
        w += exp((double)BOXES[a][2] / DIVISOR) * SIZES[a][0] / ANCHORS;
        h += exp((double)BOXES[a][3] / DIVISOR) * SIZES[a][1] / ANCHORS;
    }
    return (mq_box){(float)x, (float)y, (float)w, (float)h};
}

static double expected_iou(const mq_dataset *set, size_t count) {
    uint8_t image[H][W][3];
    mq_error error = {0};
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mq_dataset_image(set, i, NULL, &image[0][0][0], &error), MQ_OK);
        int best = 0;
        for (int cell = 0; cell < GH * GW; cell++)
            if (image[cell / GW * STRIDE][cell % GW * STRIDE][0] >
                image[best / GW * STRIDE][best % GW * STRIDE][0])
                best = cell;
        const mq_box *t = &set->targets[i].box, found = box_at(best / GW, best % GW),
                     truth = {t->x * W, t->y * H, t->w * W, t->h * H};
        sum += mq_box_iou(&found, &truth);
    }
    return sum / (double)count;
}

static void check(void **state, const char *data, const char *spec, uint64_t seed) {
    static const char *const levels[] = {"", "--engine reference", "--level packed",
                                         "--limit 9 --level packed"};
    const mq_data_request request = {.split = MQ_SPLIT_TEST, .height = H, .width = W, .seed = seed};
    mq_error error = {0};
    mq_dataset *set;
    double constant;
    if (mq_dataset_open(spec, &request, &set, &error) != MQ_OK) fail_msg("%s", error.text);
    for (int i = 0; i < 4; i++) {
        size_t count = i < 3 ? set->count : 9;
        json_t *r =
            cli_json(state, "simulate net --data %s --seed %d --threads 2 %s", data, (int)seed, levels[i]);
        double iou = cli_number(r, "iou"), expected = expected_iou(set, count);
        if (fabs(iou - expected) > 1e-6)
            fail_msg("%s %s: IoU %g, %g expected", data, levels[i], iou, expected);
        assert_true(expected > 0);
        assert_int_equal(mq_constant_box(set->targets, count, NULL, &constant, &error), MQ_OK);
        assert_true(fabs(cli_number(r, "constant_iou") - constant) < 1e-9);
        assert_int_equal(cli_number(r, "images"), count);
        json_decref(r);
    }
    mq_dataset_free(set);
}

static void scenes(void **state) {
    check(state, "shapes:400", "shapes:400", 0);
    check(state, "shapes:300", "shapes:300", 3);
}

static void folder(void **state) {
    char spec[300];
    cli_works(state, "data export shapes:70 files");
    snprintf(spec, sizeof spec, "dac-sdc:%.200s", temp_dir_path(state, "files"));
    check(state, "dac-sdc:files", spec, 0);
}

/* More images than a part of the run: outputs and dumps come together. */
static void parts(void **state) {
    cli_works(state, "simulate net --data shapes:400 --output a.npy --dump a");
    cli_works(state, "simulate net --data shapes:400 --output b.npy --dump b --engine reference --threads 1");
    cli_same_file(state, "a.npy", "b.npy");
    cli_same_file(state, "a/conv0.npy", "b/conv0.npy");
}

static void refused(void **state) {
    cli_put_data(state, "data", 20, 20, 8);
    cli_fails(state, 2, "mnist has classes of images|the network is a detector",
              "simulate net --data mnist:data");
    cli_fails(state, 3, "nowhere: no such folder", "simulate net --data dac-sdc:nowhere");
    cli_fails(state, 2, "--data D and --input F", "simulate net");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scenes, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(folder, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(parts, make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(refused, make, temp_dir_remove),
    };
    return cmocka_run_group_tests_name("cli_detector", tests, NULL, NULL);
}
