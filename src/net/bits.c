/* bits.c - bit strings. */
#include "net/bits.h"

#include <ctype.h>
#include <string.h>

/* Reads a digit string with or without commas into digits[]; *count of them. */
static mq_status read_digits(const char *text, const char *what, int8_t *digits, int *count,
                             mq_error *error) {
    *count = 0;
    bool commas = strchr(text, ',') != NULL;
    for (const char *c = text; *c; c++) {
        if (*count == MQ_MAX_LAYERS)
            return mq_fail(error, MQ_USAGE, "%s '%s': more than %d digits", what, text, MQ_MAX_LAYERS);
        if (*c < '1' || *c > '8')
            return mq_fail(error, MQ_USAGE, "%s '%s': '%c' at position %d: bits from 1 to 8 expected", what,
                           text, *c, (int)(c - text) + 1);
        if (commas && c[1] && (c[1] != ',' || !c[2]))
            return mq_fail(error, MQ_USAGE, "%s '%s': one digit between commas expected at position %d", what,
                           text, (int)(c - text) + 2);
        digits[(*count)++] = (int8_t)(*c - '0');
        if (commas && c[1]) c++;
    }
    return MQ_OK;
}

static mq_status fill(const mq_net *net, const char *text, const char *what, bool weight, int8_t *out,
                      mq_error *error) {
    int8_t digits[MQ_MAX_LAYERS];
    int count, next = 0;
    MQ_TRY(read_digits(text, what, digits, &count, error));
    if (count != net->digit_count)
        return mq_fail(error, MQ_USAGE,
                       "%s '%s': %d digits, %d expected (one for each layer of %s that is not pinned)", what,
                       text, count, net->digit_count, net->name);
    for (int i = 0; i < net->layer_count; i++) {
        const mq_layer *layer = &net->layers[i];
        int pinned = weight ? layer->pinned_weight_bits : layer->pinned_activation_bits;
        out[i] = layer->pinned ? (int8_t)pinned : digits[next++];
    }
    return MQ_OK;
}

mq_status mq_bits_parse(const mq_net *net, const char *weight, const char *activation, mq_bits *out,
                        mq_error *error) {
    *out = (mq_bits){.count = net->layer_count};
    MQ_TRY(fill(net, weight, "weight bits", true, out->weight, error));
    return fill(net, activation, "activation bits", false, out->activation, error);
}

void mq_bits_text(const mq_net *net, const mq_bits *bits, char weight[MQ_BITS_TEXT],
                  char activation[MQ_BITS_TEXT]) {
    int n = 0;
    for (int i = 0; i < net->layer_count; i++) {
        if (net->layers[i].pinned) continue;
        weight[n] = (char)('0' + bits->weight[i]);
        activation[n++] = (char)('0' + bits->activation[i]);
    }
    weight[n] = activation[n] = 0;
}

void mq_bits_uniform(const mq_net *net, int weight, int activation, mq_bits *out) {
    *out = (mq_bits){.count = net->layer_count};
    for (int i = 0; i < net->layer_count; i++) {
        const mq_layer *layer = &net->layers[i];
        out->weight[i] = (int8_t)(layer->pinned ? layer->pinned_weight_bits : weight);
        out->activation[i] = (int8_t)(layer->pinned ? layer->pinned_activation_bits : activation);
    }
}
