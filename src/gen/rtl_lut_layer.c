/* rtl_lut_layer.c - one output channel of a layer whose multipliers are LUTs: a sum of products for every
 * coefficient (rtl/mixq_lut_sum.v), v = pixel + kernel_w - 1 - tap, and its accumulator. */
#include "base/bit_length.h"
#include "gen/rtl_lut.h"
#include "gen/rtl_shape.h"

/* Products of coefficient v in one slice. */
static int products(const rtl_shape *x, int v) {
    int n = 0;
    for (int k = 0; k < x->s.kernel_w; k++) {
        int pixel = v - (x->s.kernel_w - 1 - k);
        n += pixel >= 0 && pixel < x->ring_pixels;
    }
    return n;
}

static void coefficient(const rtl_shape *x, mq_rtl_text *t, int v) {
    int n = products(x, v) * x->slices, w = x->acc, width = x->weight_bits + x->bits + rtl_bits(n) + 1;
    if (width > w) width = w;
    mq_rtl_say(t, "\n  // coefficient %d: %d products\n  wire [%d:0] now_%d;\n", v, n, width - 1, v);
    if (n == 0) {
        mq_rtl_say(t, "  assign now_%d = %d'b0;\n", v, width);
    } else {
        mq_rtl_say(t, "  wire [%d:0] pw_%d = {", n * x->weight_bits - 1, v);
        for (int pass = 0; pass < 2; pass++) {
            bool any = false;
            if (pass) mq_rtl_say(t, "};\n  wire [%d:0] pa_%d = {", n * x->bits - 1, v);
            for (int q = 0; q < x->slices; q++)
                for (int k = 0; k < x->s.kernel_w; k++) {
                    int pixel = v - (x->s.kernel_w - 1 - k);
                    if (pixel < 0 || pixel >= x->ring_pixels) continue;
                    int at =
                        pass ? (q * x->s.npx + pixel) * x->bits : (q * x->s.kernel_w + k) * x->weight_bits;
                    mq_rtl_say(t, "%s%s[%d:%d]", any ? ", " : "", pass ? "u" : "w",
                               at + (pass ? x->bits : x->weight_bits) - 1, at);
                    any = true;
                }
        }
        int wait = x->array - mq_rtl_lut_latency(n, x->weight_bits);
        mq_rtl_say(t,
                   "};\n  wire [%d:0] sum_%d;\n  mixq_lut_sum #(.N(%d), .WBITS(%d), .ABITS(%d), .OUT(%d)) "
                   "products_%d "
                   "(.clk(clk), .w(pw_%d), .a(pa_%d), .s(sum_%d));\n"
                   "  mixq_delay #(.WIDTH(%d), .CYCLES(%d)) wait_%d (.clk(clk), .d(sum_%d), .q(now_%d));\n",
                   width - 1, v, n, x->weight_bits, x->bits, width, v, v, v, v, width, wait, v, v, v);
    }
    mq_rtl_say(
        t,
        "  wire [%d:0] next_%d;\n  reg [%d:0] acc_%d = 0;\n  always @(posedge clk) acc_%d <= next_%d;\n"
        "  assign acc[%d:%d] = acc_%d;\n  mixq_ternary #(.W(%d), .GATE(1)) add_%d (.first(first), "
        ".a(acc_%d), .b(",
        w - 1, v, w - 1, v, v, v, (v + 1) * w - 1, v * w, v, w, v, v);
    if (w > width)
        mq_rtl_say(t, "{{%d{now_%d[%d]}}, now_%d}", w - width, v, width - 1, v);
    else
        mq_rtl_say(t, "now_%d", v);
    mq_rtl_say(t, "), .c(%d'b0), .ci0(1'b0), .ci1(1'b0), .s(next_%d));\n", w, v);
}

mq_status rtl_lut_array(rtl_shape *x, mq_rtl_text *t, mq_error *error) {
    int64_t u = (int64_t)x->slices * x->s.npx * x->bits,
            w = (int64_t)x->slices * x->s.kernel_w * x->weight_bits;
    if (!t) {
        x->array = 1;
        for (int v = 0; v < x->coefficients; v++) {
            int latency = mq_rtl_lut_latency(products(x, v) * x->slices, x->weight_bits);
            if (latency > x->array) x->array = latency;
        }
        if (u > 1 << 20 || w > 1 << 20)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %lld bits of codes at once, at most %d", x->node->name,
                           (long long)u, 1 << 20);
        return MQ_OK;
    }
    mq_rtl_say(t,
               "\n/* verilator lint_off UNUSED */\n/* verilator lint_off DECLFILENAME */\nmodule %s_pe (\n   "
               " input clk,\n  "
               "  input first,\n    input [%lld:0] u,\n    input [%lld:0] w,\n    output [%d:0] acc\n);\n",
               x->module, (long long)u - 1, (long long)w - 1, x->coefficients * x->acc - 1);
    for (int v = 0; v < x->coefficients; v++) coefficient(x, t, v);
    mq_rtl_say(t, "endmodule\n/* verilator lint_on DECLFILENAME */\n/* verilator lint_on UNUSED */\n");
    return MQ_OK;
}
