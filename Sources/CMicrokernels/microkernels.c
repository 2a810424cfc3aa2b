#include "CMicrokernels.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// A loop with a constant number of turns, whose arrays are to live in registers.
#define UNROLLED _Pragma("clang loop unroll(full)")

// Rows of a matrix that are packed together: their lines stay in the first-level cache while panel
// after panel takes its part of them. A row is fetched as long before. A multiple of every group.
#define ROWS_AT_ONCE 32

// Panels of a left operand that are packed together, as parts of the same lines.
#define PANELS_AT_ONCE 8

typedef uint32_t word8 __attribute__((ext_vector_type(8)));
typedef word8 word8_unaligned __attribute__((aligned(2)));

/// `count` rows, at most eight, of `depth` words become `depth` rows of `count`, `panel_stride` words
/// apart, by transposing 8 x 8 in registers.
///
/// Words between `count` and eight are written too, but for those behind the panel's last row.
ALWAYS_INLINE void transpose_words(
    const void *rows, ptrdiff_t row_bytes, ptrdiff_t depth, void *panel, ptrdiff_t panel_stride,
    ptrdiff_t count) {
    const char *from = rows;
    uint32_t *to = panel;
    ptrdiff_t k = 0;
    for (; k + 8 <= depth - (count < 8); k += 8) {
        word8 r[8], s[8], t[8], low[4], high[4];
        for (int i = 0; i < 8; i++)
            r[i] = i < count ? *(const word8_unaligned *)(from + i * row_bytes + k * 4) : (word8)0;
        for (int i = 0; i < 8; i += 2) {
            s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
            s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
        }
        for (int i = 0; i < 8; i += 4) {
            for (int j = 0; j < 2; j++) {
                t[i + 2 * j] = __builtin_shufflevector(
                    s[i + j], s[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
                t[i + 2 * j + 1] = __builtin_shufflevector(
                    s[i + j], s[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
            }
        }
        for (int i = 0; i < 4; i++) {
            low[i] = __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
            high[i] = __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
        }
        // In order, lest what one writes beyond `count` stays in the next.
        for (int i = 0; i < 8; i++)
            *(word8_unaligned *)(to + (k + i) * panel_stride) = i < 4 ? low[i] : high[i - 4];
    }
    for (; k < depth; k++)
        for (ptrdiff_t i = 0; i < count; i++)
            __builtin_memcpy(to + k * panel_stride + i, from + i * row_bytes + k * 4, 4);
}

/// Stores the first `columns` of each of a tile's rows; not often called, so not often copied.
static __attribute__((noinline)) void store_part(
    const float *tile, ptrdiff_t tile_stride, ptrdiff_t rows, ptrdiff_t columns, float *c,
    ptrdiff_t c_stride, bool accumulates) {
    for (ptrdiff_t i = 0; i < rows; i++, tile += tile_stride, c += c_stride)
        for (ptrdiff_t j = 0; j < columns; j++) c[j] = accumulates ? c[j] + tile[j] : tile[j];
}

ALWAYS_INLINE ptrdiff_t least(ptrdiff_t x, ptrdiff_t y) { return x < y ? x : y; }

/// Two neighbouring bf16 numbers as one word.
ALWAYS_INLINE uint32_t pair(const uint16_t *from) {
    uint32_t word;
    __builtin_memcpy(&word, from, 4);
    return word;
}

// The steps that microkernels.inc takes along the depth.

// One fused multiply-add of fp32 numbers.
#define STEP_FP32(vector, words)                                                                  \
    vector right[TILE_VECTORS];                                                                   \
    UNROLLED for (int j = 0; j < TILE_VECTORS; j++) right[j] = *(const vector *)(b + j * LANES);  \
    UNROLLED for (int i = 0; i < rows; i++)                                                       \
        UNROLLED for (int j = 0; j < TILE_VECTORS; j++)                                           \
            sums[i][j] = __builtin_elementwise_fma((vector)a[i * row_stride], right[j], sums[i][j]);

// Two products of bf16 numbers, widened to fp32: the second of each pair is in the upper half of its
// word, the first is moved there. The barrier has all words loaded again for the other half, for
// which there are no registers.
#define STEP_WIDENED(vector, words)                                                               \
    UNROLLED for (int half = 1; half >= 0; half--) {                                              \
        __asm__ volatile("" ::: "memory");                                                        \
        vector right[TILE_VECTORS];                                                               \
        UNROLLED for (int j = 0; j < TILE_VECTORS; j++) {                                         \
            words both = *(const words *)(b + j * LANES * 2);                                     \
            right[j] = (vector)(half ? both & 0xffff0000 : both << 16);                           \
        }                                                                                         \
        UNROLLED for (int i = 0; i < rows; i++) {                                                 \
            words both = (words)pair(a + i * row_stride);                                         \
            vector left = (vector)(half ? both & 0xffff0000 : both << 16);                        \
            UNROLLED for (int j = 0; j < TILE_VECTORS; j++)                                       \
                sums[i][j] = __builtin_elementwise_fma(left, right[j], sums[i][j]);               \
        }                                                                                         \
    }

// Two products of bf16 numbers in one instruction.
#define STEP_BF16(vector, words)                                                                  \
    words right[TILE_VECTORS];                                                                    \
    UNROLLED for (int j = 0; j < TILE_VECTORS; j++) right[j] = *(const words *)(b + j * LANES * 2);\
    UNROLLED for (int i = 0; i < rows; i++)                                                       \
        UNROLLED for (int j = 0; j < TILE_VECTORS; j++)                                           \
            sums[i][j] = (vector)_mm512_dpbf16_ps(                                                \
                (__m512)sums[i][j], (__m512bh)(words)pair(a + i * row_stride),                    \
                (__m512bh)right[j]);

#if defined(__x86_64__)
#include <immintrin.h>
#define BASE_INSTRUCTIONS "AVX2"
#else
#define BASE_INSTRUCTIONS "the architecture's baseline"
#endif

// Sixteen 256-bit registers hold 12 sums, two vectors of B and one element of A, or three and one. A
// processor with 128-bit registers (arm64) has twice as many of them. Several steps in a turn, because
// where another thread shares the core, instructions that only count or address take turns from
// arithmetic.
#define NAME(x) base_broad_##x
#define ELEMENT float
#define GROUP 1
#define STEP STEP_FP32
#define STEPS 4
#define LANES 8
#define TILE_ROWS 4
#define TILE_VECTORS 3
#define BROAD 0
#define INSTRUCTIONS BASE_INSTRUCTIONS
#include "microkernels.inc"

#define NAME(x) base_##x
#define ELEMENT float
#define GROUP 1
#define STEP STEP_FP32
#define STEPS 4
#define LANES 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define BROAD &base_broad_kernels
#define INSTRUCTIONS BASE_INSTRUCTIONS
#include "microkernels.inc"

#define NAME(x) base_bf16_##x
#define ELEMENT uint16_t
#define GROUP 2
#define STEP STEP_WIDENED
#define STEPS 1
#define LANES 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define BROAD 0
#define INSTRUCTIONS BASE_INSTRUCTIONS
#include "microkernels.inc"

#if defined(__x86_64__)
// Thirty-two 512-bit registers hold 28 sums, two vectors of B and one element of A. One step in a
// turn: of several, the compiler has more in flight than there are registers.
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define NAME(x) wide_##x
#define ELEMENT float
#define GROUP 1
#define STEP STEP_FP32
#define STEPS 1
#define LANES 16
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define BROAD 0
#define INSTRUCTIONS "AVX-512"
#include "microkernels.inc"

#define NAME(x) wide_bf16_##x
#define ELEMENT uint16_t
#define GROUP 2
#define STEP STEP_WIDENED
#define STEPS 1
#define LANES 16
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define BROAD 0
#define INSTRUCTIONS "AVX-512"
#include "microkernels.inc"
#pragma clang attribute pop

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))), apply_to = function)
#define NAME(x) native_bf16_##x
#define ELEMENT uint16_t
#define GROUP 2
#define STEP STEP_BF16
#define STEPS 1
#define LANES 16
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define BROAD 0
#define INSTRUCTIONS "AVX512-BF16"
#include "microkernels.inc"
#pragma clang attribute pop
#endif

lockstep_isa lockstep_best_isa(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return __builtin_cpu_supports("avx512bf16") ? lockstep_isa_avx512_bf16 : lockstep_isa_avx512;
#endif
    return lockstep_isa_base;
}

const lockstep_microkernels *lockstep_microkernels_for(lockstep_isa isa) {
#if defined(__x86_64__)
    if (isa != lockstep_isa_base) return &wide_kernels;
#endif
    return &base_kernels;
}

const lockstep_microkernels *lockstep_bf16_microkernels_for(lockstep_isa isa) {
#if defined(__x86_64__)
    if (isa == lockstep_isa_avx512_bf16) return &native_bf16_kernels;
    if (isa == lockstep_isa_avx512) return &wide_bf16_kernels;
#endif
    return &base_bf16_kernels;
}
