// Shared parts of the kernels of all instruction sets; private to them.
#pragma once

#include "microkernels.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// A loop with a constant number of iterations, whose arrays should live in registers.
#define UNROLLED _Pragma("clang loop unroll(full)")

// The number of rows of a matrix that are packed together: their lines stay in the first-level
// cache while each panel in turn packs its part of them. It is also the number of rows by which a
// row is prefetched ahead, and a multiple of every group.
#define ROWS_AT_ONCE 32

// The number of panels of a left operand that are packed together, as parts of the same lines.
#define PANELS_AT_ONCE 8

typedef uint32_t word8 __attribute__((ext_vector_type(8)));
typedef word8 word8_unaligned __attribute__((aligned(2)));

/// Turns `count` rows, at most eight, of `depth` words into `depth` rows of `count` words,
/// `panel_stride` words apart, by transposing 8 x 8 words in registers.
///
/// Words between `count` and eight are also written, except after the last row of the panel.
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
        // The order matters: each row overwrites what the previous row wrote beyond `count`.
        for (int i = 0; i < 8; i++)
            *(word8_unaligned *)(to + (k + i) * panel_stride) = i < 4 ? low[i] : high[i - 4];
    }
    for (; k < depth; k++)
        for (ptrdiff_t i = 0; i < count; i++)
            __builtin_memcpy(to + k * panel_stride + i, from + i * row_bytes + k * 4, 4);
}

/// Stores the first `columns` of each of a tile's rows. It is rarely called, so it is not inlined.
static __attribute__((noinline)) void store_part(
    const float *tile, ptrdiff_t tile_stride, ptrdiff_t rows, ptrdiff_t columns, float *c,
    ptrdiff_t c_stride, bool accumulates) {
    for (ptrdiff_t i = 0; i < rows; i++, tile += tile_stride, c += c_stride)
        for (ptrdiff_t j = 0; j < columns; j++) c[j] = accumulates ? c[j] + tile[j] : tile[j];
}

/// The shapes of AMX's tile registers, as LDTILECFG reads them.
typedef struct {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/// Returns whether the processor has AMX's products of bf16 numbers and this process may use them.
bool lockstep_can_use_amx(void);

extern const lockstep_microkernels lockstep_amx_kernels;

ALWAYS_INLINE ptrdiff_t least(ptrdiff_t x, ptrdiff_t y) { return x < y ? x : y; }

/// Returns two neighboring bf16 numbers as one word.
ALWAYS_INLINE uint32_t pair(const uint16_t *from) {
    uint32_t word;
    __builtin_memcpy(&word, from, 4);
    return word;
}
