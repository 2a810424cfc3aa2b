// The innermost loops of matrix products, once for each width of vector registers.
//
// An output element is a chain of fused multiply-adds over the depth in rising order, added to what
// is there or written over it. Which chain that is depends on neither the tile's shape nor the vector
// width, so all instruction sets give the same bits.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// One block of a product, whose operands fit a core's caches.
typedef struct {
    ptrdiff_t rows;
    ptrdiff_t columns;
    ptrdiff_t depth;
    /// The left operand: element (i, k) of the panel p of `tile_rows` rows is at
    /// p * a_panel_stride + i * a_row_stride + k * a_depth_stride.
    const void *a;
    ptrdiff_t a_panel_stride;
    ptrdiff_t a_row_stride;
    ptrdiff_t a_depth_stride;
    /// The right operand in panels of `tile_columns` columns, each (depth, tile_columns) and
    /// `b_panel_stride` elements apart.
    const void *b;
    ptrdiff_t b_panel_stride;
    /// The product, rows `c_stride` elements apart.
    float *c;
    ptrdiff_t c_stride;
    /// Whether the product is added to what is there.
    bool accumulates;
} lockstep_block;

/// The kernels for one instruction set.
typedef struct {
    const char *name;
    /// Rows and columns of a tile, which is kept in registers.
    ptrdiff_t tile_rows;
    ptrdiff_t tile_columns;
    /// A block whose left operand is contiguous along the depth (`a_depth_stride` is 1).
    void (*multiply_rows)(const lockstep_block *block);
    /// A block whose left operand is contiguous along the rows (`a_row_stride` is 1).
    void (*multiply_columns)(const lockstep_block *block);
    /// Packs a right operand (depth, columns) with contiguous rows into panels.
    void (*pack_rows)(
        const float *b, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t columns, float *panels);
    /// Packs a right operand that is stored transposed, (columns, depth) with contiguous rows.
    void (*pack_transposed)(
        const float *b, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t columns, float *panels);
    /// Packs a left operand that is stored transposed, (depth, rows) with contiguous rows, into
    /// panels of (depth, tile_rows).
    void (*pack_left)(
        const float *a, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t rows, float *panels);
} lockstep_microkernels;

/// The instruction sets that kernels are compiled for, the widest last.
typedef enum {
    lockstep_isa_base = 0,
    lockstep_isa_avx512 = 1,
} lockstep_isa;

/// The widest that this processor has.
lockstep_isa lockstep_best_isa(void);

/// The kernels for an instruction set that this processor has.
const lockstep_microkernels *lockstep_microkernels_for(lockstep_isa isa);
