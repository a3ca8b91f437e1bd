/* fast_avx2.c - kernels for AVX2. There is no dot product of bytes that does not saturate, so four products
 * are made from two vpmaddwd: bytes 0 and 2 of every four as int16 pairs, and bytes 1 and 3. Where the sum of
 * two products provably fits int16, vpmaddubsw does the same in fewer steps. */
#include "sim/fast_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AVX2   __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) AVX2

enum { LANES = MQ_FAST_LANES, TILE = MQ_FAST_TILE, HALF = LANES / 2, GROUP = 3 /* pixels at a time */ };

static bool available(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2");
}

INLINE __m256i load(const void *from) {
    return _mm256_loadu_si256(from);
}

INLINE __m256i four_codes(const uint8_t *codes) {
    int32_t four;
    memcpy(&four, codes, sizeof four);
    return _mm256_set1_epi32(four);
}

/* P pixels by one block; pairs_fit is a constant where it is inlined. */
INLINE void conv_block(const mq_fast_dot *d, const uint8_t *const *pixel, int32_t *acc, int z, const int P,
                       const bool pairs_fit) {
    __m256i sum[GROUP][2];
    const __m256i ones = _mm256_set1_epi16(1), low = _mm256_set1_epi16(255);
    const int8_t *weight = d->weight + z * TILE;
    for (int p = 0; p < P; p++)
        for (int h = 0; h < 2; h++) sum[p][h] = load(d->bias + z * LANES + h * HALF);
    for (int r = 0; r < d->runs; r++) {
        const ptrdiff_t run = d->offset[r];
        for (int s = 0; s < d->steps; s++, weight += d->blocks * TILE) {
            __m256i w[2], even[2], odd[2];
            for (int h = 0; h < 2; h++) {
                w[h] = load(weight + 32 * h);
                even[h] = _mm256_srai_epi16(_mm256_slli_epi16(w[h], 8), 8);
                odd[h] = _mm256_srai_epi16(w[h], 8);
            }
            for (int p = 0; p < P; p++) {
                const __m256i x = four_codes(pixel[p] + run + 4 * s);
                for (int h = 0; h < 2; h++) {
                    if (pairs_fit) {
                        const __m256i pairs = _mm256_maddubs_epi16(x, w[h]);
                        sum[p][h] = _mm256_add_epi32(sum[p][h], _mm256_madd_epi16(pairs, ones));
                        continue;
                    }
                    const __m256i a = _mm256_madd_epi16(_mm256_and_si256(x, low), even[h]);
                    const __m256i b = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), odd[h]);
                    sum[p][h] = _mm256_add_epi32(sum[p][h], _mm256_add_epi32(a, b));
                }
            }
        }
    }
    for (int p = 0; p < P; p++)
        for (int h = 0; h < 2; h++)
            _mm256_storeu_si256((void *)(acc + p * TILE + z * LANES + h * HALF), sum[p][h]);
}

INLINE void conv_blocks(const mq_fast_dot *d, const uint8_t *const *pixel, int pixels, int32_t *acc,
                        const bool pairs_fit) {
    for (int z = 0; z < d->blocks; z++) {
        int p = 0;
        for (; p + GROUP <= pixels; p += GROUP) conv_block(d, pixel + p, acc + p * TILE, z, GROUP, pairs_fit);
        for (; p < pixels; p++) conv_block(d, pixel + p, acc + p * TILE, z, 1, pairs_fit);
    }
}

AVX2 static void conv(const mq_fast_dot *d, const uint8_t *const *pixel, int pixels, int32_t *acc) {
    if (d->pairs_fit)
        conv_blocks(d, pixel, pixels, acc, true);
    else
        conv_blocks(d, pixel, pixels, acc, false);
}

INLINE void depthwise_block(const mq_fast_dot *d, const uint8_t *const *pixel, int32_t *acc, int z,
                            const int P) {
    __m256i sum[GROUP][2];
    const int32_t *weight = d->taps + z * LANES;
    for (int p = 0; p < P; p++)
        for (int h = 0; h < 2; h++) sum[p][h] = load(d->bias + z * LANES + h * HALF);
    for (int r = 0; r < d->runs; r++, weight += d->blocks * LANES) {
        for (int h = 0; h < 2; h++) {
            const __m256i w = load(weight + h * HALF);
            for (int p = 0; p < P; p++) {
                const uint8_t *codes = pixel[p] + d->offset[r] + z * LANES + h * HALF;
                const __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)codes));
                sum[p][h] = _mm256_add_epi32(sum[p][h], _mm256_madd_epi16(x, w));
            }
        }
    }
    for (int p = 0; p < P; p++)
        for (int h = 0; h < 2; h++)
            _mm256_storeu_si256((void *)(acc + p * TILE + z * LANES + h * HALF), sum[p][h]);
}

AVX2 static void depthwise(const mq_fast_dot *d, const uint8_t *const *pixel, int pixels, int32_t *acc) {
    for (int z = 0; z < d->blocks; z++) {
        int p = 0;
        for (; p + GROUP <= pixels; p += GROUP) depthwise_block(d, pixel + p, acc + p * TILE, z, GROUP);
        for (; p < pixels; p++) depthwise_block(d, pixel + p, acc + p * TILE, z, 1);
    }
}

/* ---- requantisation ---- */

INLINE __m256i by_float(const mq_fast_rule *rule, __m256i acc, int first) {
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(rule->scale + first));
    v = _mm256_add_ps(v, _mm256_loadu_ps(rule->shift + first));
    v = _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(rule->low)), _mm256_set1_ps(rule->high));
    return _mm256_cvttps_epi32(v);
}

INLINE __m128i quarter_by_double(const mq_fast_rule *rule, __m128i acc, int first) {
    __m256d v = _mm256_mul_pd(_mm256_cvtepi32_pd(acc), _mm256_loadu_pd(rule->scale64 + first));
    v = _mm256_add_pd(v, _mm256_loadu_pd(rule->shift64 + first));
    v = _mm256_max_pd(v, _mm256_set1_pd((double)rule->low));
    return _mm256_cvttpd_epi32(_mm256_min_pd(v, _mm256_set1_pd((double)rule->high)));
}

INLINE __m256i by_double(const mq_fast_rule *rule, __m256i acc, int first) {
    const __m128i a = quarter_by_double(rule, _mm256_castsi256_si128(acc), first);
    const __m128i b = quarter_by_double(rule, _mm256_extracti128_si256(acc, 1), first + HALF / 2);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

INLINE __m256i by_count(const mq_fast_rule *rule, __m256i acc, int first) {
    __m256i count = _mm256_set1_epi32(rule->levels);
    for (int k = 0; k < rule->levels; k++) /* -1 where the threshold lies above */
        count = _mm256_add_epi32(count, _mm256_cmpgt_epi32(load(rule->threshold + k * LANES + first), acc));
    count = _mm256_mullo_epi32(count, load(rule->sign + first));
    return _mm256_add_epi32(count, load(rule->start + first));
}

INLINE __m256i half(const mq_fast_rule *rule, const int32_t *from, int first) {
    const __m256i acc = load(from + first);
    return rule->way == MQ_FAST_FLOAT    ? by_float(rule, acc, first)
           : rule->way == MQ_FAST_DOUBLE ? by_double(rule, acc, first)
                                         : by_count(rule, acc, first);
}

AVX2 static void requant(const mq_fast_rule *rule, int blocks, const int32_t *acc, int pixels,
                         uint8_t *const *to) {
    for (int z = 0; z < blocks; z++, rule++) {
        for (int p = 0; p < pixels; p++) {
            const int32_t *from = acc + p * TILE + z * LANES;
            uint8_t *out = to[p] + z * LANES, bytes[LANES];
            if (rule->way == MQ_FAST_EXACT) {
                mq_fast_requant_exact(rule, from, out);
                continue;
            }
            /* packing works within halves of 128 bits: 0 1 2 3 | 8 9 10 11 and 4 5 6 7 | 12 13 14 15 */
            const __m256i words = _mm256_packs_epi32(half(rule, from, 0), half(rule, from, HALF));
            const __m256i ordered = _mm256_permute4x64_epi64(words, _MM_SHUFFLE(3, 1, 2, 0));
            const __m128i codes =
                _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
            if (rule->lanes == LANES) {
                _mm_storeu_si128((void *)out, codes);
            } else {
                _mm_storeu_si128((void *)bytes, codes);
                memcpy(out, bytes, (size_t)rule->lanes);
            }
        }
    }
}

const mq_fast_kernels mq_fast_kernels_AVX2 = {
    .name = "avx2", .available = available, .conv = conv, .depthwise = depthwise, .requant = requant};

#else

static bool available(void) {
    return false;
}

const mq_fast_kernels mq_fast_kernels_AVX2 = {.name = "avx2", .available = available};

#endif
