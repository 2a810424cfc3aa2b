#include "peak.h"

#include <immintrin.h>

#include "kernel_support.h"

// There are enough chains to hide the latency of an addition (4 or 5 cycles) on two ports, and few
// enough to stay in registers.
//
// The numbers fill their significands, as a training step's do. A processor at its power limit
// clocks higher for numbers like 0.5, whose multiplication toggles few transistors: by 9 %
// on Zen 3.

// Without this, the compiler would run chains in sequence and find that some are constant.
#define KEEP(vector) __asm__ volatile("" : "+v"(vector))

#define CHAINS(CHAIN_COUNT, LANES, NAME, ATTRIBUTES)                                        \
    typedef float NAME##_vector __attribute__((ext_vector_type(LANES)));                    \
    ATTRIBUTES static double NAME(long rounds, float *sink) {                               \
        NAME##_vector chains[CHAIN_COUNT];                                                  \
        for (int chain = 0; chain < CHAIN_COUNT; chain++)                                   \
            chains[chain] = (NAME##_vector)((float)chain);                                  \
        /* The values approach term / (1 - factor), far from the slow subnormal numbers. */ \
        NAME##_vector factor, term;                                                         \
        for (int lane = 0; lane < LANES; lane++) {                                          \
            factor[lane] = (lane % 2 ? -0.99731f : 0.97713f) / (1 + 0.0137f * lane);        \
            term[lane] = 0.37717f + 0.1173f * lane;                                         \
        }                                                                                   \
        for (long round = 0; round < rounds; round++) {                                     \
            UNROLLED for (int chain = 0; chain < CHAIN_COUNT; chain++) {                    \
                chains[chain] = __builtin_elementwise_fma(chains[chain], factor, term);     \
                KEEP(chains[chain]);                                                        \
            }                                                                               \
        }                                                                                   \
        float sum = 0;                                                                      \
        for (int chain = 0; chain < CHAIN_COUNT; chain++) sum += chains[chain][0];          \
        *sink += sum;                                                                       \
        return 2.0 * LANES * CHAIN_COUNT * (double)rounds;                                  \
    }

CHAINS(24, 16, wide, __attribute__((target("avx512f,avx512vl"), noinline)))
CHAINS(12, 8, narrow, __attribute__((target("avx2,fma"), noinline)))

// Pairs of 0.668 and -0.668, whose products with pairs of 0.668 cancel, so sums stay constant.
enum { equal_pair = 0x3f2b3f2b, opposite_pair = 0xbf2b3f2b };

__attribute__((target("avx512f,avx512vl,avx512bf16"), noinline)) static double bf16_pairs(
    long rounds, float *sink) {
    enum { chain_count = 24 };
    __m512 chains[chain_count];
    for (int chain = 0; chain < chain_count; chain++) chains[chain] = _mm512_set1_ps(chain);
    const __m512bh left = (__m512bh)_mm512_set1_epi32(equal_pair);
    const __m512bh right = (__m512bh)_mm512_set1_epi32((int)opposite_pair);
    for (long round = 0; round < rounds; round++) {
        UNROLLED for (int chain = 0; chain < chain_count; chain++) {
            chains[chain] = _mm512_dpbf16_ps(chains[chain], left, right);
            KEEP(chains[chain]);
        }
    }
    float sum = 0;
    for (int chain = 0; chain < chain_count; chain++) sum += chains[chain][0];
    *sink += sum / 1e9f;
    return 2.0 * 32 * chain_count * (double)rounds;
}

// Four chains of sums in tile registers, as many as a product has.
__attribute__((target("amx-tile,amx-bf16"), noinline)) static double tiles(
    long rounds, float *sink) {
    enum { rows = 16, row_bytes = 64 };
    tile_shapes shapes = {.palette = 1};
    for (int tile = 0; tile < 6; tile++) {
        shapes.rows[tile] = rows;
        shapes.row_bytes[tile] = row_bytes;
    }
    uint32_t left[rows * row_bytes / 4], right[rows * row_bytes / 4];
    for (int index = 0; index < rows * row_bytes / 4; index++) {
        left[index] = equal_pair;
        right[index] = opposite_pair;
    }
    _tile_loadconfig(&shapes);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, left, row_bytes);
    _tile_loadd(5, right, row_bytes);
    for (long round = 0; round < rounds; round++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    float sums[rows * row_bytes / 4];
    _tile_stored(0, sums, row_bytes);
    _tile_release();
    *sink += sums[0];
    return 4 * 2.0 * rows * rows * row_bytes / 2 * (double)rounds;
}

double lockstep_bf16_multiply_add(long rounds, float *sink) {
    if (lockstep_best_isa() == lockstep_isa_amx) return tiles(rounds, sink);
    if (lockstep_best_isa() == lockstep_isa_avx512_bf16) return bf16_pairs(rounds, sink);
    return lockstep_multiply_add(rounds, sink);
}

double lockstep_multiply_add(long rounds, float *sink) {
    if (lockstep_best_isa() != lockstep_isa_base) return wide(rounds, sink);
    return narrow(rounds, sink);
}
