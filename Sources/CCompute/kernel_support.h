// What the kernels of all instruction sets are made of; private to them.
#pragma once

#include "microkernels.h"

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

/// `count` rows, at most eight, of `depth` words become `depth` rows of `count`, `panel_stride`
/// words apart, by transposing 8 x 8 in registers.
///
/// Words between `count` and eight are written too, except after the last row of the panel.
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
                t[i + 2 * j] =
                    __builtin_shufflevector(s[i + j], s[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
                t[i + 2 * j + 1] =
                    __builtin_shufflevector(s[i + j], s[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
            }
        }
        for (int i = 0; i < 4; i++) {
            low[i] = __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
            high[i] = __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
        }
        // The order matters: each row overwrites what the previous one wrote beyond `count`.
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
