#include "CMicrokernels.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// Rows of a matrix that are packed together: their lines stay in the first-level cache while panel
// after panel takes its part of them.
#define ROWS_AT_ONCE 32

typedef float float8 __attribute__((ext_vector_type(8)));
typedef float8 float8_unaligned __attribute__((aligned(4)));

/// Eight columns of a matrix that is stored transposed: eight rows of `depth` elements become
/// `depth` rows of eight, `panel_stride` apart, by transposing 8 x 8 in registers.
ALWAYS_INLINE void transpose_into(
    const float *rows, ptrdiff_t stride, ptrdiff_t depth, float *panel, ptrdiff_t panel_stride) {
    ptrdiff_t k = 0;
    for (; k + 8 <= depth; k += 8) {
        float8 r[8], s[8], t[8];
        for (int i = 0; i < 8; i++) r[i] = *(const float8_unaligned *)(rows + i * stride + k);
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
            float8 low = __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
            float8 high = __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
            *(float8_unaligned *)(panel + (k + i) * panel_stride) = low;
            *(float8_unaligned *)(panel + (k + i + 4) * panel_stride) = high;
        }
    }
    for (; k < depth; k++)
        for (int i = 0; i < 8; i++) panel[k * panel_stride + i] = rows[i * stride + k];
}

/// Stores the first `columns` of each of a tile's rows; not often called, so not often copied.
static __attribute__((noinline)) void store_part(
    const float *tile, ptrdiff_t tile_stride, ptrdiff_t rows, ptrdiff_t columns, float *c,
    ptrdiff_t c_stride, bool accumulates) {
    for (ptrdiff_t i = 0; i < rows; i++, tile += tile_stride, c += c_stride)
        for (ptrdiff_t j = 0; j < columns; j++) c[j] = accumulates ? c[j] + tile[j] : tile[j];
}

// Sixteen 256-bit registers hold 12 sums, two vectors of B and one element of A. A processor with
// 128-bit registers (arm64) has twice as many of them.
#define LANES 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define NAME(x) base_##x
#if defined(__x86_64__)
#define INSTRUCTIONS "AVX2"
#else
#define INSTRUCTIONS "the architecture's baseline"
#endif
#include "microkernels.inc"
#undef LANES
#undef TILE_ROWS
#undef TILE_VECTORS
#undef NAME
#undef TILE_COLUMNS
#undef INSTRUCTIONS

#if defined(__x86_64__)
// Thirty-two 512-bit registers hold 28 sums, two vectors of B and one element of A.
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define LANES 16
#define TILE_ROWS 14
#define TILE_VECTORS 2
#define NAME(x) wide_##x
#define INSTRUCTIONS "AVX-512"
#include "microkernels.inc"
#pragma clang attribute pop
#endif

lockstep_isa lockstep_best_isa(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return lockstep_isa_avx512;
#endif
    return lockstep_isa_base;
}

const lockstep_microkernels *lockstep_microkernels_for(lockstep_isa isa) {
#if defined(__x86_64__)
    if (isa == lockstep_isa_avx512) return &wide_kernels;
#endif
    return &base_kernels;
}
