// Products of bf16 numbers in Intel's Advanced Matrix Extensions: eight tile registers of 16 rows
// of 64 bytes. Four registers hold 32 x 32 sums, two hold rows of A, and two hold columns of B,
// each 32 numbers deep.
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_support.h"

#define ROWS 16
#define TILE_ROWS (2 * ROWS)
#define STEP_DEPTH 32
#define LINE_BYTES 64

// The tests emulate the tile registers, and compile the rest for other processors.
#ifndef AMX_FEATURES
#define AMX_FEATURES "avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16,prfchw"
#endif
#pragma clang attribute push(__attribute__((target(AMX_FEATURES))), apply_to = function)

#define NAME(x) amx_##x
#define ELEMENT uint16_t
#define GROUP 2
#define DEPTH_MULTIPLE STEP_DEPTH
#define LANES 16
#define TILE_VECTORS 2
#include "packing.inc"

/// Shapes the registers for sums of `upper` and `lower` rows, each at most 16: registers 0 and 1, 2
/// and 3 for sums, 4 and 5 for rows of A, 6 and 7 for columns of B.
static void shape_tiles(ptrdiff_t upper, ptrdiff_t lower) {
    tile_shapes shapes = {.palette = 1};
    const ptrdiff_t rows[8] = {upper, upper, lower, lower, upper, lower, ROWS, ROWS};
    for (int tile = 0; tile < 8; tile++) {
        shapes.rows[tile] = (uint8_t)rows[tile];
        shapes.row_bytes[tile] = rows[tile] ? LINE_BYTES : 0;
    }
    _tile_loadconfig(&shapes);
}

/// Adds the products of 32 numbers along the depth; rows of A are `row_bytes` apart.
ALWAYS_INLINE void add_products(bool is_high, const char *a, ptrdiff_t row_bytes, const char *b) {
    _tile_loadd(4, a, row_bytes);
    _tile_loadd(6, b, 2 * LINE_BYTES);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + LINE_BYTES, 2 * LINE_BYTES);
    _tile_dpbf16ps(1, 4, 7);
    if (!is_high) return;
    _tile_loadd(5, a + ROWS * row_bytes, row_bytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/// Loads the sums of 32 columns from memory.
ALWAYS_INLINE void load_sums(bool is_high, const float *c, ptrdiff_t row_bytes) {
    _tile_loadd(0, c, row_bytes);
    _tile_loadd(1, c + ROWS, row_bytes);
    if (!is_high) return;
    const char *lower = (const char *)c + ROWS * row_bytes;
    _tile_loadd(2, lower, row_bytes);
    _tile_loadd(3, lower + LINE_BYTES, row_bytes);
}

ALWAYS_INLINE void store_sums(bool is_high, float *c, ptrdiff_t row_bytes) {
    _tile_stored(0, c, row_bytes);
    _tile_stored(1, c + ROWS, row_bytes);
    if (!is_high) return;
    char *lower = (char *)c + ROWS * row_bytes;
    _tile_stored(2, lower, row_bytes);
    _tile_stored(3, lower + LINE_BYTES, row_bytes);
}

ALWAYS_INLINE void zero_sums(bool is_high) {
    _tile_zero(0);
    _tile_zero(1);
    if (!is_high) return;
    _tile_zero(2);
    _tile_zero(3);
}

/// A tile's rows of A: the first row, the distance between rows, and the step along the depth.
typedef struct {
    const char *base;
    ptrdiff_t row_bytes;
    ptrdiff_t step_bytes;
} left_rows;

/// The addresses to fetch into the caches while a tile is computed, row by row: those of C, and
/// those of the matrices that a block's `prefetch` names.
typedef struct {
    const char *c;
    ptrdiff_t c_bytes;
    const char *prefetch[2];
    ptrdiff_t prefetch_bytes[2];
    bool prefetch_is_wide[2];
    ptrdiff_t rows;
} fetches;

ALWAYS_INLINE fetches fetches_of(
    const lockstep_block *block, ptrdiff_t row, ptrdiff_t column, ptrdiff_t rows, const float *c) {
    fetches f = {.c = (const char *)c, .c_bytes = block->c_stride * 4, .rows = rows};
    for (int m = 0; m < 2; m++) {
        const lockstep_prefetch *prefetch = &block->prefetch[m];
        f.prefetch_bytes[m] = prefetch->row_bytes;
        f.prefetch_is_wide[m] = prefetch->element_bytes * TILE_COLUMNS > LINE_BYTES;
        f.prefetch[m] = prefetch->base ? prefetch->base + row * prefetch->row_bytes +
                                             column * prefetch->element_bytes
                                       : 0;
    }
    return f;
}

/// Fetches the next `count` rows; all rows at once would be more than a core can have in flight.
ALWAYS_INLINE void fetch(fetches *f, ptrdiff_t count) {
    for (; count > 0 && f->rows > 0; count--, f->rows--) {
        __builtin_prefetch(f->c, 1);
        __builtin_prefetch(f->c + LINE_BYTES, 1);
        f->c += f->c_bytes;
        for (int m = 0; m < 2; m++) {
            if (!f->prefetch[m]) continue;
            __builtin_prefetch(f->prefetch[m]);
            if (f->prefetch_is_wide[m]) __builtin_prefetch(f->prefetch[m] + LINE_BYTES);
            f->prefetch[m] += f->prefetch_bytes[m];
        }
    }
}

/// Computes a tile of `rows` rows, for which the registers are shaped, and of `columns` columns;
/// `is_high` means more than 16 rows. `next` is the address of the next tile.
ALWAYS_INLINE void multiply_tile(
    bool is_high, const lockstep_block *block, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t column,
    ptrdiff_t columns, left_rows a, const char *b, const float *next) {
    float part[TILE_ROWS * TILE_COLUMNS];
    float *c = block->c + row * block->c_stride + column;
    ptrdiff_t c_bytes = block->c_stride * 4;
    bool is_whole = columns == TILE_COLUMNS;
    // Sums that are added to are needed at the start of a tile, others at its end.
    fetches ahead = fetches_of(block, row, column, rows, block->accumulates ? next : c);
    if (!block->accumulates) {
        zero_sums(is_high);
    } else if (is_whole) {
        load_sums(is_high, c, c_bytes);
    } else {
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < TILE_COLUMNS; j++)
                part[i * TILE_COLUMNS + j] = j < columns ? c[i * block->c_stride + j] : 0;
        load_sums(is_high, part, sizeof(float) * TILE_COLUMNS);
    }
    ptrdiff_t depth = block->depth;
    ptrdiff_t steps = (depth + STEP_DEPTH - 1) / STEP_DEPTH;
    ptrdiff_t rows_ahead = (rows + steps - 1) / steps;
    for (; depth >= STEP_DEPTH; depth -= STEP_DEPTH) {
        fetch(&ahead, rows_ahead);
        add_products(is_high, a.base, a.row_bytes, b);
        a.base += a.step_bytes;
        b += STEP_DEPTH * TILE_COLUMNS * sizeof(uint16_t);
    }
    if (depth > 0) {
        // The elements after the end of a row do not belong to it.
        uint16_t ends[TILE_ROWS][STEP_DEPTH] = {{0}};
        for (ptrdiff_t i = 0; i < rows; i++)
            __builtin_memcpy(ends[i], a.base + i * a.row_bytes, depth * sizeof(uint16_t));
        add_products(is_high, (const char *)ends, LINE_BYTES, b);
    }
    if (is_whole) {
        store_sums(is_high, c, c_bytes);
    } else {
        store_sums(is_high, part, sizeof(float) * TILE_COLUMNS);
        store_part(part, TILE_COLUMNS, rows, columns, c, block->c_stride, false);
    }
}

/// Computes the tiles of `count` panels of A, of `rows` rows each.
static void multiply_panels(
    const lockstep_block *block, ptrdiff_t first, ptrdiff_t count, ptrdiff_t rows,
    ptrdiff_t row_bytes, ptrdiff_t step_bytes) {
    ptrdiff_t across = (block->columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
    shape_tiles(least(rows, ROWS), rows > ROWS ? rows - ROWS : 0);
    for (ptrdiff_t j = 0; j < across; j++) {
        ptrdiff_t column = j * TILE_COLUMNS;
        ptrdiff_t columns = least(block->columns - column, TILE_COLUMNS);
        const char *b = (const char *)((const uint16_t *)block->b + j * block->b_panel_stride);
        for (ptrdiff_t i = first; i < first + count; i++) {
            bool is_last = i + 1 == first + count;
            ptrdiff_t next_row = (is_last ? first : i + 1) * TILE_ROWS;
            ptrdiff_t next_column = is_last ? column + TILE_COLUMNS : column;
            const float *next = block->c + next_row * block->c_stride + next_column;
            left_rows a = {
                (const char *)((const uint16_t *)block->a + i * block->a_panel_stride), row_bytes,
                step_bytes};
            ptrdiff_t row = i * TILE_ROWS;
            if (rows > ROWS)
                multiply_tile(true, block, row, rows, column, columns, a, b, next);
            else
                multiply_tile(false, block, row, rows, column, columns, a, b, next);
        }
    }
}

static void multiply_block(const lockstep_block *block, ptrdiff_t row_bytes, ptrdiff_t step_bytes) {
    ptrdiff_t whole = block->rows / TILE_ROWS;
    ptrdiff_t rest = block->rows % TILE_ROWS;
    if (whole > 0) multiply_panels(block, 0, whole, TILE_ROWS, row_bytes, step_bytes);
    if (rest > 0) multiply_panels(block, whole, 1, rest, row_bytes, step_bytes);
    // The system need not save empty registers when it switches between threads.
    _tile_release();
}

static void multiply_rows(const lockstep_block *block) {
    multiply_block(block, block->a_row_stride * sizeof(uint16_t), LINE_BYTES);
}

static void multiply_columns(const lockstep_block *block) {
    multiply_block(block, LINE_BYTES, TILE_ROWS * LINE_BYTES);
}

// A left panel is (depth / 32, 32 rows, 32): each step along the depth reads 32 consecutive lines.

static void pack_left(
    const void *a, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t rows, void *panels) {
    uint16_t *to = panels;
    for (ptrdiff_t i = 0; i < rows; i += TILE_ROWS) {
        const uint16_t *from = (const uint16_t *)a + i * stride;
        ptrdiff_t height = least(rows - i, TILE_ROWS);
        for (ptrdiff_t k = 0; k < depth; k += STEP_DEPTH) {
            ptrdiff_t count = least(depth - k, STEP_DEPTH);
            for (ptrdiff_t n = 0; n < TILE_ROWS; n++, to += STEP_DEPTH) {
                if (n < height && count == STEP_DEPTH) {
                    __builtin_memcpy(to, from + n * stride + k, LINE_BYTES);
                } else {
                    __builtin_memset(to, 0, LINE_BYTES);
                    if (n < height) __builtin_memcpy(to, from + n * stride + k, 2 * count);
                }
            }
        }
    }
}

/// Transposes 32 rows, of which `count` exist, of 32 columns, of which `width` exist.
ALWAYS_INLINE void transpose_step(
    const uint16_t *from, ptrdiff_t stride, ptrdiff_t count, ptrdiff_t width, uint16_t *to) {
    uint16_t groups[STEP_DEPTH / 2][2 * TILE_ROWS];
    for (ptrdiff_t k = 0; k < STEP_DEPTH; k += 2)
        for (ptrdiff_t i = 0; i < TILE_ROWS; i += LANES)
            amx_pack_group(
                from + k * stride + i, stride, least(count - k, 2), width - i,
                groups[k / 2] + 2 * i);
    for (ptrdiff_t i = 0; i < TILE_ROWS; i += 8)
        for (ptrdiff_t k = 0; k < STEP_DEPTH / 2; k += 8)
            transpose_words(
                groups[k] + 2 * i, sizeof(groups[0]), 8, to + i * STEP_DEPTH + 2 * k,
                STEP_DEPTH / 2, 8);
}

static void pack_left_transposed(
    const void *a, ptrdiff_t stride, ptrdiff_t depth, ptrdiff_t rows, void *panels) {
    ptrdiff_t padded = amx_padded(depth);
    // Panels that share cache lines are packed together.
    for (ptrdiff_t k = 0; k < depth; k += STEP_DEPTH) {
        ptrdiff_t count = least(depth - k, STEP_DEPTH);
        for (ptrdiff_t i = 0; i < rows; i += TILE_ROWS) {
            const uint16_t *from = (const uint16_t *)a + k * stride + i;
            uint16_t *to = (uint16_t *)panels + i * padded + k * TILE_ROWS;
            ptrdiff_t width = least(rows - i, TILE_ROWS);
            for (ptrdiff_t n = 0; n < STEP_DEPTH; n++)
                __builtin_prefetch(from + (STEP_DEPTH + n) * stride);
            if (count == STEP_DEPTH && width == TILE_ROWS)
                transpose_step(from, stride, STEP_DEPTH, TILE_ROWS, to);
            else
                transpose_step(from, stride, count, width, to);
        }
    }
}
#pragma clang attribute pop

const lockstep_microkernels lockstep_amx_kernels = {
    .name = "AMX-BF16",
    .broad = 0,
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = GROUP,
    .depth_multiple = DEPTH_MULTIPLE,
    .most_depth = 768,
    .element_bytes = sizeof(uint16_t),
    .multiply_rows = multiply_rows,
    .multiply_columns = multiply_columns,
    .pack_right = amx_pack_right,
    .pack_right_transposed = amx_pack_right_transposed,
    .pack_left = pack_left,
    .pack_left_transposed = pack_left_transposed,
};

/// Asks the operating system to allow this process the tile registers: Linux 5.16 and later
/// (Documentation/arch/x86/xstate.rst).
bool lockstep_can_use_amx(void) {
    enum { request_permission = 0x1023, tile_data = 18 };
    return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
