/* parallelism.c - reading and writing config_simd_pe.txt, and a parallelism where there is none. */
#include "gen/parallelism.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "gen/folding.h"

enum { MAX_FILE = 1 << 20, MAX_COLUMNS = 4, MAX_FIELD = 16, MAX_VALUE = 1 << 16 };

static const char separators[] = " \t\r";

static int convolutions(const mq_inet *net) {
    int n = 0;
    for (int i = 0; i < net->node_count; i++) n += net->nodes[i].kind == MQ_INET_CONV;
    return n;
}

/* Copies the line at *text into line[size] without its newline and moves on; fails where it is too long. */
static mq_status next_line(const char *name, int number, const char **text, char *line, size_t size,
                           mq_error *error) {
    size_t n = strcspn(*text, "\n");
    if (n >= size)
        return mq_fail(error, MQ_BAD_INPUT, "%s:%d: got %zu characters, expected at most %zu", name, number,
                       n, size - 1);
    memcpy(line, *text, n);
    line[n] = 0;
    *text += n + ((*text)[n] == '\n');
    return MQ_OK;
}

/* Cuts line into words; returns their number, MAX_COLUMNS + 1 when there are more. */
static int cut(char *line, char *word[MAX_COLUMNS + 1]) {
    int n = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, separators, &rest); w && n <= MAX_COLUMNS;
         w = strtok_r(NULL, separators, &rest))
        word[n++] = w;
    return n;
}

static mq_status read_header(const char *name, int number, char *line, bool *has_actp, mq_error *error) {
    char *word[MAX_COLUMNS + 1];
    int n = cut(line, word);
    bool two = n >= 2 && strcmp(word[0], "simd") == 0 && strcmp(word[1], "pe") == 0;
    if (two && n == 2) {
        *has_actp = false;
        return MQ_OK;
    }
    if (two && n == 4 && strcmp(word[2], "actp") == 0 && strcmp(word[3], "pep") == 0) {
        *has_actp = true;
        return MQ_OK;
    }
    return mq_fail(error, MQ_BAD_INPUT, "%s:%d: header: expected 'simd pe' or 'simd pe actp pep'", name,
                   number);
}

static mq_status read_row(const char *name, int number, char *line, bool has_actp, mq_parallelism_row *row,
                          mq_error *error) {
    static const char *const columns[] = {"simd", "pe", "actp", "pep"};
    char *word[MAX_COLUMNS + 1];
    int n = cut(line, word), expected = has_actp ? 4 : 2, value[MAX_COLUMNS];
    if (n != expected)
        return mq_fail(error, MQ_BAD_INPUT, "%s:%d: got %s%d numbers, expected %d as in the header", name,
                       number, n > MAX_COLUMNS ? "more than " : "", n > MAX_COLUMNS ? MAX_COLUMNS : n,
                       expected);
    for (int i = 0; i < n; i++) {
        int64_t v;
        if (!mq_parse_int(word[i], &v) || v < 1 || v > MAX_VALUE)
            return mq_fail(error, MQ_BAD_INPUT, "%s:%d: %s: got '%.*s', expected an integer of 1 to %d", name,
                           number, columns[i], MAX_FIELD, word[i], MAX_VALUE);
        value[i] = (int)v;
    }
    *row = (mq_parallelism_row){.simd = value[0], .pe = value[1], .actp = value[1], .pep = 1};
    if (has_actp) {
        row->actp = value[2];
        row->pep = value[3];
    }
    return MQ_OK;
}

static mq_status check_row(const char *name, int number, const mq_inet *net, const mq_inet_node *node,
                           bool has_actp, const mq_parallelism_row *row, mq_error *error) {
    const mq_inet_conv *v = &node->conv;
    int ich = net->nodes[node->input[0]].edge.c / v->groups, och = v->out_channels;
    if (v->kernel_h * ich % row->simd)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s:%d: %s: simd: got %d, expected a divisor of %d (kernel %d x %d channels)", name,
                       number, node->name, row->simd, v->kernel_h * ich, v->kernel_h, ich);
    if (och % row->pe)
        return mq_fail(error, MQ_BAD_INPUT, "%s:%d: %s: pe: got %d, expected a divisor of %d output channels",
                       name, number, node->name, row->pe, och);
    if (!has_actp) return MQ_OK;
    if (och % row->actp)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s:%d: %s: actp: got %d, expected a divisor of %d output channels", name, number,
                       node->name, row->actp, och);
    if (v->kernel_h > 1 && row->pep != 1)
        return mq_fail(error, MQ_BAD_INPUT, "%s:%d: %s: pep: got %d, expected 1 where the kernel is not 1x1",
                       name, number, node->name, row->pep);
    if (och / row->pe % row->pep)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s:%d: %s: pep: got %d, expected a divisor of %d (%d output channels / pe)", name,
                       number, node->name, row->pep, och / row->pe, och);
    return MQ_OK;
}

static bool blank(const char *line) {
    return line[strspn(line, separators)] == 0;
}

mq_status mq_parallelism_parse(const char *name, const char *text, const mq_inet *net, mq_parallelism *out,
                               mq_error *error) {
    char line[256];
    int number = 0, node = 0, expected = convolutions(net);
    bool header = false;
    *out = (mq_parallelism){.count = 0};
    while (*text) {
        MQ_TRY(next_line(name, ++number, &text, line, sizeof line, error));
        if (blank(line)) continue;
        if (!header) {
            MQ_TRY(read_header(name, number, line, &out->has_actp, error));
            header = true;
            continue;
        }
        if (out->count == expected)
            return mq_fail(error, MQ_BAD_INPUT, "%s:%d: one row too many, expected %d, one per convolution",
                           name, number, expected);
        mq_parallelism_row *row = &out->rows[out->count++];
        MQ_TRY(read_row(name, number, line, out->has_actp, row, error));
        while (net->nodes[node].kind != MQ_INET_CONV) node++;
        MQ_TRY(check_row(name, number, net, &net->nodes[node++], out->has_actp, row, error));
    }
    if (!header) return mq_fail(error, MQ_BAD_INPUT, "%s: empty, expected a header 'simd pe'", name);
    if (out->count != expected)
        return mq_fail(error, MQ_BAD_INPUT, "%s:%d: got %d rows, expected %d, one per convolution", name,
                       number, out->count, expected);
    return MQ_OK;
}

/* FINN's file has no lines to name: the layer is enough. */
static mq_status load_folding(const char *path, const char *text, size_t size, const mq_inet *net,
                              mq_parallelism *out, mq_error *error) {
    MQ_TRY(mq_folding_parse(path, text, size, net, out, error));
    for (int i = 0, row = 0; i < net->node_count; i++)
        if (net->nodes[i].kind == MQ_INET_CONV) {
            MQ_TRY(check_row(path, row + 1, net, &net->nodes[i], false, &out->rows[row], error));
            row++;
        }
    return MQ_OK;
}

mq_status mq_parallelism_load(const char *path, const mq_inet *net, mq_parallelism *out, mq_error *error) {
    uint8_t *text = NULL;
    size_t size = 0;
    MQ_TRY(mq_file_read(path, MAX_FILE, &text, &size, error));
    mq_status status;
    if (memchr(text, 0, size))
        status = mq_fail(error, MQ_BAD_INPUT, "%s: not a text file", path);
    else if (text[strspn((const char *)text, " \t\r\n")] == '{')
        status = load_folding(path, (const char *)text, size, net, out, error);
    else
        status = mq_parallelism_parse(path, (const char *)text, net, out, error);
    mq_free(text);
    return status;
}

mq_status mq_parallelism_write(const mq_parallelism *parallelism, const char *path, mq_error *error) {
    const bool four = parallelism->has_actp;
    mq_outfile *file;
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_status status = mq_outfile_printf(file, error, "simd pe%s\n", four ? " actp pep" : "");
    for (int i = 0; i < parallelism->count && status == MQ_OK; i++) {
        const mq_parallelism_row *r = &parallelism->rows[i];
        status = four ? mq_outfile_printf(file, error, "%d %d %d %d\n", r->simd, r->pe, r->actp, r->pep)
                      : mq_outfile_printf(file, error, "%d %d\n", r->simd, r->pe);
    }
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

static int divisor(int n, int most) {
    int d = n < most ? n : most;
    while (n % d) d--;
    return d;
}

void mq_parallelism_default(const mq_inet *net, mq_parallelism *out) {
    *out = (mq_parallelism){.count = 0};
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *node = &net->nodes[i];
        if (node->kind != MQ_INET_CONV) continue;
        int ich = net->nodes[node->input[0]].edge.c / node->conv.groups;
        mq_parallelism_row *row = &out->rows[out->count++];
        *row = (mq_parallelism_row){
            .simd = divisor(ich, 8), .pe = divisor(node->conv.out_channels, 8), .pep = 1};
        row->actp = row->pe;
    }
}
