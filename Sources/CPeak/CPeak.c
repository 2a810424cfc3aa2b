#include "CPeak.h"

// Enough chains to hide the latency of an addition (4 or 5 cycles) on two ports, few enough to stay
// in the registers there are.
//
// The numbers fill their significands, as a training step's do. A processor at its power limit clocks
// higher for numbers like 0.5, whose multiplication toggles few transistors: by 9 % on Zen 3.
#define CHAINS(CHAIN_COUNT, LANES, NAME, ATTRIBUTES)                                               \
    typedef float NAME##_vector __attribute__((ext_vector_type(LANES)));                           \
    ATTRIBUTES static double NAME(long rounds, float *sink) {                                      \
        NAME##_vector chains[CHAIN_COUNT];                                                         \
        for (int chain = 0; chain < CHAIN_COUNT; chain++)                                          \
            chains[chain] = (NAME##_vector)((float)chain);                                         \
        /* The values approach term / (1 - factor), far from the slow subnormal numbers. */        \
        NAME##_vector factor, term;                                                                \
        for (int lane = 0; lane < LANES; lane++) {                                                 \
            factor[lane] = (lane % 2 ? -0.99731f : 0.97713f) / (1 + 0.0137f * lane);               \
            term[lane] = 0.37717f + 0.1173f * lane;                                                \
        }                                                                                          \
        for (long round = 0; round < rounds; round++) {                                            \
            _Pragma("clang loop unroll(full)") for (int chain = 0; chain < CHAIN_COUNT; chain++)   \
                chains[chain] = __builtin_elementwise_fma(chains[chain], factor, term);            \
        }                                                                                          \
        float sum = 0;                                                                             \
        for (int chain = 0; chain < CHAIN_COUNT; chain++) sum += chains[chain][0];                 \
        *sink += sum;                                                                              \
        return 2.0 * LANES * CHAIN_COUNT * (double)rounds;                                         \
    }

#if defined(__x86_64__)
CHAINS(24, 16, wide, __attribute__((target("avx512f"), noinline)))
CHAINS(12, 8, narrow, __attribute__((target("avx2,fma"), noinline)))
#else
CHAINS(24, 4, narrow, __attribute__((noinline)))
#endif

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f,avx512bf16"), noinline)) static double bf16_pairs(
    long rounds, float *sink) {
    enum { chain_count = 24 };
    __m512 chains[chain_count];
    for (int chain = 0; chain < chain_count; chain++) chains[chain] = _mm512_set1_ps(chain);
    /* Pairs of 0.668 and -0.668, whose products cancel: the values stay what they are. */
    const __m512bh left = (__m512bh)_mm512_set1_epi32(0x3f2b3f2b);
    const __m512bh right = (__m512bh)_mm512_set1_epi32((int)0xbf2b3f2b);
    for (long round = 0; round < rounds; round++) {
        _Pragma("clang loop unroll(full)") for (int chain = 0; chain < chain_count; chain++)
            chains[chain] = _mm512_dpbf16_ps(chains[chain], left, right);
        /* The compiler does not know that they stay so, and must not find out. */
        _Pragma("clang loop unroll(full)") for (int chain = 0; chain < chain_count; chain++)
            __asm__ volatile("" : "+v"(chains[chain]));
    }
    float sum = 0;
    for (int chain = 0; chain < chain_count; chain++) sum += chains[chain][0];
    *sink += sum / 1e9f;
    return 2.0 * 32 * chain_count * (double)rounds;
}
#endif

double lockstep_bf16_multiply_add(long rounds, float *sink) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bf16")) return bf16_pairs(rounds, sink);
#endif
    return lockstep_multiply_add(rounds, sink);
}

double lockstep_multiply_add(long rounds, float *sink) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return wide(rounds, sink);
#endif
    return narrow(rounds, sink);
}
