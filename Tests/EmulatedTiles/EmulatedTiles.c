#include "EmulatedTiles.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The instructions follow Intel's manual except for subnormal numbers. An instruction that would
// raise an exception ends the process.

enum { tile_count = 8, most_rows = 16, most_row_bytes = 64 };

static _Thread_local struct {
    int rows;
    int row_bytes;
    unsigned char bytes[most_rows][most_row_bytes];
} tiles[tile_count];

static void require(int holds) {
    if (!holds) abort();
}

static void load_shapes(const void *shapes) {
    const unsigned char *bytes = shapes;
    require(bytes[0] == 1);
    for (int tile = 0; tile < 16; tile++) {
        uint16_t row_bytes;
        memcpy(&row_bytes, bytes + 16 + 2 * tile, sizeof(row_bytes));
        int rows = bytes[48 + tile];
        require(!rows == !row_bytes && rows <= most_rows && row_bytes <= most_row_bytes);
        require(tile < tile_count || rows == 0);
        if (tile >= tile_count) continue;
        memset(&tiles[tile], 0, sizeof(tiles[tile]));
        tiles[tile].rows = rows;
        tiles[tile].row_bytes = row_bytes;
    }
}

static void zero(int tile) {
    require(tiles[tile].rows > 0);
    memset(tiles[tile].bytes, 0, sizeof(tiles[tile].bytes));
}

static void load(int tile, const void *base, ptrdiff_t stride) {
    zero(tile);
    for (int row = 0; row < tiles[tile].rows; row++)
        memcpy(tiles[tile].bytes[row], (const char *)base + row * stride, tiles[tile].row_bytes);
}

static void store(int tile, void *base, ptrdiff_t stride) {
    require(tiles[tile].rows > 0);
    for (int row = 0; row < tiles[tile].rows; row++)
        memcpy((char *)base + row * stride, tiles[tile].bytes[row], tiles[tile].row_bytes);
}

static float widened(const unsigned char *place) {
    uint16_t upper;
    memcpy(&upper, place, sizeof(upper));
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void add_pairs(int c, int a, int b) {
    require(tiles[c].rows > 0 && tiles[a].rows == tiles[c].rows);
    require(tiles[b].rows == tiles[a].row_bytes / 4 && tiles[b].row_bytes == tiles[c].row_bytes);
    for (int m = 0; m < tiles[c].rows; m++)
        for (int n = 0; n < tiles[c].row_bytes / 4; n++) {
            float first = 0, second = 0;
            for (int k = 0; k < tiles[b].rows; k++) {
                const unsigned char *left = tiles[a].bytes[m] + 4 * k;
                const unsigned char *right = tiles[b].bytes[k] + 4 * n;
                first = fmaf(widened(left), widened(right), first);
                second = fmaf(widened(left + 2), widened(right + 2), second);
            }
            float sum;
            memcpy(&sum, tiles[c].bytes[m] + 4 * n, sizeof(sum));
            sum += first + second;
            memcpy(tiles[c].bytes[m] + 4 * n, &sum, sizeof(sum));
        }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig load_shapes
#define _tile_release() memset(tiles, 0, sizeof(tiles))
#define _tile_zero zero
#define _tile_loadd load
#define _tile_stored store
#define _tile_dpbf16ps add_pairs

#define AMX_FEATURES "avx2"
#define lockstep_amx_kernels emulated_tile_kernels
#define lockstep_can_use_amx emulated_tiles_are_there
#pragma clang diagnostic ignored "-Wpsabi"
#include "../../Sources/CCompute/amx.c"

const lockstep_microkernels *lockstep_emulated_tile_kernels(void) { return &lockstep_amx_kernels; }
#else
const lockstep_microkernels *lockstep_emulated_tile_kernels(void) { return 0; }
#endif
