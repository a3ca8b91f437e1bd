/* test_numeric_edges.c - data and parameters at the edges of arithmetic, from training through the exact
 * export and its certificate to the simulators: docs/reliability.md says what is defined for them. */
#include "helper_cli.h"

#include <math.h>
#include <stdbool.h>

#define EDGE "--model %s.yaml --data mnist:%s --threads 1 --batch 20 --quiet --epochs 1 --lr 0.05 --force "

/* Both quantisers: tiny.yaml and dorefa.yaml. */
static int edges_make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_text(state, "dorefa.yaml", "quantizer: dorefa\n" CLI_TINY);
    cli_put_data(state, "data", 40, 20, 8);
    return 0;
}

/* The same data with every pixel (-1: as it is) and every label (-1: as it is) set. */
static void put_constant(void **state, const char *folder, int pixel, int label) {
    static const char *const prefix[] = {"train", "t10k"};
    char name[128];
    size_t size;
    cli_put_data(state, folder, 40, 20, 8);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%s-images-idx3-ubyte", folder, prefix[i]);
        uint8_t *bytes = cli_get(state, name, &size);
        if (pixel >= 0) memset(bytes + 16, pixel, size - 16);
        cli_put(state, name, bytes, size);
        free(bytes);
        snprintf(name, sizeof name, "%s/%s-labels-idx1-ubyte", folder, prefix[i]);
        bytes = cli_get(state, name, &size);
        if (label >= 0) memset(bytes + 8, label, size - 8);
        cli_put(state, name, bytes, size);
        free(bytes);
    }
}

/* Exported with its certificate, verified down to packed words, evaluated in float32 beside the integers. */
static json_t *prove(void **state, const char *checkpoint, const char *data) {
    json_t *exported =
        cli_json(state, "export %s --out net --data mnist:%s --vectors 2 --force --quiet", checkpoint, data);
    cli_works(state, "verify net --checkpoint %s --threads 1", checkpoint);
    cli_result *r =
        cli_works(state, "test %s --data mnist:%s --compare --threads 1 --quiet", checkpoint, data);
    cli_contains("test --compare", r->out,
                 "the class differs between float32 evaluation and the integer network for 0 images");
    return exported;
}

static void constant_data(void **state) {
    static const struct {
        const char *folder;
        int pixel, label;
        double accuracy; /* every image is the same one to the network */
    } sets[] = {{"black", 0, -1, 0.1},
                {"white", 255, -1, 0.1},
                {"grey", 127, -1, 0.1},
                {"one", -1, 3, -1},
                {"same", 200, 9, -1}};
    static const char *const kinds[] = {"train --bitw 11 --bita 11 ", "train --float ", "search ",
                                        "train --bitw 44 --bita 44 --optimizer adam ",
                                        "train --bitw 44 --bita 44 "};
    char line[512];
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        put_constant(state, sets[i].folder, sets[i].pixel, sets[i].label);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            const char *model = (i + k) % 2 ? "tiny" : "dorefa";
            snprintf(line, sizeof line, "%s" EDGE "--out run", kinds[k], model, sets[i].folder);
            json_t *trained = cli_json(state, "%s", line);
            if (sets[i].accuracy > 0)
                assert_float_equal(cli_number(trained, "accuracy"), sets[i].accuracy, 1e-9);
            json_decref(trained);
        }
        json_decref(prove(state, "run", sets[i].folder));
        cli_works(state, "data info mnist:%s", sets[i].folder);
    }
    /* after a few steps one class is all there is */
    json_t *done = cli_json(state, "train " EDGE "--bitw 44 --bita 44 --epochs 8 --out run", "tiny", "same");
    assert_float_equal(cli_number(done, "accuracy"), 1, 1e-9);
    json_decref(done);
}

static void few_images(void **state) {
    cli_works(state, "train " EDGE "--bitw 44 --bita 44 --batch 1 --out run", "tiny", "data");
    json_decref(prove(state, "run", "data"));
    cli_works(state, "search " EDGE "--batch 1 --out run", "dorefa", "data");
    cli_works(state, "train " EDGE "--bitw 22 --bita 22 --limit 1 --out run", "dorefa", "data");
    json_decref(prove(state, "run", "data"));
    cli_works(state, "train " EDGE "--float --limit 1 --out run", "tiny", "data");
    /* one value has no variance: said before anything is trained */
    cli_put_text(state, "point.yaml",
                 "name: point\nclasses: 10\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
                 "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool: {kernel: 8}\n"
                 "  - conv: {out: 8, kernel: 1, padding: 0}\n  - batch_norm\n"
                 "  - linear: {out: 10, weight_bits: 8, activation_bits: 8}\n");
    cli_fails(state, 2, "layer bn1|more than one value per channel|another --batch",
              "train " EDGE "--bitw 44 --bita 44 --batch 1 --out new", "point", "data");
    assert_false(cli_exists(state, "new"));
}

/* ---- parameters ---- */

static float scale_of(float old, float factor, bool set) {
    return set ? factor : old * factor;
}

/* Elements from..to of a tensor set to a value, or multiplied by it. */
static void change(void **state, const char *from, const char *to, const char *tensor, float value,
                   bool set) {
    uint8_t *data;
    size_t size;
    json_t *header = st_open(state, from, &data, &size);
    json_t *offsets = json_object_get(json_object_get(header, tensor), "data_offsets");
    if (!offsets) fail_msg("%s has no tensor %s", from, tensor);
    size_t first = (size_t)json_integer_value(json_array_get(offsets, 0)),
           end = (size_t)json_integer_value(json_array_get(offsets, 1));
    for (size_t at = first; at < end; at += sizeof value) {
        float old;
        memcpy(&old, data + at, sizeof old);
        old = scale_of(old, value, set);
        memcpy(data + at, &old, sizeof old);
    }
    st_save(state, to, header, data, size);
}

static long long of_layer(const json_t *exported, int layer, const char *key) {
    const json_t *layers = json_object_get(json_object_get(exported, "certificate"), "layers");
    return json_integer_value(json_object_get(json_array_get(layers, (size_t)layer), key));
}

static void parameters(void **state) {
    static const struct {
        const char *tensor;
        float value;
        bool set;
        int constant; /* channels of that layer whose code never changes by hwgq; -1: either */
    } edges[] = {
        {"conv1.weight", 0.37f, true, 8},                                       /* deviation 0: codes are 0 */
        {"conv1.weight", 0, true, 8},       {"conv1.weight", 1e-44f, false, 8}, /* a step below every float:
                                                                                   as 0 */
        {"conv1.weight", 1e36f, false, -1}, {"bn1.gamma", 0, true, 8},          /* dead, or always on */
        {"bn1.gamma", 3e38f, true, -1},     {"bn1.gamma", 1e-45f, true, 8},     {"bn1.beta", -3e38f, true, 8},
        {"bn1.beta", 3e38f, true, 8},       {"bn1.mean", 3e38f, true, 8},       {"bn1.var", 3e38f, true, 8},
        {"bn1.var", 0, true, -1},           {"bn1.var", 1e-45f, true, -1},
    };
    static const char *const models[] = {"tiny", "dorefa"};
    for (int m = 0; m < 2; m++) {
        cli_works(state, "train " EDGE "--bitw 44 --bita 44 --out run", models[m], "data");
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
            change(state, "run/best.safetensors", "edge.safetensors", edges[i].tensor, edges[i].value,
                   edges[i].set);
            json_t *exported = prove(state, "edge.safetensors", "data");
            long long constant = of_layer(exported, 1, "constant");
            if (m == 0 && edges[i].constant >= 0 && constant != edges[i].constant)
                fail_msg("%s %g: %lld channels are constant, expected %d", edges[i].tensor,
                         (double)edges[i].value, constant, edges[i].constant);
            json_decref(exported);
            /* training from there works, or says that it diverges */
            char line[512];
            snprintf(line, sizeof line,
                     "train " EDGE "--bitw 44 --bita 44 --init edge.safetensors --out again", models[m],
                     "data");
            cli_result *r = cli_finish(state, cli_start(state, line, 0));
            if (r->code == 1)
                cli_contains(line, r->err, "epoch 1, step |finite");
            else if (r->code != 0)
                fail_msg("mixq %s from %s %g: exit %d: %s", line, edges[i].tensor, (double)edges[i].value,
                         r->code, r->err);
        }
    }
    const float refused[] = {-1, -1e-45f, (float)NAN, (float)INFINITY};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        change(state, "run/best.safetensors", "edge.safetensors", "bn1.var", refused[i], true);
        cli_fails(state, 3, "edge.safetensors|bn1.var|element 0", "export edge.safetensors --out refused");
    }
}

/* ---- explosions ---- */

static void explosions(void **state) {
    static const char *const lines[] = {
        "train " EDGE "--bitw 44 --bita 44 --lr 1e30 --out run",
        "train " EDGE "--bitw 44 --bita 44 --optimizer adam --lr 1e30 --epochs 3 --out run",
        "train " EDGE "--float --lr 1e20 --out run",
        "train " EDGE "--float --optimizer adam --lr 1e30 --out run",
        "search " EDGE "--lra 1e30 --out run",
        "search " EDGE "--lr 1e30 --precision f32 --out run",
    };
    char line[512];
    for (size_t i = 0; i < 2 * sizeof lines / sizeof *lines; i++) {
        if (i == 3) continue; /* DoReFa's tanh bounds what Adam's steps make of them */
        snprintf(line, sizeof line, lines[i / 2], i % 2 ? "dorefa" : "tiny", "data");
        cli_result *r = cli_finish(state, cli_start(state, line, 0));
        if (r->code != 1) fail_msg("mixq %s: exit %d: %s%s", line, r->code, r->out, r->err);
        assert_string_equal(r->out, "");
        cli_contains(line, r->err, "at epoch 1, step |finite|--lr");
        assert_false(cli_exists(state, "run/last.safetensors"));
        /* and the folder is not in anybody's way */
        snprintf(line, sizeof line, "train " EDGE "--float --out run", "tiny", "data");
        cli_works(state, "%s", line);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(constant_data, edges_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(few_images, edges_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(parameters, edges_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(explosions, edges_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
