/* fast_vnni.c - kernels for AVX-512 with VNNI: vpdpbusd adds four uint8*int8 products to an int32 without
 * saturating. A tile of 6 pixels by 4 blocks keeps 24 sums, 4 vectors of weights and a broadcast of 4 codes
 * in the 32 registers: 10 loads for 24 dot products. */
#include "sim/fast_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define VNNI   __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define INLINE static inline __attribute__((always_inline)) VNNI

enum { LANES = MQ_FAST_LANES, TILE = MQ_FAST_TILE, PIXELS = MQ_FAST_PIXELS, BLOCKS = MQ_FAST_BLOCKS };

static bool available(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

INLINE __m512i four_codes(const uint8_t *codes) {
    int32_t four;
    memcpy(&four, codes, sizeof four);
    return _mm512_set1_epi32(four);
}

/* P pixels by Z blocks, both constants where it is inlined. */
INLINE void conv_tile(const mq_fast_dot *d, const uint8_t *const *pixel, int32_t *acc, const int P,
                      const int Z) {
    __m512i sum[PIXELS][BLOCKS], w[BLOCKS];
    const int8_t *weight = d->weight;
    const size_t length = 4 * (size_t)d->steps;
    for (int z = 0; z < Z; z++) {
        const __m512i bias = _mm512_loadu_si512(d->bias + z * LANES);
        for (int p = 0; p < P; p++) sum[p][z] = bias;
    }
    for (int r = 0; r < d->runs; r++) {
        const uint8_t *code[PIXELS];
        for (int p = 0; p < P; p++) code[p] = pixel[p] + d->offset[r];
        for (size_t k = 0; k < length; k += 4) {
            for (int z = 0; z < Z; z++) w[z] = _mm512_loadu_si512(weight + z * TILE);
            weight += Z * TILE;
            for (int p = 0; p < P; p++) {
                const __m512i x = four_codes(code[p] + k);
                for (int z = 0; z < Z; z++) sum[p][z] = _mm512_dpbusd_epi32(sum[p][z], x, w[z]);
            }
        }
    }
    for (int p = 0; p < P; p++)
        for (int z = 0; z < Z; z++) _mm512_storeu_si512(acc + p * TILE + z * LANES, sum[p][z]);
}

#define CONV(P, Z)                                                                                           \
    VNNI static void conv_##P##_##Z(const mq_fast_dot *d, const uint8_t *const *pixel, int32_t *acc) {       \
        conv_tile(d, pixel, acc, P, Z);                                                                      \
    }
#define CONVS(P) CONV(P, 1) CONV(P, 2) CONV(P, 3) CONV(P, 4)
CONVS(1)
CONVS(2)
CONVS(3)
CONVS(4)
CONVS(5)
CONVS(6)
#define ROW(P)                                                                                               \
    { conv_##P##_1, conv_##P##_2, conv_##P##_3, conv_##P##_4 }

static void conv(const mq_fast_dot *d, const uint8_t *const *pixel, int pixels, int32_t *acc) {
    static void (*const table[PIXELS][BLOCKS])(const mq_fast_dot *, const uint8_t *const *,
                                               int32_t *) = {ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6)};
    table[pixels - 1][d->blocks - 1](d, pixel, acc);
}

INLINE void depthwise_tile(const mq_fast_dot *d, const uint8_t *const *pixel, int32_t *acc, const int P) {
    for (int z = 0; z < d->blocks; z++) {
        __m512i sum[PIXELS];
        const int32_t *weight = d->taps + z * LANES;
        const __m512i bias = _mm512_loadu_si512(d->bias + z * LANES);
        for (int p = 0; p < P; p++) sum[p] = bias;
        for (int r = 0; r < d->runs; r++, weight += d->blocks * LANES) {
            const __m512i w = _mm512_loadu_si512(weight);
            for (int p = 0; p < P; p++) {
                const uint8_t *codes = pixel[p] + d->offset[r] + z * LANES;
                const __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)codes));
                sum[p] = _mm512_dpwssd_epi32(sum[p], x, w);
            }
        }
        for (int p = 0; p < P; p++) _mm512_storeu_si512(acc + p * TILE + z * LANES, sum[p]);
    }
}

VNNI static void depthwise(const mq_fast_dot *d, const uint8_t *const *pixel, int pixels, int32_t *acc) {
    if (pixels == PIXELS) {
        depthwise_tile(d, pixel, acc, PIXELS);
        return;
    }
    for (int p = 0; p < pixels; p++) depthwise_tile(d, pixel + p, acc + p * TILE, 1);
}

/* ---- requantisation ---- */

INLINE __m512i by_float(const mq_fast_rule *rule, __m512i acc) {
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(rule->scale));
    v = _mm512_add_ps(v, _mm512_loadu_ps(rule->shift));
    v = _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(rule->low)), _mm512_set1_ps(rule->high));
    return _mm512_cvttps_epi32(v);
}

INLINE __m256i half_by_double(const mq_fast_rule *rule, __m256i acc, int first) {
    __m512d v = _mm512_mul_pd(_mm512_cvtepi32_pd(acc), _mm512_loadu_pd(rule->scale64 + first));
    v = _mm512_add_pd(v, _mm512_loadu_pd(rule->shift64 + first));
    v = _mm512_max_pd(v, _mm512_set1_pd((double)rule->low));
    return _mm512_cvttpd_epi32(_mm512_min_pd(v, _mm512_set1_pd((double)rule->high)));
}

INLINE __m512i by_double(const mq_fast_rule *rule, __m512i acc) {
    const __m256i a = half_by_double(rule, _mm512_castsi512_si256(acc), 0);
    const __m256i b = half_by_double(rule, _mm512_extracti64x4_epi64(acc, 1), LANES / 2);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

INLINE __m512i by_count(const mq_fast_rule *rule, __m512i acc) {
    __m512i count = _mm512_setzero_si512();
    for (int k = 0; k < rule->levels; k++) {
        const __mmask16 above = _mm512_cmpge_epi32_mask(acc, _mm512_loadu_si512(rule->threshold + k * LANES));
        count = _mm512_mask_add_epi32(count, above, count, _mm512_set1_epi32(1));
    }
    count = _mm512_mullo_epi32(count, _mm512_loadu_si512(rule->sign));
    return _mm512_add_epi32(count, _mm512_loadu_si512(rule->start));
}

VNNI static void requant(const mq_fast_rule *rule, int blocks, const int32_t *acc, int pixels,
                         uint8_t *const *to) {
    for (int z = 0; z < blocks; z++, rule++) {
        const __mmask16 lanes = (__mmask16)((1u << rule->lanes) - 1);
        for (int p = 0; p < pixels; p++) {
            const int32_t *from = acc + p * TILE + z * LANES;
            uint8_t *out = to[p] + z * LANES;
            __m512i code = _mm512_loadu_si512(from);
            switch (rule->way) {
            case MQ_FAST_FLOAT:
                code = by_float(rule, code);
                break;
            case MQ_FAST_DOUBLE:
                code = by_double(rule, code);
                break;
            case MQ_FAST_COUNT:
                code = by_count(rule, code);
                break;
            default:
                mq_fast_requant_exact(rule, from, out);
                continue;
            }
            const __m128i bytes = _mm512_cvtepi32_epi8(code);
            if (rule->lanes == LANES)
                _mm_storeu_si128((void *)out, bytes);
            else
                _mm_mask_storeu_epi8(out, lanes, bytes);
        }
    }
}

const mq_fast_kernels mq_fast_kernels_VNNI = {
    .name = "avx512_vnni", .available = available, .conv = conv, .depthwise = depthwise, .requant = requant};

#else

static bool available(void) {
    return false;
}

const mq_fast_kernels mq_fast_kernels_VNNI = {.name = "avx512_vnni", .available = available};

#endif
