/* report_net.c - an integer network: its layers, packings, resources, certificate and hashes. */
#include "report/report_net.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "pack/packing_file.h"
#include "report/bit_fields.h"

enum { BAR = 90, MOST_DRAWN = 64 };

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}
static long long number(const json_t *object, const char *key) {
    return (long long)json_integer_value(json_object_get(object, key));
}

static void code(mq_page *page, const char *text) {
    mq_page_say(page, "<code>");
    mq_page_text(page, text);
    mq_page_say(page, "</code>");
}

/* ---- layers ---- */

static const char *const multipliers[] = {"DSP", "LUT"}, *const memories[] = {"block RAM", "LUT ROM"};
static const char *const requants[] = {"", "thresholds", "DSP"};

static void plan_cells(const mq_plan_layer *l, bool folded, mq_page *page) {
    if (!l) {
        mq_page_say(page,
                    folded ? "<td></td><td></td><td></td><td></td><td></td><td></td>" : "<td></td><td></td>");
        return;
    }
    mq_page_say(page, "<td>%s", multipliers[l->multiplier]);
    for (int k = 0; k < l->kinds; k++)
        mq_page_say(page, "%s%d &times; %d tap%s", k ? " + " : ": ", l->piece[k].count, l->piece[k].taps,
                    l->piece[k].taps == 1 ? "" : "s");
    mq_page_say(page, "</td><td class=n>");
    if (l->kinds) mq_page_say(page, "%d", mq_packing_products(&l->piece[0].packing));
    mq_page_say(page, "</td>");
    if (folded)
        mq_page_say(page, "<td class=n>%d &times; %d</td><td class=n>%d</td><td>%s</td><td>%s</td>", l->simd,
                    l->pe, l->rows * l->blocks, memories[l->memory], requants[l->requant]);
}

/* The requantisation that reads a layer, or NULL. */
static const mq_inet_node *codes_of(const mq_inet *net, int n) {
    for (int i = n + 1; i < net->node_count; i++)
        if (net->nodes[i].kind == MQ_INET_REQUANT && net->nodes[i].input[0] == n) return &net->nodes[i];
    return NULL;
}

static void layers(const mq_net_data *d, mq_page *page) {
    const mq_inet *net = d->net;
    bool folded = d->plan && d->plan->device[0];
    mq_page_say(page, "<h3>Layers</h3><div class=wide><table><thead><tr><th>node</th><th>kind</th><th>output "
                      "C &times; H &times; W</th><th>weights</th><th>weight "
                      "bits</th><th>accumulator</th><th>code bits</th>");
    if (d->plan) mq_page_say(page, "<th>multiplier, pieces of a kernel row</th><th>products per slice</th>");
    if (folded)
        mq_page_say(page, "<th>channels in &times; out</th><th>rows &times; blocks</th><th>weights "
                          "in</th><th>codes by</th>");
    mq_page_say(page, "</tr></thead><tbody>\n");
    for (int n = 0; n < net->node_count; n++) {
        const mq_inet_node *node = &net->nodes[n];
        const mq_inet_node *codes = codes_of(net, n);
        bool layer = node->kind == MQ_INET_CONV || node->kind == MQ_INET_LINEAR;
        if (node->kind == MQ_INET_REQUANT || node->kind == MQ_INET_OUTPUT) continue;
        mq_page_say(page, "<tr><th scope=row>%s</th><td class=k>%s", node->name,
                    mq_inet_kind_name(node->kind));
        if (node->kind == MQ_INET_CONV)
            mq_page_say(page, " %d &times; %d%s", node->conv.kernel_h, node->conv.kernel_w,
                        node->conv.groups == 1 ? "" : ", groups");
        mq_page_say(page, "</td><td class=n>%d &times; %d &times; %d</td>", node->edge.c, node->edge.h,
                    node->edge.w);
        if (layer) {
            mq_page_say(page, "<td class=n>%zu</td><td class=n>%d</td>", mq_inet_weight_count(net, node),
                        node->kind == MQ_INET_CONV ? node->conv.weight_bits : node->linear.weight_bits);
            mq_page_say(page, "<td class=n>%" PRId64 "..%" PRId64 "</td>", node->edge.low, node->edge.high);
            if (codes)
                mq_page_say(page, "<td class=n>%d</td>", codes->requant.bits);
            else
                mq_page_say(page, "<td></td>");
        } else {
            mq_page_say(page, "<td></td><td></td><td></td><td class=n>%d</td>", node->edge.bits);
        }
        if (d->plan) plan_cells(layer ? mq_inet_plan_layer(d->plan, n) : NULL, folded, page);
        mq_page_say(page, "</tr>\n");
    }
    mq_page_say(page, "</tbody></table></div>\n");
    if (folded) {
        mq_page_say(page, "<p>Planned for ");
        mq_page_text(page, d->plan->device);
        mq_page_say(page, " at %g MHz.</p>\n", d->plan->clock_mhz);
    }
}

/* ---- packings ---- */

static bool same_packing(const mq_packing *a, const mq_packing *b) {
    return a->weights == b->weights && a->activations == b->activations &&
           a->weights_wide == b->weights_wide &&
           memcmp(&a->weight_codes, &b->weight_codes, sizeof a->weight_codes) == 0 &&
           memcmp(&a->activation_codes, &b->activation_codes, sizeof a->activation_codes) == 0 &&
           memcmp(a->weight, b->weight, (size_t)a->weights * sizeof *a->weight) == 0 &&
           memcmp(a->activation, b->activation, (size_t)a->activations * sizeof *a->activation) == 0;
}

static void packings(const mq_net_data *d, mq_page *page) {
    const mq_packing *drawn[MOST_DRAWN];
    int count = 0;
    mq_page_say(page, "<h3>Packings on ");
    mq_page_text(page, d->plan->dsp.name);
    mq_page_say(page, "</h3><p>One multiplication of a slice: the weights' word times the activations' word; "
                      "each field of P "
                      "is the sum of the products that land there.</p>\n");
    for (int l = 0; l < d->plan->count; l++)
        for (int k = 0; k < d->plan->layer[l].kinds; k++) {
            const mq_packing *p = &d->plan->layer[l].piece[k].packing;
            char title[512] = "";
            bool seen = false;
            for (int i = 0; i < count; i++) seen |= same_packing(drawn[i], p);
            if (seen || count == MOST_DRAWN) continue;
            drawn[count++] = p;
            size_t used = 0;
            for (int other = l; other < d->plan->count; other++)
                for (int m = 0; m < d->plan->layer[other].kinds; m++)
                    if (same_packing(&d->plan->layer[other].piece[m].packing, p) && used + 80 < sizeof title)
                        used += (size_t)snprintf(title + used, sizeof title - used, "%s%s", used ? ", " : "",
                                                 d->net->nodes[d->plan->layer[other].node].name);
            snprintf(title + used, sizeof title - used, ": %d products, %d LUT", mq_packing_products(p),
                     p->luts);
            mq_page_say(page, "<figure>");
            mq_bit_fields_svg(p, title, false, page);
            mq_page_say(page, "</figure>\n");
        }
}

/* ---- resources ---- */

static const char *const resources[] = {"dsp", "lut", "ff", "bram18"};
static const char *const resource_heads[] = {"DSP slices", "LUT", "flip-flops", "RAMB18"};
enum { RESOURCES = 4 };

static void resource_row(const json_t *name, const json_t *cycles, const json_t *counts,
                         const long long *most, mq_page *page) {
    mq_page_say(page, "<tr><th scope=row>");
    mq_page_text(page, json_is_string(name) ? json_string_value(name) : "?");
    mq_page_say(page, "</th>");
    if (cycles)
        mq_page_say(page, "<td class=n>%lld</td>", (long long)json_integer_value(cycles));
    else
        mq_page_say(page, "<td></td>");
    for (int r = 0; r < RESOURCES; r++) {
        long long v = number(counts, resources[r]);
        mq_page_say(page, "<td class=n>");
        if (most && most[r] > 0)
            mq_page_say(page,
                        "<svg class=mq aria-hidden=true width=%d height=10><rect class=m0 width=%.1f "
                        "height=10 /></svg>",
                        BAR, (double)BAR * (double)(v < 0 ? 0 : v) / (double)most[r]);
        mq_page_say(page, "<span class=v>%lld</span></td>", v);
    }
    mq_page_say(page, "</tr>\n");
}

static void build(const mq_net_data *d, mq_page *page) {
    const json_t *stages = json_object_get(d->build, "stages"), *stage,
                 *budget = json_object_get(d->build, "budget");
    long long most[RESOURCES] = {0};
    size_t i;
    json_array_foreach(stages, i, stage) for (int r = 0; r < RESOURCES; r++) {
        long long v = number(json_object_get(stage, "estimate"), resources[r]);
        if (v > most[r]) most[r] = v;
    }
    mq_page_say(page, "<h3>Resources</h3><p>Estimated, for ");
    mq_page_text(page, text_of(d->build, "device"));
    mq_page_say(page, " (");
    mq_page_text(page, text_of(d->build, "part"));
    mq_page_say(page,
                ") at %g MHz.</p><div class=wide><table><thead><tr><th>stage</th><th class=n>cycles of a "
                "frame</th>",
                json_number_value(json_object_get(d->build, "clock_mhz")));
    for (int r = 0; r < RESOURCES; r++) mq_page_say(page, "<th class=n>%s</th>", resource_heads[r]);
    mq_page_say(page, "</tr></thead><tbody>\n");
    json_array_foreach(stages, i, stage) {
        resource_row(json_object_get(stage, "node"), json_object_get(stage, "cycles"),
                     json_object_get(stage, "estimate"), most, page);
    }
    json_t *all = json_string("all"), *have = json_string("of the device, to be used");
    resource_row(all, json_object_get(d->build, "cycles"), json_object_get(d->build, "estimate"), NULL, page);
    if (number(budget, "lut") > 0) resource_row(have, NULL, budget, NULL, page);
    json_decref(all);
    json_decref(have);
    mq_page_say(page, "</tbody></table></div>\n");
}

/* ---- certificate ---- */

static void certificate(const mq_report *report, const mq_net_data *d, mq_page *page) {
    const json_t *totals = json_object_get(d->certificate, "totals"), *layer;
    const char *checkpoint = text_of(d->certificate, "checkpoint_sha256");
    size_t i;
    mq_page_say(
        page,
        "<h3>Certificate</h3><p>Every code of every layer is the trained network's, evaluated exactly: %lld "
        "thresholds of %lld channels compared when it was exported (<code>mixq verify</code> repeats it).",
        number(totals, "thresholds"), number(totals, "channels"));
    for (int r = 0; r < report->run_count; r++)
        if (checkpoint[0] && strcmp(report->run[r].best, checkpoint) == 0) {
            mq_page_say(page, " Exported from the best checkpoint of <a href=\"#run%d\">", r);
            mq_page_text(page, report->run[r].name);
            mq_page_say(page, "</a>.");
        }
    mq_page_say(
        page,
        "</p><div class=wide><table><thead><tr><th>layer</th><th>channels</th><th>bits</th><th>reachable "
        "sums</th>"
        "<th>affine</th><th>rising</th><th>falling</th><th>thresholds</th><th>shift</th></tr></"
        "thead><tbody>\n");
    json_array_foreach(json_object_get(d->certificate, "layers"), i, layer) {
        const json_t *acc = json_object_get(layer, "accumulator"), *rules = json_object_get(layer, "rules");
        mq_page_say(page, "<tr><th scope=row>");
        mq_page_text(page, text_of(layer, "layer"));
        mq_page_say(page, "</th><td class=n>%lld</td><td class=n>%lld</td><td class=n>%lld..%lld</td>",
                    number(layer, "channels"), number(layer, "bits"), number(acc, "low"),
                    number(acc, "high"));
        mq_page_say(page,
                    "<td class=n>%lld</td><td class=n>%lld</td><td class=n>%lld</td><td class=n>%lld</td><td "
                    "class=n>%lld</td></tr>\n",
                    number(rules, "affine"), number(rules, "rising"), number(rules, "falling"),
                    number(layer, "thresholds"), number(layer, "shift"));
    }
    mq_page_say(page, "</tbody></table></div>\n");
    if (checkpoint[0]) {
        mq_page_say(page, "<p>Checkpoint ");
        code(page, checkpoint);
        mq_page_say(page, "</p>\n");
    }
}

static void hashes(const mq_net_data *d, mq_page *page) {
    const json_t *file;
    size_t i;
    mq_page_say(page, "<h3>Files</h3><div "
                      "class=wide><table><thead><tr><th>file</th><th>SHA-256</th></tr></thead><tbody>\n");
    json_array_foreach(json_object_get(d->manifest, "files"), i, file) {
        mq_page_say(page, "<tr><th scope=row>");
        mq_page_text(page, text_of(file, "name"));
        mq_page_say(page, "</th><td>");
        code(page, text_of(file, "sha256"));
        mq_page_say(page, "</td></tr>\n");
    }
    mq_page_say(page, "</tbody></table></div>\n");
}

void mq_report_net(const mq_report *report, int index, mq_page *page) {
    const mq_net_data *d = &report->net[index];
    const mq_inet *net = d->net;
    mq_page_say(page, "<section id=\"net%d\"><h2>Network ", index);
    mq_page_text(page, d->name);
    mq_page_say(page, "</h2><p>%s as an integer network: weights ", net->model);
    mq_page_text(page, net->bitw);
    mq_page_say(page, ", activations ");
    mq_page_text(page, net->bita);
    mq_page_say(page, "%s. net.json ",
                net->compat ? ", by the published rules: not certified to be the trained network" : "");
    code(page, net->sha256);
    mq_page_say(page, "</p>\n");
    layers(d, page);
    if (d->plan) packings(d, page);
    if (d->build) build(d, page);
    if (d->certificate) certificate(report, d, page);
    if (d->manifest) hashes(d, page);
    mq_page_say(page, "</section>\n");
}
