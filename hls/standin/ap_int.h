// ap_int.h - integers of any width with the rules of Vitis HLS' type of the same name, for simulation without
// Vitis.
//
// A value is kept in 64-bit limbs, sign- or zero-extended to their end. Results are as wide as they can
// become: a sum one bit more than its operands (one more where signs are mixed), a product the sum of the
// widths; assignment drops high bits. A shift keeps the type of its left side; a negative amount shifts the
// other way. Bit ranges are unsigned.
#ifndef MIXQ_HLS_STANDIN_AP_INT_H
#define MIXQ_HLS_STANDIN_AP_INT_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>

template <int W, bool S> struct ap_int_base;
template <int W> struct ap_int;
template <int W> struct ap_uint;
template <int W, bool S> struct ap_range_ref;
template <int W, bool S> struct ap_bit_ref;
template <class A, class B> struct ap_concat_ref;

namespace ap_standin {

[[noreturn]] inline void fail(const char *what) {
    std::fprintf(stderr, "ap_int: %s\n", what);
    std::abort();
}

constexpr int larger(int a, int b) {
    return a > b ? a : b;
}
constexpr int smaller(int a, int b) {
    return a < b ? a : b;
}

// What any operand is as an ap_int_base.
template <class T, class = void> struct operand { static constexpr bool is_ap = false, valid = false; };
template <class T>
struct operand<T, typename std::enable_if<std::is_integral<T>::value || std::is_enum<T>::value>::type> {
    static constexpr bool is_ap = false, valid = true;
    static constexpr int width = std::is_same<T, bool>::value ? 1 : 8 * static_cast<int>(sizeof(T));
    static constexpr bool sign = std::is_enum<T>::value || std::is_signed<T>::value;
    typedef ap_int_base<width, sign> type;
};
template <int W, bool S> struct ap_operand {
    static constexpr bool is_ap = true, valid = true, sign = S;
    static constexpr int width = W;
    typedef ap_int_base<W, S> type;
};
template <int W, bool S> struct operand<ap_int_base<W, S>> : ap_operand<W, S> {};
template <int W> struct operand<ap_int<W>> : ap_operand<W, true> {};
template <int W> struct operand<ap_uint<W>> : ap_operand<W, false> {};
template <int W, bool S> struct operand<ap_range_ref<W, S>> : ap_operand<W, false> {};
template <int W, bool S> struct operand<ap_bit_ref<W, S>> : ap_operand<1, false> {};
template <class A, class B>
struct operand<ap_concat_ref<A, B>> : ap_operand<operand<A>::width + operand<B>::width, false> {};

template <class A, class B>
using when_any = typename std::enable_if<(operand<A>::is_ap || operand<B>::is_ap) && operand<A>::valid &&
                                         operand<B>::valid>::type;
template <class A> using when_ap = typename std::enable_if<operand<A>::is_ap>::type;

// Types of results.
template <class A, class B> struct result {
    static constexpr int w1 = operand<A>::width, w2 = operand<B>::width;
    static constexpr bool s1 = operand<A>::sign, s2 = operand<B>::sign, any = s1 || s2;
    static constexpr int both = larger(w1 + (s2 && !s1), w2 + (s1 && !s2));
    typedef ap_int_base<both + 1, any> plus;
    typedef ap_int_base<both + 1, true> minus;
    typedef ap_int_base<w1 + w2, any> mult;
    typedef ap_int_base<w1 + s2, any> div;
    typedef ap_int_base<smaller(w1, w2 + (!s2 && s1)), s1> mod;
    typedef ap_int_base<both, any> logic;
    typedef ap_int_base<both, any> common;
};

} // namespace ap_standin

template <int W, bool S> struct ap_int_base {
    static_assert(W >= 1, "ap_int: a width of at least 1 expected");
    static constexpr int width = W, limbs = (W + 63) / 64;
    static constexpr bool sign = S;
    uint64_t limb[limbs];

    ap_int_base() {
        for (int i = 0; i < limbs; i++) limb[i] = 0;
    }
    template <class T, class = typename std::enable_if<ap_standin::operand<T>::valid &&
                                                       !ap_standin::operand<T>::is_ap>::type>
    ap_int_base(T value) {
        const bool negative = ap_standin::operand<T>::sign && static_cast<int64_t>(value) < 0;
        limb[0] = static_cast<uint64_t>(static_cast<int64_t>(value));
        for (int i = 1; i < limbs; i++) limb[i] = negative ? ~uint64_t(0) : 0;
        trim();
    }
    ap_int_base(double value) {
        const bool negative = value < 0;
        double rest = negative ? -value : value;
        ap_int_base<larger_double, false> all;
        if (rest >= 18446744073709551616.0 * 18446744073709551616.0)
            ap_standin::fail("a double beyond 128 bits");
        all.limb[1] = static_cast<uint64_t>(rest / 18446744073709551616.0);
        rest -= static_cast<double>(all.limb[1]) * 18446744073709551616.0;
        all.limb[0] = static_cast<uint64_t>(rest);
        assign(all);
        if (negative) *this = ap_int_base(-*this);
    }
    ap_int_base(float value) : ap_int_base(static_cast<double>(value)) {}
    template <int W2, bool S2> ap_int_base(const ap_int_base<W2, S2> &other) {
        assign(other);
    }
    template <int W2, bool S2> ap_int_base(const ap_range_ref<W2, S2> &other) {
        assign(other.get());
    }
    template <int W2, bool S2> ap_int_base(const ap_bit_ref<W2, S2> &other) : ap_int_base(other.get()) {}
    template <class A, class B> ap_int_base(const ap_concat_ref<A, B> &other) {
        assign(other.get());
    }
    ap_int_base(const char *text, int radix = 0) {
        parse(text, radix);
    }

    ap_int_base(const ap_int_base &) = default;
    ap_int_base &operator=(const ap_int_base &) = default;

    // Limb i of the value as if it were wider.
    uint64_t extended(int i) const {
        return i < limbs ? limb[i] : fill();
    }
    bool negative() const {
        return S && limb[limbs - 1] >> 63;
    }
    uint64_t fill() const {
        return negative() ? ~uint64_t(0) : 0;
    }

    // ---- bits ----
    bool get_bit(int i) const {
        check_bit(i);
        return limb[i / 64] >> (i % 64) & 1;
    }
    bool test(int i) const {
        return get_bit(i);
    }
    void set_bit(int i, bool value) {
        check_bit(i);
        const uint64_t mask = uint64_t(1) << (i % 64);
        limb[i / 64] = value ? limb[i / 64] | mask : limb[i / 64] & ~mask;
        trim();
    }
    void set(int i) {
        set_bit(i, true);
    }
    void clear(int i) {
        set_bit(i, false);
    }
    void invert(int i) {
        set_bit(i, !get_bit(i));
    }
    bool operator[](int i) const {
        return get_bit(i);
    }
    ap_bit_ref<W, S> operator[](int i) {
        return ap_bit_ref<W, S>{*this, i};
    }
    bool bit(int i) const {
        return get_bit(i);
    }
    ap_bit_ref<W, S> bit(int i) {
        return ap_bit_ref<W, S>{*this, i};
    }
    ap_range_ref<W, S> range(int high, int low) {
        return ap_range_ref<W, S>{*this, high, low};
    }
    ap_range_ref<W, S> operator()(int high, int low) {
        return range(high, low);
    }
    ap_range_ref<W, S> range() {
        return range(W - 1, 0);
    }
    ap_int_base<W, false> range(int high, int low) const {
        return bits(high, low);
    }
    ap_int_base<W, false> operator()(int high, int low) const {
        return bits(high, low);
    }

    ap_int_base<W, false> bits(int high, int low) const {
        check_range(high, low);
        ap_int_base<W, false> out;
        const int count = high - low + 1, skip = low / 64, shift = low % 64;
        for (int i = 0; i * 64 < count; i++) {
            uint64_t value = i + skip < limbs ? limb[i + skip] >> shift : 0;
            if (shift && i + skip + 1 < limbs) value |= limb[i + skip + 1] << (64 - shift);
            if (count - i * 64 < 64) value &= (uint64_t(1) << (count - i * 64)) - 1;
            out.limb[i] = value;
        }
        return out;
    }
    template <int W2, bool S2> void set_bits(int high, int low, const ap_int_base<W2, S2> &value) {
        check_range(high, low);
        const int count = high - low + 1;
        for (int done = 0; done < count;) {
            const int at = low + done, room = 64 - at % 64;
            const int n = ap_standin::smaller(room, count - done);
            const uint64_t mask = (n == 64 ? ~uint64_t(0) : (uint64_t(1) << n) - 1) << (at % 64);
            uint64_t part = value.extended(done / 64) >> (done % 64);
            if (done % 64) part |= value.extended(done / 64 + 1) << (64 - done % 64);
            limb[at / 64] = (limb[at / 64] & ~mask) | ((part << (at % 64)) & mask);
            done += n;
        }
        trim();
    }
    template <class T>
    ap_concat_ref<ap_int_base, typename ap_standin::operand<T>::type> concat(const T &low) const {
        return {*this, typename ap_standin::operand<T>::type(low)};
    }

    bool and_reduce() const {
        for (int i = 0; i < W; i++)
            if (!get_bit(i)) return false;
        return true;
    }
    bool or_reduce() const {
        return static_cast<bool>(*this);
    }
    bool xor_reduce() const {
        unsigned odd = 0;
        for (int i = 0; i < W; i++) odd ^= get_bit(i);
        return odd;
    }
    bool nand_reduce() const {
        return !and_reduce();
    }
    bool nor_reduce() const {
        return !or_reduce();
    }
    bool xnor_reduce() const {
        return !xor_reduce();
    }
    void reverse() {
        const ap_int_base before = *this;
        for (int i = 0; i < W; i++) set_bit(i, before.get_bit(W - 1 - i));
    }
    int countLeadingZeros() const {
        int n = 0;
        while (n < W && !get_bit(W - 1 - n)) n++;
        return n;
    }
    int length() const {
        return W;
    }
    bool is_zero() const {
        uint64_t any = 0;
        for (int i = 0; i < limbs; i++) any |= limb[i];
        return any == 0;
    }

    // ---- to native types ----
    explicit operator bool() const {
        return !is_zero();
    }
    template <class T, class = typename std::enable_if<std::is_integral<T>::value &&
                                                       !std::is_same<T, bool>::value>::type>
    operator T() const {
        return static_cast<T>(limb[0]);
    }
    int to_int() const {
        return static_cast<int>(limb[0]);
    }
    unsigned to_uint() const {
        return static_cast<unsigned>(limb[0]);
    }
    int64_t to_int64() const {
        return static_cast<int64_t>(limb[0]);
    }
    uint64_t to_uint64() const {
        return limb[0];
    }
    bool to_bool() const {
        return !is_zero();
    }
    double to_double() const {
        ap_int_base<W + 1, true> size = *this;
        if (negative()) size = -size;
        double value = 0;
        for (int i = size.limbs - 1; i >= 0; i--)
            value = value * 18446744073709551616.0 + static_cast<double>(size.limb[i]);
        return negative() ? -value : value;
    }
    // Radix 2, 8, 10 or 16; of a negative number in radix 10 its sign and size, else its bits.
    std::string to_string(int radix = 2, bool sign_of_other_radix = false) const {
        const bool minus = negative() && (radix == 10 || sign_of_other_radix);
        ap_int_base<W + 1, false> rest;
        if (minus)
            rest = -*this;
        else
            rest = ap_int_base<W, false>(*this);
        std::string digits;
        do {
            digits.insert(digits.begin(), "0123456789abcdef"[(rest % radix).to_int()]);
            rest = rest / radix;
        } while (!rest.is_zero());
        const char *prefix = radix == 2 ? "0b" : radix == 8 ? "0o" : radix == 16 ? "0x" : "";
        return (minus ? "-" : "") + (prefix + digits);
    }

    // ---- of one operand ----
    ap_int_base<W + 1, true> operator-() const {
        return ap_int_base<1, false>() - *this;
    }
    const ap_int_base &operator+() const {
        return *this;
    }
    bool operator!() const {
        return is_zero();
    }
    ap_int_base operator~() const {
        ap_int_base out;
        for (int i = 0; i < limbs; i++) out.limb[i] = ~limb[i];
        out.trim();
        return out;
    }
    ap_int_base &operator++() {
        return *this += 1;
    }
    ap_int_base &operator--() {
        return *this -= 1;
    }
    ap_int_base operator++(int) {
        const ap_int_base before = *this;
        *this += 1;
        return before;
    }
    ap_int_base operator--(int) {
        const ap_int_base before = *this;
        *this -= 1;
        return before;
    }

    ap_int_base left(unsigned n) const {
        ap_int_base out;
        if (n >= static_cast<unsigned>(W)) return out;
        const int skip = static_cast<int>(n) / 64, shift = static_cast<int>(n) % 64;
        for (int i = limbs - 1; i >= skip; i--) {
            out.limb[i] = limb[i - skip] << shift;
            if (shift && i > skip) out.limb[i] |= limb[i - skip - 1] >> (64 - shift);
        }
        out.trim();
        return out;
    }
    ap_int_base right(unsigned n) const {
        ap_int_base out;
        const uint64_t top = fill();
        if (n >= static_cast<unsigned>(W)) {
            for (int i = 0; i < limbs; i++) out.limb[i] = top;
            out.trim();
            return out;
        }
        const int skip = static_cast<int>(n) / 64, shift = static_cast<int>(n) % 64;
        for (int i = 0; i < limbs; i++) {
            out.limb[i] = extended(i + skip) >> shift;
            if (shift) out.limb[i] |= extended(i + skip + 1) << (64 - shift);
        }
        out.trim();
        return out;
    }

    template <int W2, bool S2> void assign(const ap_int_base<W2, S2> &other) {
        for (int i = 0; i < limbs; i++) limb[i] = other.extended(i);
        if (W2 + (S && !S2 ? 1 : 0) > W || (S2 && !S)) trim();
    }
    // Bits above W - 1 follow the sign (or are 0).
    void trim() {
        constexpr int used = W - 64 * (limbs - 1);
        if (used == 64) return;
        constexpr int spare = (64 - used) & 63;
        uint64_t &top = limb[limbs - 1];
        top = S ? static_cast<uint64_t>(static_cast<int64_t>(top << spare) >> spare) : top << spare >> spare;
    }

#define MIXQ_AP_ASSIGN(op)                                                                                   \
    template <class T, class = typename std::enable_if<ap_standin::operand<T>::valid>::type>                 \
    ap_int_base &operator op##=(const T &other) {                                                            \
        assign(typename ap_standin::operand<decltype(*this op other)>::type(*this op other));                \
        return *this;                                                                                        \
    }
#define MIXQ_AP_ASSIGN_ALL(X) X(+) X(-) X(*) X(/) X(%) X(&) X(|) X(^) X(<<) X(>>)
    template <class T> ap_int_base &operator+=(const T &other);
    template <class T> ap_int_base &operator-=(const T &other);
    template <class T> ap_int_base &operator*=(const T &other);
    template <class T> ap_int_base &operator/=(const T &other);
    template <class T> ap_int_base &operator%=(const T &other);
    template <class T> ap_int_base &operator&=(const T &other);
    template <class T> ap_int_base &operator|=(const T &other);
    template <class T> ap_int_base &operator^=(const T &other);
    template <class T> ap_int_base &operator<<=(const T &other);
    template <class T> ap_int_base &operator>>=(const T &other);
#undef MIXQ_AP_ASSIGN
#undef MIXQ_AP_ASSIGN_ALL

  private:
    static constexpr int larger_double = 128;
    void check_bit(int i) const {
        if (i < 0 || i >= W) ap_standin::fail("a bit outside the number");
    }
    void check_range(int high, int low) const {
        if (low < 0 || high >= W || high < low) ap_standin::fail("a range outside the number");
    }
    void parse(const char *text, int radix) {
        for (int i = 0; i < limbs; i++) limb[i] = 0;
        const bool minus = *text == '-';
        if (minus || *text == '+') text++;
        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) radix = 16, text += 2;
        if (text[0] == '0' && (text[1] == 'b' || text[1] == 'B') && radix != 16) radix = 2, text += 2;
        if (text[0] == '0' && (text[1] == 'o' || text[1] == 'O')) radix = 8, text += 2;
        if (radix == 0) radix = 10;
        for (; *text; text++) {
            const int c = *text | 0x20;
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
            if (digit >= radix) ap_standin::fail("a text that is no number");
            *this = ap_int_base(*this * radix + digit);
        }
        if (minus) *this = ap_int_base(-*this);
    }
};

namespace ap_standin {

template <class T> typename operand<T>::type value(const T &x) {
    return typename operand<T>::type(x);
}

template <class R, class A, class B> R add(const A &a, const B &b, bool subtract) {
    R out;
    if (R::limbs == 1) {
        out.limb[0] = subtract ? a.limb[0] - b.limb[0] : a.limb[0] + b.limb[0];
    } else {
        unsigned carry = subtract;
        for (int i = 0; i < R::limbs; i++) {
            const uint64_t x = a.extended(i), y = subtract ? ~b.extended(i) : b.extended(i), sum = x + y;
            out.limb[i] = sum + carry;
            carry = (sum < x) || (carry && out.limb[i] == 0);
        }
    }
    out.trim();
    return out;
}

template <class R, class A, class B> R multiply(const A &a, const B &b) {
    R out;
    if (R::limbs == 1) {
        out.limb[0] = a.limb[0] * b.limb[0];
    } else { // modulo 2^width: sign-extended operands give the signed product
        for (int i = 0; i < R::limbs; i++) {
            uint64_t carry = 0;
            for (int k = 0; i + k < R::limbs; k++) {
                const unsigned __int128 sum =
                    static_cast<unsigned __int128>(a.extended(i)) * b.extended(k) + out.limb[i + k] + carry;
                out.limb[i + k] = static_cast<uint64_t>(sum);
                carry = static_cast<uint64_t>(sum >> 64);
            }
        }
    }
    out.trim();
    return out;
}

template <class A, class B> int compare(const A &a, const B &b) {
    typedef typename result<A, B>::common both;
    const both x = a, y = b;
    for (int i = both::limbs - 1; i >= 0; i--) {
        if (x.limb[i] == y.limb[i]) continue;
        const bool less = i == both::limbs - 1 && both::sign
                              ? static_cast<int64_t>(x.limb[i]) < static_cast<int64_t>(y.limb[i])
                              : x.limb[i] < y.limb[i];
        return less ? -1 : 1;
    }
    return 0;
}

// Long division of magnitudes, bit by bit; rounds towards zero, the remainder has the sign of a.
template <class A, class B>
void divide(const A &a, const B &b, typename result<A, B>::div *quotient,
            typename result<A, B>::mod *remainder) {
    constexpr int most = larger(A::width, B::width) + 1;
    if (b.is_zero()) fail("division by 0");
    ap_int_base<most + 1, true> n = a, d = b, rest;
    if (a.negative()) n = -n;
    if (b.negative()) d = -d;
    ap_int_base<most + 1, true> q;
    for (int i = most - 1; i >= 0; i--) {
        rest = rest.left(1);
        if (n.get_bit(i)) rest.limb[0] |= 1;
        if (compare(rest, d) >= 0) {
            rest = add<ap_int_base<most + 1, true>>(rest, d, true);
            q.set_bit(i, true);
        }
    }
    if (a.negative() != b.negative()) q = -q;
    if (a.negative()) rest = -rest;
    if (quotient) quotient->assign(q);
    if (remainder) remainder->assign(rest);
}

template <class T> int64_t shift_amount(const T &n) {
    return value(n).to_int64();
}

} // namespace ap_standin

#define MIXQ_AP_BINARY(op, kind, body)                                                                       \
    template <class A, class B, class = ap_standin::when_any<A, B>>                                          \
    typename ap_standin::result<A, B>::kind operator op(const A &a0, const B &b0) {                          \
        typedef typename ap_standin::result<A, B>::kind R;                                                   \
        const auto a = ap_standin::value(a0);                                                                \
        const auto b = ap_standin::value(b0);                                                                \
        body                                                                                                 \
    }
MIXQ_AP_BINARY(+, plus, return ap_standin::add<R>(a, b, false);)
MIXQ_AP_BINARY(-, minus, return ap_standin::add<R>(a, b, true);)
MIXQ_AP_BINARY(*, mult, return ap_standin::multiply<R>(a, b);)
MIXQ_AP_BINARY(/, div, R q;
               ap_standin::divide(a, b, &q, static_cast<typename ap_standin::result<A, B>::mod *>(nullptr));
               return q;)
MIXQ_AP_BINARY(%, mod, R r;
               ap_standin::divide(a, b, static_cast<typename ap_standin::result<A, B>::div *>(nullptr), &r);
               return r;)
#define MIXQ_AP_LOGIC(op)                                                                                    \
    MIXQ_AP_BINARY(op, logic, R out;                                                                         \
                   for (int i = 0; i < R::limbs; i++) out.limb[i] = a.extended(i) op b.extended(i);          \
                   out.trim(); return out;)
MIXQ_AP_LOGIC(&)
MIXQ_AP_LOGIC(|)
MIXQ_AP_LOGIC(^)
#undef MIXQ_AP_LOGIC
#undef MIXQ_AP_BINARY

#define MIXQ_AP_COMPARE(op)                                                                                  \
    template <class A, class B, class = ap_standin::when_any<A, B>>                                          \
    bool operator op(const A &a, const B &b) {                                                               \
        return ap_standin::compare(ap_standin::value(a), ap_standin::value(b)) op 0;                         \
    }
MIXQ_AP_COMPARE(==)
MIXQ_AP_COMPARE(!=)
MIXQ_AP_COMPARE(<)
MIXQ_AP_COMPARE(>)
MIXQ_AP_COMPARE(<=)
MIXQ_AP_COMPARE(>=)
#undef MIXQ_AP_COMPARE

#define MIXQ_AP_SHIFT(op, forward, backward)                                                                 \
    template <class A, class N, class = ap_standin::when_ap<A>,                                              \
              class = typename std::enable_if<ap_standin::operand<N>::valid>::type>                          \
    typename ap_standin::operand<A>::type operator op(const A &a, const N &n) {                              \
        const int64_t by = ap_standin::shift_amount(n);                                                      \
        const uint64_t most = 1u << 30,                                                                      \
                       size = by < 0 ? 0 - static_cast<uint64_t>(by) : static_cast<uint64_t>(by);            \
        const unsigned clipped = static_cast<unsigned>(size < most ? size : most);                           \
        return ap_standin::operand<N>::sign && by < 0 ? ap_standin::value(a).backward(clipped)               \
                                                      : ap_standin::value(a).forward(clipped);               \
    }
MIXQ_AP_SHIFT(<<, left, right)
MIXQ_AP_SHIFT(>>, right, left)
#undef MIXQ_AP_SHIFT

#define MIXQ_AP_ASSIGN(op)                                                                                   \
    template <int W, bool S>                                                                                 \
    template <class T>                                                                                       \
    ap_int_base<W, S> &ap_int_base<W, S>::operator op##=(const T &other) {                                   \
        assign(*this op other);                                                                              \
        return *this;                                                                                        \
    }
MIXQ_AP_ASSIGN(+)
MIXQ_AP_ASSIGN(-)
MIXQ_AP_ASSIGN(*)
MIXQ_AP_ASSIGN(/)
MIXQ_AP_ASSIGN(%)
MIXQ_AP_ASSIGN(&)
MIXQ_AP_ASSIGN(|)
MIXQ_AP_ASSIGN(^)
MIXQ_AP_ASSIGN(<<)
MIXQ_AP_ASSIGN(>>)
#undef MIXQ_AP_ASSIGN

// A part of a number that can be written.
template <int W, bool S> struct ap_range_ref {
    ap_int_base<W, S> &of;
    int high, low;
    ap_int_base<W, false> get() const {
        return of.bits(high, low);
    }
    template <class T, class = typename std::enable_if<ap_standin::operand<T>::valid>::type>
    ap_range_ref &operator=(const T &value) {
        of.set_bits(high, low, ap_standin::value(value));
        return *this;
    }
    ap_range_ref &operator=(const ap_range_ref &other) {
        of.set_bits(high, low, other.get());
        return *this;
    }
    ap_range_ref(ap_int_base<W, S> &number, int from, int to) : of(number), high(from), low(to) {}
    ap_range_ref(const ap_range_ref &) = default;
    template <class T, class = typename std::enable_if<std::is_integral<T>::value>::type> operator T() const {
        return static_cast<T>(get().limb[0]);
    }
    int length() const {
        return high - low + 1;
    }
    int to_int() const {
        return get().to_int();
    }
    unsigned to_uint() const {
        return get().to_uint();
    }
    uint64_t to_uint64() const {
        return get().to_uint64();
    }
    bool or_reduce() const {
        return get().or_reduce();
    }
    bool xor_reduce() const {
        return get().xor_reduce();
    }
    bool and_reduce() const {
        for (int i = low; i <= high; i++)
            if (!of.get_bit(i)) return false;
        return true;
    }
};

template <int W, bool S> struct ap_bit_ref {
    ap_int_base<W, S> &of;
    int at;
    bool get() const {
        return of.get_bit(at);
    }
    operator bool() const {
        return get();
    }
    bool operator~() const {
        return !get();
    }
    template <class T> ap_bit_ref &operator=(const T &value) {
        of.set_bit(at, static_cast<bool>(value));
        return *this;
    }
    ap_bit_ref &operator=(const ap_bit_ref &other) {
        of.set_bit(at, other.get());
        return *this;
    }
    ap_bit_ref(ap_int_base<W, S> &number, int i) : of(number), at(i) {}
    ap_bit_ref(const ap_bit_ref &) = default;
};

// (high, low): values side by side. Only numbers of fixed width: a range has none.
template <class A, class B> struct ap_concat_ref {
    A high;
    B low;
    ap_int_base<A::width + B::width, false> get() const {
        ap_int_base<A::width + B::width, false> out;
        out.set_bits(B::width - 1, 0, low);
        out.set_bits(A::width + B::width - 1, B::width, high);
        return out;
    }
    static constexpr int width = A::width + B::width;
};
template <class A, class B, class = ap_standin::when_any<A, B>>
ap_concat_ref<typename ap_standin::operand<A>::type, typename ap_standin::operand<B>::type>
operator,(const A &a, const B &b) {
    return {ap_standin::value(a), ap_standin::value(b)};
}

#define MIXQ_AP_TYPE(name, is_signed)                                                                        \
    template <int W> struct name : ap_int_base<W, is_signed> {                                               \
        typedef ap_int_base<W, is_signed> base;                                                              \
        name() {}                                                                                            \
        name(const name &) = default;                                                                        \
        template <class T, class = typename std::enable_if<ap_standin::operand<T>::valid>::type>             \
        name(const T &value) : base(value) {}                                                                \
        name(double value) : base(value) {}                                                                  \
        name(float value) : base(value) {}                                                                   \
        name(const char *text) : base(text) {}                                                               \
        name(const char *text, int radix) : base(text, radix) {}                                             \
        name &operator=(const name &) = default;                                                             \
        template <class T, class = typename std::enable_if<ap_standin::operand<T>::valid>::type>             \
        name &operator=(const T &value) {                                                                    \
            base::operator=(base(value));                                                                    \
            return *this;                                                                                    \
        }                                                                                                    \
    };
MIXQ_AP_TYPE(ap_int, true)
MIXQ_AP_TYPE(ap_uint, false)
#undef MIXQ_AP_TYPE

#endif
