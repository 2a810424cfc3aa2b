// The innermost loops of matrix products, for each number format and width of vector registers.
//
// An output element is a chain of fused multiply-adds over the depth, which is added to the
// existing value or replaces it. The order of the chain depends on neither the tile's shape nor the
// vector width, so all instruction sets give the same bits. In fp32 it ascends in depth. In bf16,
// whose products are exact in fp32, the second element of each pair comes before the first, as in
// AVX512-BF16's VDPBF16PS (which also treats subnormal numbers as zero).
//
// Only AMX differs: of every 32 numbers along the depth, the first of each pair form a chain from
// zero, and so do the second, and the sum of both is added to the element, which begins as the
// existing value or as zero (TDPBF16PS, which also treats subnormal numbers as zero).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A matrix of a block's shape to fetch into the caches; null for none.
typedef struct {
    const char *base;
    ptrdiff_t row_bytes;
    ptrdiff_t element_bytes;
} lockstep_prefetch;

/// One block of a product, whose operands fit a core's caches. Strides are in elements.
typedef struct {
    ptrdiff_t rows;
    ptrdiff_t columns;
    /// If it is odd and `a` is in bf16 and contiguous along the depth, a zero follows each row.
    ptrdiff_t depth;
    /// The left operand. If it is contiguous along the depth, row i of the panel p of `tile_rows`
    /// rows begins at p * a_panel_stride + i * a_row_stride.
    const void *a;
    ptrdiff_t a_panel_stride;
    ptrdiff_t a_row_stride;
    /// The distance between its rows if it is contiguous along the rows.
    ptrdiff_t a_depth_stride;
    /// The right operand in panels, `b_panel_stride` elements apart.
    const void *b;
    ptrdiff_t b_panel_stride;
    /// The product, with rows `c_stride` elements apart.
    float *c;
    ptrdiff_t c_stride;
    /// Whether the product is added to the existing values.
    bool accumulates;
    /// The matrices that are read or written next, at the positions of the product's elements.
    lockstep_prefetch prefetch[2];
} lockstep_block;

/// The kernels for one number format of the operands and one instruction set.
///
/// Panels hold groups of `depth_group` elements along the depth side by side: a right panel is
/// (depth / group, tile_columns, group), a left one (depth / group, tile_rows, group), or for AMX
/// (depth / 32, tile_rows, 32).
typedef struct lockstep_microkernels {
    const char *name;
    /// The kernels with lower and broader tiles, or null if there are none. They read fewer rows at
    /// once, so a left operand that is not packed costs them less.
    const struct lockstep_microkernels *broad;
    /// The rows and columns of a tile, which is kept in registers.
    ptrdiff_t tile_rows;
    ptrdiff_t tile_columns;
    ptrdiff_t depth_group;
    /// The multiple to which zeros extend the depth of panels.
    ptrdiff_t depth_multiple;
    /// The largest depth of the parts in which a product is computed.
    ptrdiff_t most_depth;
    ptrdiff_t element_bytes;
    /// Multiplies a block whose left operand is contiguous along the depth.
    void (*multiply_rows)(const lockstep_block *block);
    /// Multiplies a block whose left operand is packed, or in fp32 contiguous along the rows.
    void (*multiply_columns)(const lockstep_block *block);
    /// Packs a right operand (depth, columns) with contiguous rows into panels. Adds its rows in
    /// order to `sums`, which has room for whole tiles, unless it is null.
    void (*pack_right)(
        const void *b, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t columns, void *panels,
        float *sums);
    /// Packs a right operand that is stored transposed, (columns, depth) with contiguous rows.
    void (*pack_right_transposed)(
        const void *b, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t columns, void *panels);
    /// Packs a left operand (rows, depth) with contiguous rows into panels of `tile_rows` rows.
    void (*pack_left)(
        const void *a, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t rows, void *panels);
    /// Packs a left operand that is stored transposed, (depth, rows) with contiguous rows.
    void (*pack_left_transposed)(
        const void *a, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t rows, void *panels);
} lockstep_microkernels;

/// The instruction sets that kernels are compiled for, each of which includes those before it.
typedef enum {
    lockstep_isa_base = 0,
    lockstep_isa_avx512 = 1,
    lockstep_isa_avx512_bf16 = 2,
    lockstep_isa_amx = 3,
} lockstep_isa;

/// Returns the last instruction set that this processor has.
lockstep_isa lockstep_best_isa(void);

/// Returns the kernels for fp32 operands and an instruction set that this processor has.
const lockstep_microkernels *lockstep_microkernels_for(lockstep_isa isa);

/// Returns the kernels for bf16 operands. Before AVX512-BF16 they compute in fp32, at fp32's speed.
const lockstep_microkernels *lockstep_bf16_microkernels_for(lockstep_isa isa);
