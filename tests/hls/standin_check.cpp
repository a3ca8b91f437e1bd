// standin_check.cpp - the stand-in of ap_int and hls::stream against plain wide integers (and __int128 where it is wide
// enough): values, widths of results, truncation, sign extension, shifts, ranges, concatenation.
#include <ap_axi_sdata.h>
#include <ap_int.h>
#include <hls_stream.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

static int failures = 0;
static long checks = 0;
static void check(bool ok, const char *what, int w1, int w2) {
    checks++;
    if (ok) return;
    if (failures++ < 10) std::printf("%s at widths %d and %d\n", what, w1, w2);
}

// Two's complement of 4352 bits, 16 bits at a time.
struct big {
    static const int N = 272;
    unsigned digit[N];
    big() {
        for (int i = 0; i < N; i++) digit[i] = 0;
    }
    bool bit(int i) const { return digit[i / 16] >> (i % 16) & 1; }
    void put(int i, bool b) { digit[i / 16] = (digit[i / 16] & ~(1u << (i % 16))) | unsigned(b) << (i % 16); }
    bool negative() const { return bit(16 * N - 1); }
};
static big plus(const big &a, const big &b, bool subtract = false) {
    big out;
    unsigned carry = subtract;
    for (int i = 0; i < big::N; i++) {
        carry += a.digit[i] + (subtract ? ~b.digit[i] & 0xffffu : b.digit[i]);
        out.digit[i] = carry & 0xffffu;
        carry >>= 16;
    }
    return out;
}
static big times(const big &a, const big &b) {
    big out;
    for (int i = 0; i < big::N; i++) {
        unsigned long carry = 0;
        for (int k = 0; i + k < big::N; k++) {
            carry += out.digit[i + k] + (unsigned long)a.digit[i] * b.digit[k];
            out.digit[i + k] = carry & 0xffffu;
            carry >>= 16;
        }
    }
    return out;
}
static int order(const big &a, const big &b) {
    const big d = plus(a, b, true);
    for (int i = 0; i < big::N; i++)
        if (d.digit[i]) return d.negative() ? -1 : 1;
    return 0;
}
// The lowest `width` bits of a, as a signed or unsigned number.
static big wrapped(const big &a, int width, bool sign) {
    big out;
    for (int i = 0; i < 16 * big::N; i++) out.put(i, i < width ? a.bit(i) : sign && a.bit(width - 1));
    return out;
}
static big moved(const big &a, int left) {
    big out;
    for (int i = 0; i < 16 * big::N; i++)
        out.put(i, i - left < 0 ? false : i - left >= 16 * big::N ? a.negative() : a.bit(i - left));
    return out;
}
template <int W, bool S> big big_of(const ap_int_base<W, S> &x) {
    big out;
    for (int i = 0; i < 16 * big::N; i++) out.put(i, i < W ? x.get_bit(i) : S && x.get_bit(W - 1));
    return out;
}
template <int W, bool S> bool same(const ap_int_base<W, S> &x, const big &value) { return order(big_of(x), value) == 0; }

static unsigned long state = 1;
static unsigned draw() {
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    return unsigned(state >> 33);
}
template <class T> T number() {
    T out = 0;
    const unsigned kind = draw() % 6; // 0, -1, least, most, few bits, any
    for (int i = 0; i < T::width; i++) {
        const bool top = i == T::width - 1;
        bool b = draw() & 1;
        if (kind == 0) b = false;
        if (kind == 1) b = true;
        if (kind == 2) b = top;
        if (kind == 3) b = !top;
        if (kind == 4) b = i < 3 && b;
        out[i] = b;
    }
    return out;
}

template <class A, class B> void pair() {
    const int wa = A::width, wb = B::width;
    for (int turn = 0; turn < (wa + wb > 300 ? 4 : 40); turn++) {
        const A a = number<A>();
        const B b = number<B>();
        const big x = big_of(a), y = big_of(b);
        check(same(a + b, plus(x, y)), "+", wa, wb);
        check(same(a - b, plus(x, y, true)), "-", wa, wb);
        check(same(a * b, times(x, y)), "*", wa, wb);
        check((a < b) == (order(x, y) < 0) && (a >= b) == (order(x, y) >= 0) && (a == b) == (order(x, y) == 0) &&
                  (a != b) == (order(x, y) != 0) && (a > b) == (order(x, y) > 0) && (a <= b) == (order(x, y) <= 0),
              "comparison", wa, wb);
        big all, any, odd;
        for (int i = 0; i < big::N; i++) {
            all.digit[i] = x.digit[i] & y.digit[i];
            any.digit[i] = x.digit[i] | y.digit[i];
            odd.digit[i] = x.digit[i] ^ y.digit[i];
        }
        check(same(a & b, wrapped(all, decltype(a & b)::width, decltype(a & b)::sign)), "&", wa, wb);
        check(same(a | b, wrapped(any, decltype(a | b)::width, decltype(a | b)::sign)), "|", wa, wb);
        check(same(a ^ b, wrapped(odd, decltype(a ^ b)::width, decltype(a ^ b)::sign)), "^", wa, wb);
        if (!b.is_zero()) {
            const big q = big_of(a / b), r = big_of(a % b);
            const big size = r.negative() ? plus(big(), r, true) : r, limit = y.negative() ? plus(big(), y, true) : y;
            check(order(plus(times(q, y), r), x) == 0 && order(size, limit) < 0 && (order(r, big()) == 0 || r.negative() == x.negative()),
                  "/ and %", wa, wb);
        }
        check(same(-a, plus(big(), x, true)), "negation", wa, wb);
        check(same(~a, wrapped(plus(plus(big(), x, true), big_of(ap_uint<1>(1)), true), wa, A::sign)), "~", wa, wb);
        B c = 0;
        c = a;
        check(same(c, wrapped(x, wb, B::sign)), "assignment", wa, wb);
        c = b;
        c += a;
        check(same(c, wrapped(plus(x, y), wb, B::sign)), "+=", wa, wb);
        c *= a;
        check(same(c, wrapped(times(wrapped(plus(x, y), wb, B::sign), x), wb, B::sign)), "*=", wa, wb);
        // shifts keep the left side's type; amounts beyond it too
        const int n = int(draw() % unsigned(wa + 3));
        check(same(a << n, wrapped(moved(x, n), wa, A::sign)), "<<", wa, n);
        check(same(a >> n, wrapped(moved(x, -n), wa, A::sign)), ">>", wa, n);
        check(same(a << -n, wrapped(moved(x, -n), wa, A::sign)) && same(a >> -n, wrapped(moved(x, n), wa, A::sign)), "negative shift", wa, n);
        // ranges
        const int low = int(draw() % unsigned(wa)), high = low + int(draw() % unsigned(wa - low));
        check(same(a.range(high, low), wrapped(moved(x, -low), high - low + 1, false)), "range", high, low);
        A d = a;
        d.range(high, low) = b;
        bool placed = true;
        for (int i = 0; i < wa; i++) placed = placed && d[i] == (i < low || i > high ? x.bit(i) : y.bit(i - low));
        check(placed, "range assigned", high, low);
        const ap_uint<A::width + B::width> joined = (a, b);
        bool whole = true;
        for (int i = 0; i < wa + wb; i++) whole = whole && joined[i] == (i < wb ? b[i] : a[i - wb]);
        check(whole, "concatenation", wa, wb);
        check(ap_uint<A::width + B::width>(a.concat(b)) == joined, "concat", wa, wb);
        // against __int128
        if (wa + wb <= 100) {
            __int128 p = 0, q = 0;
            for (int i = 126; i >= 0; i--) p = p * 2 + x.bit(i), q = q * 2 + y.bit(i);
            if (x.negative()) p -= (__int128)1 << 126, p -= (__int128)1 << 126;
            if (y.negative()) q -= (__int128)1 << 126, q -= (__int128)1 << 126;
            const __int128 product = p * q, sum = p + q;
            bool right = true;
            for (int i = 0; i < 100; i++) {
                const bool wide = i < decltype(a * b)::width;
                right = right && (!wide || (a * b).get_bit(i) == bool(product >> i & 1)) &&
                        (i >= decltype(a + b)::width || (a + b).get_bit(i) == bool(sum >> i & 1));
            }
            check(right, "__int128", wa, wb);
        }
    }
}
template <int W1, int W2> void signs() {
    pair<ap_int<W1>, ap_int<W2>>();
    pair<ap_int<W1>, ap_uint<W2>>();
    pair<ap_uint<W1>, ap_int<W2>>();
    pair<ap_uint<W1>, ap_uint<W2>>();
}

static void native() {
    ap_int<8> a = 127;
    a++;
    check(a == -128 && int(a) == -128 && a.to_int() == -128, "overflow wraps", 8, 8);
    ap_uint<4> b = -1;
    check(b == 15 && (b + 1) == 16 && (b << 1) == 14 && (b >> 1) == 7, "ap_uint<4>", 4, 32);
    check((ap_int<8>(-5) >> 1) == -3 && (ap_int<8>(-5) / 2) == -2 && (ap_int<8>(-5) % 2) == -1, "rounding", 8, 32);
    check(ap_uint<40>(1u) - 2 == -1 && (ap_uint<3>(1) - ap_uint<3>(2)) == -1, "differences are signed", 3, 3);
    check(decltype(ap_int<27>() * ap_int<18>())::width == 45 && decltype(ap_uint<4>() + ap_int<4>())::width == 6 &&
              decltype(ap_uint<4>() + ap_uint<4>())::width == 5 && !decltype(ap_uint<4>() + ap_uint<4>())::sign,
          "widths", 27, 18);
    check(ap_uint<130>("0x2ffffffffffffffffffffffffffffffff").to_string(16) == "0x2ffffffffffffffffffffffffffffffff", "text", 130, 0);
    check(ap_int<70>("-1180591620717411303", 10) == ap_int<70>(-1180591620717411303L), "decimal text", 70, 64);
    check(ap_int<16>(-2.9) == -2 && ap_uint<100>(1099511627776.0) == ap_uint<100>(1) << 40, "from double", 16, 100);
    ap_uint<6> c = 0x2b;
    c.reverse();
    check(c == 0x35 && c.xor_reduce() == 0 && c.or_reduce() && !c.and_reduce() && c.countLeadingZeros() == 0, "reductions", 6, 0);
    ap_uint<12> d = 0;
    d.range(7, 4) = c.range(3, 0);
    d[11] = d[4];
    check(d == (5 << 4 | 1 << 11), "range to range", 12, 6);
    c = (ap_uint<2>(2), ap_uint<4>(9));
    check(c == 0x29, "joined", 6, 0);
    hls::stream<ap_uint<9>> s("s");
    for (int i = 0; i < 20000; i++) s << ap_uint<9>(i);
    bool order = s.size() == 20000;
    for (int i = 0; i < 20000; i++) order = order && s.read() == (i & 511);
    check(order && s.empty(), "stream", 9, 0);
    ap_axiu<32, 0, 0, 0> beat;
    beat.data = -1;
    beat.last = 1;
    check(beat.data == 0xffffffffu && beat.last, "beat", 32, 0);
}

int main() {
    signs<27, 18>();
    signs<65, 33>();
    signs<640, 257>();
#ifndef MIXQ_FEW_WIDTHS
    signs<1, 1>();
    signs<2, 7>();
    signs<8, 8>();
    signs<32, 31>();
    signs<48, 45>();
    signs<63, 2>();
    signs<64, 64>();
    signs<128, 64>();
    signs<193, 100>();
    signs<1024, 1000>();
    signs<2048, 2047>();
#endif
    native();
    std::printf("%ld checks, %d wrong\n", checks, failures);
    return failures ? 1 : 0;
}
