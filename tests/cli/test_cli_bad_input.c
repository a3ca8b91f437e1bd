/* test_cli_bad_input.c - wrong words, files and networks: the documented exit code, and a message that says
 * what is wrong and where. */
#include "helper_cli.h"

#include <math.h>
#include <zlib.h>

static void words(void **state) {
    cli_fails(state, 2, "unknown command 'trian'|'train'", "trian");
    cli_fails(state, 2, "unknown option|--epoks|--epochs", "train " TINY_RUN " --float --epoks 3 --out x");
    cli_fails(state, 2, "--set|momentun|momentum", "train " TINY_RUN " --float --set momentun=0.5 --out x");
    cli_fails(state, 2, "--set|momentum", "train " TINY_RUN " --float --set momentum --out x");
    cli_fails(state, 2, "momentum|'fast'|number", "train " TINY_RUN " --float --set momentum=fast --out x");
    cli_fails(state, 2, "--set", "models --set momentum=1");
    cli_fails(state, 2, "--epochs|'0'|from 1", "train " TINY_RUN " --float --epochs 0 --out x");
    cli_fails(state, 2, "--epochs|'3x'", "train " TINY_RUN " --float --epochs 3x --out x");
    cli_fails(state, 2, "--lr|'-1'", "train " TINY_RUN " --float --lr -1 --out x");
    cli_fails(state, 2, "--lr|'nan'", "train " TINY_RUN " --float --lr nan --out x");
    cli_fails(state, 2, "--batch needs a value", "train --batch");
    cli_fails(state, 2, "--out needs a value|empty", "export run --out=");
    cli_fails(state, 2, "--float takes no value", "train " TINY_RUN " --float=yes --out x");
    cli_fails(state, 2, "--out is missing", "train " TINY_RUN " --float");
    cli_fails(state, 2, "--model is missing", "search --data mnist:data --out x");
    cli_fails(state, 2, "--data is missing", "test run");
    cli_fails(state, 2, "0 arguments|more expected", "test --data mnist:data");
    cli_fails(state, 2, "2 arguments|fewer expected", "test run run --data mnist:data");
    cli_fails(state, 2, "--seed|'-3'", "train " TINY_RUN " --float --seed -3 --out x");
    cli_fails(state, 2, "--threads|'0'", "test run --data mnist:data --threads 0");
    cli_fails(state, 2, "--precision|'f16'|bf16", "train " TINY_RUN " --float --precision f16 --out x");
    cli_fails(state, 2, "--engine|'intager'|integer", "test run --data mnist:data --engine intager");
    cli_fails(state, 2, "one of --bitw S", "train " TINY_RUN " --out x");
    cli_fails(state, 2, "one of --bitw S", "train " TINY_RUN " --float --bitw 44 --bita 44 --out x");
    cli_fails(state, 2, "--resume and --force", "train " TINY_RUN " --float --resume --force --out x");
    cli_fails(state, 2, "--fix|conw0|conv0", "search " TINY_RUN " --fix conv1=w8a8,conw0=w8a8 --out x");
    cli_fails(state, 2, "--fix|linear0|pins", "search " TINY_RUN " --fix linear0=w4a4 --out x");
    cli_fails(state, 2, "--fix|conv0=w9a8|2 to 8", "search " TINY_RUN " --fix conv0=w9a8 --out x");
    cli_fails(state, 2, "unknown model 'vgg_tinny'|vgg_tiny",
              "train --model vgg_tinny --data mnist:data "
              "--float --out x");
    cli_fails(state, 2, "data set|\"mnits\"|mnist", "data info mnits:data");
    cli_fails(state, 2, "got 'inform'|info", "data inform mnist:data");
    cli_fails(state, 2, "--mode|'trian'|train", "bench --model tiny.yaml --mode trian");
    cli_fails(state, 2, "detector", "train --model ultranet --data mnist:data --float --out x");
    assert_false(cli_exists(state, "x"));
    assert_int_equal(cli_finish(state, cli_start(state, "", 0))->code, 2);
    cli_contains("--help", cli_works(state, "--help")->out, "train|simulate|Exit codes");
    cli_contains("train --help", cli_works(state, "train --help")->out, "--bitw|--seed|momentum|Examples");
    cli_contains("--version", cli_works(state, "--version")->out, "mixq ");
}

static void bits(void **state) {
    cli_fails(state, 2, "weight bits '4'|1 digits, 2 expected",
              "train " TINY_RUN " --bitw 4 --bita 44 --out x");
    cli_fails(state, 2, "activation bits '444'|3 digits", "train " TINY_RUN " --bitw 44 --bita 444 --out x");
    cli_fails(state, 2, "'9' at position 2|1 to 8", "train " TINY_RUN " --bitw 49 --bita 44 --out x");
    cli_fails(state, 2, "'0' at position 1", "train " TINY_RUN " --bitw 44 --bita 04 --out x");
    cli_fails(state, 2, "'x' at position 1", "train " TINY_RUN " --bitw x4 --bita 44 --out x");
    cli_fails(state, 2, "one digit between commas", "train " TINY_RUN " --bitw 4,44 --bita 44 --out x");
    cli_put_text(state, "bits.json", "{\"bitw\": \"444\", \"bita\": \"444\"}");
    cli_fails(state, 3, "bits.json|3 digits", "train " TINY_RUN " --bits bits.json --out x");
    cli_put_text(state, "bits.json", "{\"bitw\": \"44\"}");
    cli_fails(state, 3, "bits.json|bita", "train " TINY_RUN " --bits bits.json --out x");
    cli_put_text(state, "bits.json", "{\"bitw\": \"44\", \"bita\": 44}");
    cli_fails(state, 3, "bits.json|bita", "train " TINY_RUN " --bits bits.json --out x");
    cli_put_text(state, "bits.json", "{\"model\": \"other\", \"bitw\": \"44\", \"bita\": \"44\"}");
    cli_fails(state, 3, "bits.json|other", "train " TINY_RUN " --bits bits.json --out x");
    cli_fails(state, 2, "pad|whole", "train " TINY_RUN " --bitw 44 --bita 44 --set pad=0.5 --out x");
    cli_put_text(state, "net.pt", "PK");
    cli_fails(state, 3, "net.pt|mixq import", "test net.pt --data mnist:data");
    cli_put_text(state, "bits.json", "{\"bitw\": ");
    cli_fails(state, 3, "bits.json:1", "train " TINY_RUN " --bits bits.json --out x");
    cli_fails(state, 3, "data/bits.json|No such file", "train " TINY_RUN " --bits data --out x");
    assert_false(cli_exists(state, "x"));
    for (int b = 1; b <= 8; b++) /* every width works */
        cli_works(state,
                  "train " TINY_RUN " --bitw %d%d --bita %d%d --epochs 1 --limit 20 --force --out bits%d", b,
                  9 - b, 9 - b, b, b);
}

static void networks(void **state) {
    static const struct {
        const char *layers, *words;
    } cases[] = {
        {"layers:\n  - conv: {out: 8, kernel: 9, padding: 0}\n  - linear: {out: 10}\n",
         "n.yaml:5|kernel 9|8 x 8"},
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - linear: {out: 9}\n", "1 x 1 x 9|1 x 1 x 10"},
        {"layers:\n  - conv: {out: 10, kernel: 3}\n", "conv0|8 x 8 x 10|1 x 1 x 10"},
        {"layers:\n  - conv: {out: 8, kernal: 3}\n  - linear: {out: 10}\n", "n.yaml:5|kernal|kernel"},
        {"layers:\n  - cnov: {out: 8, kernel: 3}\n  - linear: {out: 10}\n", "n.yaml:5|cnov|conv"},
        {"layer:\n  - conv: {out: 8, kernel: 3}\n", "n.yaml:4|layer|layers"},
        {"layers:\n  - conv: {out: 8, kernel: 3, groups: 2}\n  - linear: {out: 10}\n", "n.yaml:5|groups 2"},
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - max_pool: {kernel: 9}\n  - linear: {out: 10}\n",
         "n.yaml:6|max_pool kernel 9"},
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - max_pool\n  - concat: {from: [conv0, pool0]}\n"
         "  - linear: {out: 10}\n",
         "n.yaml:7|8 x 8|4 x 4|same size"},
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - linear: {out: 10, from: conv3}\n",
         "n.yaml:6|conv3|conv0"},
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - linear: {out: 10, weight_bits: 9, activation_bits: "
         "8}\n",
         "n.yaml:6|weight_bits|9|8"},
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - linear: {out: 10, weight_bits: 0, activation_bits: "
         "8}\n",
         "n.yaml:6|weight_bits"},
        {"layers:\n  - conv: {out: eight, kernel: 3}\n  - linear: {out: 10}\n", "n.yaml:5|out|eight"},
        {"layers:\n  - conv: {kernel: 3}\n  - linear: {out: 10}\n", "n.yaml:5|out"},
        /* the nodes in front of layers are not the file's to read */
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - max_pool: {from: conv0.act}\n  - linear: {out: 10}\n",
         "n.yaml:6|conv0.act"},
        {"layers:\n  - conv: {out: 8, kernel: 3}\n  - linear: {out: 10, from: conv0.act}\n",
         "n.yaml:6|conv0.act"},
        {"layers:\n  - conv: {out: 8, kernel: 3, name: .hidden}\n  - linear: {out: 10}\n",
         "n.yaml:5|.hidden"},
        {"quantizer: dorefo\nlayers:\n  - linear: {out: 10}\n", "n.yaml:4|dorefo|dorefa|hwgq"},
        {"quantiser: dorefa\nlayers:\n  - linear: {out: 10}\n", "n.yaml:4|quantiser|quantizer"},
        {"layers: []\n", "n.yaml:4|layers"},
        {"layers: [\n", "n.yaml"},
        {"layers: *x\n", "n.yaml"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "name: n\nclasses: 10\ninput: {channels: 1, height: 8, width: 8}\n%s",
                 cases[i].layers);
        cli_put_text(state, "n.yaml", text);
        cli_fails(state, 3, cases[i].words, "models n.yaml");
    }
    cli_fails(state, 3, "n.yaml:4", "train --model n.yaml --data mnist:data --float --out x");
    /* sides within their limits, 2^31 values together */
    cli_put_text(state, "huge.yaml",
                 "name: huge\nclasses: 10\ninput: {channels: 8, height: 16384, width: 16384}\nlayers:\n"
                 "  - linear: {out: 10}\n");
    cli_fails(state, 3, "huge.yaml:3|too large|16384 x 16384 x 8", "models huge.yaml");
    cli_fails(state, 3, "none.yaml|No such file",
              "train --model none.yaml --data mnist:data --float --out x");
    cli_fails(state, 3, "data|not a regular file", "models ./data");
    /* data and network that do not fit each other */
    cli_put_text(state, "small.yaml",
                 "name: small\nclasses: 10\ninput: {channels: 1, height: 4, width: 8}\nlayers:\n"
                 "  - linear: {out: 10}\n");
    cli_fails(state, 2, "mnist|4 x 8|8 x 8", "train --model small.yaml --data mnist:data --float --out x");
    cli_put_text(state, "few.yaml",
                 "name: few\nclasses: 3\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
                 "  - linear: {out: 3}\n");
    cli_fails(state, 2, "10 classes|3 outputs", "train --model few.yaml --data mnist:data --float --out x");
    assert_false(cli_exists(state, "x"));
}

/* data with one file changed: bytes [at, at+4) big endian, or cut to `size`. */
static void damage(void **state, const char *name, size_t at, uint32_t value, size_t cut) {
    size_t size;
    uint8_t *bytes = cli_get(state, name, &size);
    if (cut) size = cut;
    if (at != SIZE_MAX) cli_big_endian(bytes + at, value);
    cli_put(state, name, bytes, size);
    free(bytes);
}

static void idx_files(void **state) {
    const char *images = "data/t10k-images-idx3-ubyte", *labels = "data/t10k-labels-idx1-ubyte";
    const char *commands[] = {"data info mnist:data", "test run --data mnist:data",
                              "simulate run --data mnist:data",
                              "train " TINY_RUN " --bitw 44 --bita 44 --out x"};
    enum { COMMANDS = sizeof commands / sizeof *commands };
    cli_copy(state, images, "images");
    cli_copy(state, labels, "labels");
    static const struct {
        int which;
        size_t at;
        uint32_t value;
        size_t cut;
        const char *words;
    } cases[] = {
        {0, 0, 0x802, 0, "t10k-images|magic 0x00000802|0x00000803"},
        {1, 0, 0x803, 0, "t10k-labels|magic 0x00000803|0x00000801"},
        {0, SIZE_MAX, 0, 1000, "t10k-images"},
        {0, SIZE_MAX, 0, 7, "t10k-images"},
        {1, SIZE_MAX, 0, 30, "t10k-labels"},
        {1, 8 + 12, 0x030a0506, 0, "t10k-labels|label of sample 13|10|0..9"},
        {0, 4, 51, 0, "t10k-images"},
        {0, 4, 0, 0, "t10k-images|count|0"},
        {0, 8, 0x7fffffff, 0, "t10k-images|height"},
        {1, 4, 49, 0, "t10k-labels"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        damage(state, cases[i].which ? labels : images, cases[i].at, cases[i].value, cases[i].cut);
        cli_fails(state, 3, cases[i].words, "%s", commands[i % COMMANDS]);
        cli_copy(state, "images", images);
        cli_copy(state, "labels", labels);
    }
    cli_works(state, "data info mnist:data");
    assert_int_equal(remove(temp_dir_path(state, labels)), 0);
    for (int i = 0; i < COMMANDS; i++) cli_fails(state, 3, "t10k-labels|missing", "%s", commands[i]);
    cli_fails(state, 3, "nowhere", "data info mnist:nowhere");
    cli_fails(state, 3, "nowhere", "data info cifar10:nowhere");
    cli_fails(state, 2, "mnist:DIR", "data info mnist");
    assert_false(cli_exists(state, "x"));

    /* compressed: cut and broken */
    size_t size;
    uint8_t *bytes = cli_get(state, "labels", &size);
    gzFile file = gzopen(temp_dir_path(state, "data/t10k-labels-idx1-ubyte.gz"), "wb");
    assert_int_equal(gzwrite(file, bytes, (unsigned)size), size);
    gzclose(file);
    free(bytes);
    cli_works(state, "data info mnist:data");
    bytes = cli_get(state, "data/t10k-labels-idx1-ubyte.gz", &size);
    cli_put(state, "data/t10k-labels-idx1-ubyte.gz", bytes, size - 6);
    cli_fails(state, 3, "t10k-labels-idx1-ubyte.gz", "data info mnist:data");
    bytes[size - 6] ^= 1;
    cli_put(state, "data/t10k-labels-idx1-ubyte.gz", bytes, size);
    cli_fails(state, 3, "t10k-labels-idx1-ubyte.gz", "data info mnist:data");
    free(bytes);
}

static void cifar_files(void **state) {
    enum { RECORD = 3073, RECORDS = 10 };
    uint8_t *bytes = malloc(RECORD * RECORDS);
    assert_int_equal(mkdir(temp_dir_path(state, "cifar"), 0777), 0);
    for (int i = 0; i < RECORD * RECORDS; i++) bytes[i] = (uint8_t)(i % RECORD ? i % 251 : i / RECORD);
    for (int i = 1; i <= 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "cifar/data_batch_%d.bin", i);
        cli_put(state, name, bytes, RECORD * RECORDS);
    }
    cli_fails(state, 3, "cifar/test_batch.bin|No such file", "data info cifar10:cifar");
    cli_put(state, "cifar/test_batch.bin", bytes, RECORD * RECORDS);
    json_t *info = cli_json(state, "data info cifar10:cifar");
    assert_int_equal(cli_number(json_object_get(info, "train"), "images"), 50);
    json_decref(info);
    cli_put(state, "cifar/test_batch.bin", bytes, RECORD * RECORDS - 1);
    cli_fails(state, 3, "cifar/test_batch.bin|30729 bytes", "data info cifar10:cifar");
    bytes[RECORD * 7] = 10;
    cli_put(state, "cifar/test_batch.bin", bytes, RECORD * RECORDS);
    cli_fails(state, 3, "cifar/test_batch.bin|record 7|got 10", "test run --data cifar10:cifar");
    bytes[RECORD * 7] = 7;
    cli_put(state, "cifar/test_batch.bin", bytes, RECORD * RECORDS);
    cli_fails(state, 2, "cifar10|8 x 8|32 x 32", "test run --data cifar10:cifar");
    free(bytes);
}

#define BAD "bad.safetensors"

static void bad_checkpoint(void **state, const char *expected) {
    cli_fails(state, 3, expected, "test " BAD " --data mnist:data");
    cli_fails(state, 3, expected, "export " BAD " --out x");
    cli_fails(state, 3, expected, "simulate " BAD " --data mnist:data");
    cli_fails(state, 3, expected, "train " TINY_RUN " --float --init " BAD " --out x");
    assert_false(cli_exists(state, "x"));
}

/* Changes data_offsets of a tensor. */
static void shift(void **state, const char *tensor, int which, json_int_t by) {
    uint8_t *data;
    size_t size;
    json_t *header = st_open(state, BAD, &data, &size);
    json_t *offsets = json_object_get(json_object_get(header, tensor), "data_offsets");
    assert_non_null(offsets);
    for (int i = 0; i < 2; i++)
        if (which & 1 << i)
            json_array_set_new(offsets, (size_t)i,
                               json_integer(json_integer_value(json_array_get(offsets, (size_t)i)) + by));
    st_save(state, BAD, header, data, size);
}

static void set_meta(void **state, const char *key, const char *value) {
    uint8_t *data;
    size_t size;
    json_t *header = st_open(state, BAD, &data, &size);
    json_t *meta = json_object_get(header, "__metadata__");
    assert_non_null(json_object_get(meta, key));
    if (value)
        json_object_set_new(meta, key, json_string(value));
    else
        json_object_del(meta, key);
    st_save(state, BAD, header, data, size);
}

static void fresh(void **state) {
    cli_copy(state, "run/best.safetensors", BAD);
}

static void checkpoints(void **state) {
    size_t size;
    fresh(state);
    uint8_t *bytes = cli_get(state, BAD, &size);
    cli_put(state, BAD, bytes, size - 4);
    bad_checkpoint(state, BAD);
    cli_put(state, BAD, bytes, 300);
    bad_checkpoint(state, BAD);
    cli_put(state, BAD, bytes, 5);
    bad_checkpoint(state, BAD);
    cli_put(state, BAD, "", 0);
    bad_checkpoint(state, BAD);
    memset(bytes, 0xff, 8);
    cli_put(state, BAD, bytes, size);
    bad_checkpoint(state, BAD "|header");
    free(bytes);

    fresh(state);
    shift(state, "conv1.weight", 3, -4);
    bad_checkpoint(state, BAD "|overlap");
    fresh(state);
    shift(state, "conv1.weight", 3, 1 << 20);
    bad_checkpoint(state, BAD "|conv1.weight");
    fresh(state);
    shift(state, "conv1.weight", 2, 4);
    bad_checkpoint(state, BAD "|conv1.weight");
    fresh(state);
    st_poke(state, BAD, "conv1.weight", 17, NAN);
    bad_checkpoint(state, BAD "|conv1.weight|element 17|NaN");
    fresh(state);
    st_poke(state, BAD, "bn0.beta", 2, INFINITY);
    bad_checkpoint(state, BAD "|bn0.beta|element 2|infinite");
    fresh(state);
    st_poke(state, BAD, "bn1.var", 3, -0.25f);
    bad_checkpoint(state, BAD "|bn1.var|element 3|-0.25");

    static const struct {
        const char *key, *value, *words;
    } meta[] = {
        {"network", NULL, "'network' is missing"},
        {"network", "name: [", BAD},
        {"format", "other", "'format'|'other'"},
        {"mode", "fixd", "'mode'|'fixd'"},
        {"bitw", "448", "3 digits|2 expected"},
        {"bitw", "49", "'9'|1 to 8"},
        {"bita", NULL, "'bita' is missing"},
        {"mode", "search", "alpha"},
        {"epoch", "-1", "'epoch'"},
    };
    for (size_t i = 0; i < sizeof meta / sizeof *meta; i++) {
        fresh(state);
        set_meta(state, meta[i].key, meta[i].value);
        bad_checkpoint(state, meta[i].words);
    }
    cli_fails(state, 3, "none.safetensors|No such file", "test none.safetensors --data mnist:data");
    cli_fails(state, 3, "data|best.safetensors", "test data --data mnist:data");
    cli_fails(state, 3, "data|net.json|best.safetensors", "simulate data --data mnist:data");
}

/* Of another network: tensors that do not fit, or none of the names. */
static void other_network(void **state) {
    cli_put_text(state, "wide.yaml",
                 "name: wide\nclasses: 10\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
                 "  - conv: {out: 12, kernel: 3}\n  - batch_norm\n  - linear: {out: 10}\n");
    const char *options = "--data mnist:data --threads 1 --float --quiet --out x";
    cli_fails(state, 3, "run|conv0.weight|[8, 1, 3, 3]|[12, 1, 3, 3]",
              "train --model wide.yaml --init run %s", options);
    cli_put_text(
        state, "deep.yaml",
        "name: deep\nclasses: 10\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
        "  - conv: {out: 8, kernel: 3}\n  - conv: {out: 8, kernel: 3}\n  - conv: {out: 8, kernel: 3}\n"
        "  - linear: {out: 10}\n");
    cli_fails(state, 3, "run|no tensor conv2.weight|deep", "train --model deep.yaml --init run %s", options);
    /* the description in the file is the truth: its tensors must be those */
    fresh(state);
    set_meta(state, "network",
             "name: other\nclasses: 10\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
             "  - conv: {out: 8, kernel: 5}\n  - batch_norm\n  - max_pool\n  - conv: {out: 8, kernel: 3}\n"
             "  - batch_norm\n  - linear: {out: 10, weight_bits: 8, activation_bits: 8}\n");
    bad_checkpoint(state, BAD "|conv0.weight|[8, 1, 3, 3]|[8, 1, 5, 5]");
    /* resuming asks for the same network: by what its description says today, wherever that file lies */
    const char *again =
        "--data mnist:data --threads 1 --batch 20 --set flip=0 --set pad=0 --bitw 44 --bita 44 "
        "--epochs 2 --lr 0.1 --resume --out run";
    cli_fails(state, 2, "resume|description|network", "train --model wide.yaml %s", again);
    cli_works(state, "train --model tiny.yaml %s", again);
    cli_put_text(state, "tiny.yaml", CLI_TINY "# changed\n");
    cli_fails(state, 2, "resume|run|network", "train --model tiny.yaml %s", again);
}

static void integer_networks(void **state) {
    cli_works(state, "export run --out net");
    size_t size;
    uint8_t *text = cli_get(state, "net/net.json", &size);
    cli_put(state, "net/net.json", text, size / 2);
    cli_fails(state, 3, "net.json", "simulate net --data mnist:data");
    cli_put(state, "net/net.json", text, size);
    uint8_t *weights = cli_get(state, "net/weights.safetensors", &size);
    weights[size - 1] ^= 1;
    cli_put(state, "net/weights.safetensors", weights, size);
    cli_fails(state, 3, "weights.safetensors|sha256", "simulate net --data mnist:data");
    assert_int_equal(remove(temp_dir_path(state, "net/weights.safetensors")), 0);
    cli_fails(state, 3, "weights.safetensors|No such file", "simulate net --data mnist:data");
    cli_put_text(state, "net/net.json", "{}");
    cli_fails(state, 3, "net.json", "simulate net/net.json --data mnist:data");
    cli_fails(state, 3, "none.json|No such file", "simulate none.json --data mnist:data");
    free(text);
    free(weights);
}

static void existing_folder(void **state) {
    cli_copy(state, "run/last.safetensors", "before");
    const char *again = "train " TINY_RUN " --bitw 44 --bita 44 --epochs 2 --lr 0.1 --out run";
    cli_fails(state, 2, "run|not empty|--resume|--force", "%s", again);
    cli_fails(state, 2, "run|not empty", "search " TINY_RUN " --epochs 1 --out run");
    cli_fails(state, 2, "resume|lr|0.2|0.1",
              "train " TINY_RUN " --bitw 44 --bita 44 --epochs 2 --lr 0.2 --out "
              "run --resume");
    cli_same_file(state, "run/last.safetensors", "before");
    cli_works(state, "%s --resume", again); /* nothing left to do */
    cli_same_file(state, "run/last.safetensors", "before");
    cli_works(state, "%s --force", again); /* the same run once more */
    cli_same_file(state, "run/last.safetensors", "before");
    cli_put_text(state, "file", "x");
    cli_fails(state, 2, "file|folder", "train " TINY_RUN " --float --out file");
    cli_fails(state, 3, "cannot make a folder: file", "train " TINY_RUN " --float --out file/deeper");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(bits, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(networks, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(idx_files, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(cifar_files, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(checkpoints, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(other_network, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(integer_networks, tiny_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(existing_folder, tiny_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
