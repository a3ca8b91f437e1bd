/* test_cli_self_failing.c - checks that fail when they should, also when all hashes were mended: one bit of
 * the weights, of a packing, of a constant of the sources, of the expected outputs, of the certificate, of
 * the checkpoint; each time the command ends with 1 (or 3, a file refused) and names the place. */
#include "helper_cli.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/process.h"
#include "inet/manifest.h"

static int make(void **state) {
    if (tiny_make(state) != 0) return -1;
    cli_works(state, "export run --out e --data mnist:data --vectors 2");
    return 0;
}

/* manifest.json over what the folder holds now. */
static void mend_manifest(void **state, const char *folder) {
    mq_folder_list files;
    mq_error error = {0};
    const char *names[500];
    size_t count = 0;
    char dir[600];
    snprintf(dir, sizeof dir, "%s", temp_dir_path(state, folder));
    assert_int_equal(mq_folder_files(dir, &files, &error), MQ_OK);
    for (size_t i = 0; i < files.count; i++)
        if (strcmp(files.name[i], MQ_MANIFEST_FILE) != 0) names[count++] = files.name[i];
    assert_int_equal(mq_manifest_write(dir, names, count, &error), MQ_OK);
    mq_folder_list_free(&files);
}

static void digest_of(void **state, const char *name, char out[MQ_DIGEST_TEXT]) {
    size_t size;
    uint8_t *bytes = cli_get(state, name, &size);
    mq_sha256(bytes, size, out);
    free(bytes);
}

/* Every `from` in a file becomes `to`, of the same length. */
static void replace(void **state, const char *name, const char *from, const char *to) {
    size_t size;
    char *text = (char *)cli_get(state, name, &size);
    for (char *at = text; (at = memmem(at, size - (size_t)(at - text), from, strlen(from)));)
        memcpy(at, to, strlen(to));
    cli_put(state, name, text, size);
    free(text);
}

/* After a change of the weights: the hashes of e/ as an honest writer would have made them. */
static void mend_export(void **state, const char *old_weights, const char *old_net) {
    char weights[MQ_DIGEST_TEXT], net[MQ_DIGEST_TEXT];
    digest_of(state, "e/weights.safetensors", weights);
    replace(state, "e/net.json", old_weights, weights);
    digest_of(state, "e/net.json", net);
    static const char *const others[] = {"e/certificate.json", "e/plan.json"};
    for (int i = 0; i < 2; i++) {
        replace(state, others[i], old_weights, weights);
        replace(state, others[i], old_net, net);
    }
    mend_manifest(state, "e");
}

static void flip(void **state, const char *name, size_t at) {
    size_t size;
    uint8_t *bytes = cli_get(state, name, &size);
    assert_true(at < size);
    bytes[at] ^= 1;
    cli_put(state, name, bytes, size);
    free(bytes);
}

/* The place of a tensor's byte in a safetensors file. */
static size_t place_of(void **state, const char *name, const char *tensor, size_t index) {
    uint8_t *data;
    size_t rest, size;
    json_t *header = st_open(state, name, &data, &rest);
    free(cli_get(state, name, &size));
    size_t from = (size_t)json_integer_value(
        json_array_get(json_object_get(json_object_get(header, tensor), "data_offsets"), 0));
    free(data);
    json_decref(header);
    return size - rest + from + index;
}

static void verify_fails(void **state, const char *line, const char *words) {
    char full[400];
    snprintf(full, sizeof full, "verify %s", line);
    cli_result *r = cli_finish(state, cli_start(state, full, 0));
    if (r->code != 1) fail_msg("mixq %s: exit %d, expected 1:\n%s%s", full, r->code, r->out, r->err);
    cli_contains(full, r->err, words);
}

/* One bit of one weight of each layer, all hashes mended: the certificate or the stored codes contradict it.
 */
static void weights(void **state) {
    static const char *const layers[] = {"conv0", "conv1", "linear0"};
    for (int i = 0; i < 3; i++) {
        char tensor[32], weights_before[MQ_DIGEST_TEXT], net_before[MQ_DIGEST_TEXT];
        snprintf(tensor, sizeof tensor, "%s.weight", layers[i]);
        digest_of(state, "e/weights.safetensors", weights_before);
        digest_of(state, "e/net.json", net_before);
        size_t at = place_of(state, "e/weights.safetensors", tensor, 4);
        flip(state, "e/weights.safetensors", at);
        verify_fails(state, "e", "weights.safetensors");
        mend_manifest(state, "e");
        cli_fails(state, 3, "weights.safetensors|sha256", "verify e --quiet");
        mend_export(state, weights_before, net_before);
        /* net.json also says what the accumulators can be: where that changes the network is refused */
        for (int checkpoint = 1; checkpoint >= 0; checkpoint--) {
            const char *line = checkpoint ? "verify e --checkpoint run" : "verify e";
            cli_result *r = cli_finish(state, cli_start(state, line, 0));
            if (r->code == 0 && !checkpoint && i == 2)
                continue; /* two images may not meet the last layer's weight */
            if (r->code != 1 && r->code != 3) fail_msg("%s: exit %d", line, r->code);
            cli_contains(line, r->err, layers[i]);
        }
        char weights_now[MQ_DIGEST_TEXT], net_now[MQ_DIGEST_TEXT];
        digest_of(state, "e/weights.safetensors", weights_now);
        digest_of(state, "e/net.json", net_now);
        flip(state, "e/weights.safetensors", at);
        mend_export(state, weights_now, net_now);
        cli_works(state, "verify e");
    }
}

static void checkpoint(void **state) {
    cli_works(state, "verify e --checkpoint run --upto certificate");
    size_t at = place_of(state, "run/best.safetensors", "conv1.weight", 2);
    flip(state, "run/best.safetensors", at);
    verify_fails(state, "e --checkpoint run", "e: conv1: weight ");
    flip(state, "run/best.safetensors", at);
    cli_works(state, "verify e --checkpoint run");
}

/* Bits of the numbers that say how words are packed: the plan is refused and the layer named, or the packing
 * is another exact one, and then the outputs are the same. */
static void packings(void **state) {
    json_t *r = cli_json(state, "simulate e --input e/vectors/images.npy --level packed");
    char sha[80];
    snprintf(sha, sizeof sha, "%s", cli_text(r, "output_sha256"));
    json_decref(r);
    size_t size;
    int refused = 0, tried = 0;
    char *text = (char *)cli_get(state, "e/plan.json", &size);
    static const char *const keys[] = {
        "\"position\": ", "\"step\": ", "\"group\": ", "\"chain\": ", "\"taps\": "};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        int turn = 0;
        for (char *at = text; (at = strstr(at, keys[k])); at++) {
            char *digit = at + strlen(keys[k]), kept = *digit;
            if (turn++ % 5) continue;
            *digit = (char)(kept ^ 1);
            cli_put(state, "plan.json", text, size);
            *digit = kept;
            cli_result *run = cli_finish(
                state,
                cli_start(state, "simulate e --input e/vectors/images.npy --level packed --plan plan.json",
                          0));
            tried++;
            if (run->code == 0) {
                cli_contains(keys[k], run->out, sha);
                continue;
            }
            refused++;
            if (run->code != 1 && run->code != 3) fail_msg("%s: exit %d", keys[k], run->code);
            if (!strstr(run->err, "plan.json:") && !strstr(run->err, "conv0") && !strstr(run->err, "conv1") &&
                !strstr(run->err, "linear0"))
                fail_msg("no layer named: %s", run->err);
        }
    }
    free(text);
    print_message("%d of %d flipped plans refused\n", refused, tried);
    assert_true(2 * refused > tried);
}

/* A build's certificate and vectors; a digit in a memory of the Verilog. */
static void build(void **state) {
    cli_works(state,
              "build e --device ultra96v2 --target rtl --multipliers dsp --target-fps 20000 --out b --quiet");
    static const char *const files[] = {"b/certificate.json", "b/vectors/linear0.npy"};
    static const char *const words[] = {"certificate: ", "integer: 1 codes differ|linear0: image 1"};
    for (int i = 0; i < 2; i++) {
        size_t size;
        char *bytes = (char *)cli_get(state, files[i], &size), *at = strstr(bytes, "\"thresholds\": ");
        size_t place = i ? size - 4 : (size_t)(at - bytes) + strlen("\"thresholds\": ");
        free(bytes);
        flip(state, files[i], place);
        mend_manifest(state, "b");
        verify_fails(state, "b --upto packed", words[i]);
        flip(state, files[i], place);
        mend_manifest(state, "b");
    }
    cli_works(state, "verify b --upto packed");
}

/* The C++: a bit of a weight word, hashes mended; then its own bench, run by hand over changed outputs. */
static void hls(void **state) {
    setenv("CXXFLAGS", "-O0", 0);
    if (!mq_program_found("g++")) skip();
    cli_works(state,
              "build e --device ultra96v2 --target hls --multipliers dsp --target-fps 20000 --out h --quiet");
    size_t size;
    char *text = (char *)cli_get(state, "h/hls/conv0_data.h", &size), *at = strstr(text, "{0x");
    assert_non_null(at);
    at += 3 + strcspn(at + 3, ",}") - 1; /* the lowest digit of the first word */
    char kept = *at;
    static const char hex[] = "0123456789abcdef";
    *at = hex[(strchr(hex, kept) - hex) ^ 1];
    cli_put(state, "h/hls/conv0_data.h", text, size);
    mend_manifest(state, "h");
    verify_fails(state, "h --upto hls --work w", "hls: |conv0: image 0, channel ");
    free(text);
    char command[700], out[CLI_RUN_TEXT];
    const char *dir = ((temp_dir *)*state)->path;
    snprintf(command, sizeof command, "cd %s/w/hls && ./bench vectors > ../../bench.txt", dir);
    assert_int_not_equal(system(command), 0); /* the outputs are the trained network's, the weights not */
    cli_read(state, "bench.txt", out);
    cli_contains("bench", out, "frame |beat |differs");
}

/* The plain C: a digit of a weight, its own bench. */
static void plain_c(void **state) {
    cli_works(state, "build e --target c --out c --quiet");
    size_t size;
    char *text = (char *)cli_get(state, "c/tiny.c", &size), *at = strstr(text, "conv1_weight");
    assert_non_null(at);
    at += strcspn(at, "{") + 1;
    at += strcspn(at, "123456789");
    *at = (char)(*at ^ 1);
    cli_put(state, "c/tiny.c", text, size);
    free(text);
    char command[700], out[CLI_RUN_TEXT];
    snprintf(command, sizeof command,
             "cd %s/c && cc -std=c11 -O1 tiny.c tiny_bench.c -o bench && ! ./bench > ../bench.txt 2>&1",
             ((temp_dir *)*state)->path);
    assert_int_equal(system(command), 0);
    cli_read(state, "bench.txt", out);
    cli_contains("bench", out, "image 0: |outputs differ");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights),  cmocka_unit_test(checkpoint),
                                       cmocka_unit_test(packings), cmocka_unit_test(build),
                                       cmocka_unit_test(hls),      cmocka_unit_test(plain_c)};
    return cmocka_run_group_tests(tests, make, temp_dir_remove);
}
