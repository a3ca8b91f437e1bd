/* net.c - names, opening and freeing of networks. */
#include "net/net.h"

#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

static const char *const OP_NAMES[MQ_OPS] = {
#define OP_NAME(id, name, least, most) [MQ_OP_##id] = name,
    MQ_OPERATORS(OP_NAME)
#undef OP_NAME
};

const char *mq_op_name(mq_op op) {
    return OP_NAMES[op];
}

void mq_net_free(mq_net *net) {
    if (!net) return;
    mq_free(net->nodes);
    mq_free(net->source);
    mq_free(net);
}

enum { MAX_BUILTIN = 64, MAX_DESCRIPTION = 1 << 20 };

mq_status mq_net_open(const char *model, mq_net **out, mq_error *error) {
    *out = NULL;
    if (mq_ends_with(model, ".yaml") || mq_ends_with(model, ".yml") || strchr(model, '/')) {
        uint8_t *text;
        size_t size;
        MQ_TRY(mq_file_read(model, MAX_DESCRIPTION, &text, &size, error));
        mq_status status = mq_net_parse(model, (const char *)text, size, out, error);
        mq_free(text);
        return status;
    }
    char stems[MAX_BUILTIN][MQ_MAX_NAME];
    const char *names[MAX_BUILTIN + 1] = {0};
    char list[MQ_ERROR_TEXT / 2] = "";
    int count = 0;
    for (const mq_embedded_file *f = mixq_builtin_models; f->name && count < MAX_BUILTIN; f++) {
        const char *dot = strrchr(f->name, '.');
        snprintf(stems[count], MQ_MAX_NAME, "%.*s", (int)(dot ? dot - f->name : (long)strlen(f->name)),
                 f->name);
        if (strcmp(stems[count], model) == 0) {
            char name[2 * MQ_MAX_NAME];
            snprintf(name, sizeof name, "%s (built in)", f->name);
            return mq_net_parse(name, (const char *)f->bytes, f->size, out, error);
        }
        if (count) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, stems[count], sizeof list - strlen(list) - 1);
        names[count] = stems[count];
        count++;
    }
    const char *near = mq_nearest(model, names);
    return mq_fail(error, MQ_USAGE, "unknown model '%s'%s%s%s: expected one of %s, or a .yaml file", model,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", list);
}
