/* certificate.c - describing the rules of a network, and comparing descriptions. */
#include "inet/certificate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { VERSION = 1, WHERE = 512, DIGEST = MQ_DIGEST_TEXT - 1 };

/* ---- rules ---- */

int64_t mq_rule_code(const mq_inet_requant *r, int c, int64_t acc) {
    int64_t levels = r->high - r->low, code = r->low;
    if (!r->rule || r->rule[c] == MQ_INET_AFFINE) {
        __int128 v = ((__int128)acc * r->inc[c] + r->bias[c]) >> r->shift;
        return v < r->low ? r->low : v > r->high ? r->high : (int64_t)v;
    }
    const int64_t *t = r->threshold + (size_t)c * (size_t)levels;
    for (int64_t i = 0; i < levels; i++) code += r->rule[c] == MQ_INET_RISING ? acc >= t[i] : acc < t[i];
    return code;
}

bool mq_rule_next_step(const mq_inet_requant *r, int c, int64_t from, int64_t last, int64_t *at) {
    int64_t code = mq_rule_code(r, c, from), below = from, above = last;
    if (mq_rule_code(r, c, last) == code) return false;
    while (above - below > 1) {
        int64_t middle = below + (above - below) / 2;
        if (mq_rule_code(r, c, middle) == code)
            below = middle;
        else
            above = middle;
    }
    *at = above;
    return true;
}

/* ---- describing ---- */

typedef struct totals {
    json_int_t channels, affine, rising, falling, constant, thresholds;
} totals;

/* The staircase of one channel over what it can meet: its first code, then place and code of every step, as
 * int64 little-endian; *digest is its SHA-256. Returns the codes passed. */
static json_int_t channel_steps(const mq_inet_requant *r, int c, int64_t low, int64_t high, int64_t *buffer,
                                char digest[MQ_DIGEST_TEXT]) {
    size_t n = 0;
    json_int_t passed = 0;
    int64_t at = low, code = mq_rule_code(r, c, low);
    buffer[n++] = code;
    while (mq_rule_next_step(r, c, at, high, &at)) {
        int64_t next = mq_rule_code(r, c, at);
        passed += llabs(next - code);
        code = next;
        buffer[n++] = at;
        buffer[n++] = code;
    }
    mq_sha256(buffer, n * sizeof *buffer, digest);
    return passed;
}

static json_t *accumulator(const mq_inet_edge *e) {
    return json_pack("{s:I, s:I, s:i}", "low", (json_int_t)e->low, "high", (json_int_t)e->high, "bits",
                     e->bits);
}

static mq_status describe_layer(const mq_inet *net, const mq_inet_node *node, totals *all, json_t **out,
                                mq_error *error) {
    const mq_inet_requant *r = &node->requant;
    const mq_inet_node *from = &net->nodes[node->input[0]];
    int64_t *buffer;
    char(*digests)[DIGEST], digest[MQ_DIGEST_TEXT];
    size_t n = (size_t)node->edge.c;
    totals own = {.channels = node->edge.c};
    MQ_TRY(mq_alloc((size_t)(r->high - r->low + 1), 2 * sizeof *buffer, "certificate", &buffer, error));
    mq_status status = mq_alloc(n, sizeof *digests, "certificate", &digests, error);
    if (status != MQ_OK) {
        mq_free(buffer);
        return status;
    }
    for (int c = 0; c < node->edge.c; c++) {
        json_int_t passed =
            channel_steps(r, c, from->edge.channel_low[c], from->edge.channel_high[c], buffer, digest);
        memcpy(digests[c], digest, DIGEST);
        mq_inet_rule rule = r->rule ? (mq_inet_rule)r->rule[c] : MQ_INET_AFFINE;
        own.thresholds += passed;
        own.constant += passed == 0;
        own.affine += rule == MQ_INET_AFFINE;
        own.rising += rule == MQ_INET_RISING;
        own.falling += rule == MQ_INET_FALLING;
    }
    mq_sha256(digests, n * sizeof *digests, digest);
    mq_free(digests);
    mq_free(buffer);
    *out =
        json_pack("{s:s, s:s, s:i, s:i, s:o, s:{s:I, s:I, s:I}, s:I, s:I, s:i, s:i, s:i, s:s}", "name",
                  node->name, "layer", from->name, "channels", node->edge.c, "bits", r->bits, "accumulator",
                  accumulator(&from->edge), "rules", "affine", own.affine, "rising", own.rising, "falling",
                  own.falling, "constant", own.constant, "thresholds", own.thresholds, "shift", r->shift,
                  "inc_bits", node->inc_bits, "bias_bits", node->bias_bits, "steps_sha256", digest);
    all->channels += own.channels;
    all->affine += own.affine;
    all->rising += own.rising;
    all->falling += own.falling;
    all->constant += own.constant;
    all->thresholds += own.thresholds;
    return *out ? MQ_OK : mq_fail_memory(error, MQ_CERTIFICATE_FILE, 0);
}

mq_status mq_certificate_describe(const mq_inet *net, json_t **out, mq_error *error) {
    json_t *layers = json_array();
    totals all = {0};
    int count = 0;
    *out = NULL;
    for (int i = 0; i < net->node_count; i++) {
        json_t *layer = NULL;
        if (net->nodes[i].kind != MQ_INET_REQUANT) continue;
        mq_status status = describe_layer(net, &net->nodes[i], &all, &layer, error);
        if (status != MQ_OK) {
            json_decref(layers);
            return status;
        }
        json_array_append_new(layers, layer);
        count++;
    }
    const mq_inet_node *head = &net->nodes[mq_inet_last(net)->input[0]];
    *out = json_pack("{s:s, s:i, s:s, s:s, s:s, s:o, s:{s:s, s:o, s:i}, s:{s:i, s:I, s:I, s:I, s:I}}",
                     "format", MQ_CERTIFICATE_FORMAT, "version", VERSION, "model", net->model, "net_sha256",
                     net->sha256, "weights_sha256", net->weights_sha256, "layers", layers, "head", "name",
                     head->name, "accumulator", accumulator(&head->edge), "bias_bits", head->bias_bits,
                     "totals", "layers", count, "channels", all.channels, "thresholds", all.thresholds,
                     "stored", all.rising + all.falling, "constant", all.constant);
    return *out ? MQ_OK : mq_fail_memory(error, MQ_CERTIFICATE_FILE, 0);
}

/* ---- comparing ---- */

static mq_status differs(const char *where, const json_t *got, const json_t *expected, mq_error *error) {
    char *a = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *b = expected ? json_dumps(expected, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    mq_status status = mq_fail(error, MQ_CHECK_FAILED, "%s: got %.100s, expected %.100s", where,
                               a ? a : "nothing", b ? b : "nothing");
    free(a);
    free(b);
    return status;
}

/* "where: key", or "where: key[i] 'name'" for an element that has one. */
static void describe_place(char out[WHERE], const char *where, const char *key, const json_t *element) {
    const char *name = json_string_value(json_object_get(element, "name"));
    if (name)
        snprintf(out, WHERE, "%.150s%s '%.60s'", where, key, name);
    else
        snprintf(out, WHERE, "%.190s%s", where, key);
}

mq_status mq_json_same(const char *where, const json_t *got, const json_t *expected, bool whole,
                       mq_error *error) {
    char place[WHERE], index[80];
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_object(expected) && json_is_object(got)) {
        json_object_foreach((json_t *)(uintptr_t)expected, key, value) {
            snprintf(index, sizeof index, ": %.70s", key);
            describe_place(place, where, index, NULL);
            MQ_TRY(mq_json_same(place, json_object_get(got, key), value, whole, error));
        }
        if (whole && json_object_size(got) != json_object_size(expected))
            json_object_foreach((json_t *)(uintptr_t)got, key, value) {
                snprintf(index, sizeof index, ": %.70s", key);
                describe_place(place, where, index, NULL);
                if (!json_object_get(expected, key)) return differs(place, value, NULL, error);
            }
        return MQ_OK;
    }
    if (json_is_array(expected) && json_is_array(got) && json_array_size(got) == json_array_size(expected)) {
        json_array_foreach(expected, i, value) {
            snprintf(index, sizeof index, "[%zu]", i);
            describe_place(place, where, index, value);
            MQ_TRY(mq_json_same(place, json_array_get(got, i), value, whole, error));
        }
        return MQ_OK;
    }
    return got && expected && json_equal(got, expected) ? MQ_OK : differs(where, got, expected, error);
}
