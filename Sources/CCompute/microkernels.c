#include <immintrin.h>

#include "kernel_support.h"

// The steps that microkernels.inc takes along the depth.

// One fused multiply-add of fp32 numbers.
#define STEP_FP32(vector, words)                                                                 \
    vector right[TILE_VECTORS];                                                                  \
    UNROLLED for (int j = 0; j < TILE_VECTORS; j++) right[j] = *(const vector *)(b + j * LANES); \
    UNROLLED for (int i = 0; i < rows; i++) UNROLLED for (int j = 0; j < TILE_VECTORS; j++)      \
        sums[i][j] = __builtin_elementwise_fma((vector)a[i * row_stride], right[j], sums[i][j]);

// Two products of bf16 numbers, widened to fp32: the second of each pair is in the upper half of
// its word, the first is shifted there. The barrier makes the compiler load all words again for the
// other half, because there are no registers to keep them in.
#define STEP_WIDENED(vector, words)                                                 \
    UNROLLED for (int half = 1; half >= 0; half--) {                                \
        __asm__ volatile("" ::: "memory");                                          \
        vector right[TILE_VECTORS];                                                 \
        UNROLLED for (int j = 0; j < TILE_VECTORS; j++) {                           \
            words both = *(const words *)(b + j * LANES * 2);                       \
            right[j] = (vector)(half ? both & 0xffff0000 : both << 16);             \
        }                                                                           \
        UNROLLED for (int i = 0; i < rows; i++) {                                   \
            words both = (words)pair(a + i * row_stride);                           \
            vector left = (vector)(half ? both & 0xffff0000 : both << 16);          \
            UNROLLED for (int j = 0; j < TILE_VECTORS; j++)                         \
                sums[i][j] = __builtin_elementwise_fma(left, right[j], sums[i][j]); \
        }                                                                           \
    }

// Two products of bf16 numbers in one instruction.
#define STEP_BF16(vector, words)                                                            \
    words right[TILE_VECTORS];                                                              \
    UNROLLED for (int j = 0; j < TILE_VECTORS; j++)                                         \
        right[j] = *(const words *)(b + j * LANES * 2);                                     \
    UNROLLED for (int i = 0; i < rows; i++) UNROLLED for (int j = 0; j < TILE_VECTORS; j++) \
        sums[i][j] = (vector)_mm512_dpbf16_ps(                                              \
            (__m512)sums[i][j], (__m512bh)(words)pair(a + i * row_stride), (__m512bh)right[j]);

// Sixteen 256-bit registers hold 12 sums, two vectors of B and one element of A, or three and one.
// An iteration has several steps, because if another thread shares the core, instructions that only
// count or address compete with arithmetic.
#define NAME(x) base_broad_##x
#define ELEMENT float
#define GROUP 1
#define STEP STEP_FP32
#define STEPS 4
#define LANES 8
#define TILE_ROWS 4
#define TILE_VECTORS 3
#define BROAD 0
#define INSTRUCTIONS "AVX2"
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
#define INSTRUCTIONS "AVX2"
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
#define INSTRUCTIONS "AVX2"
#include "microkernels.inc"

// Thirty-two 512-bit registers hold 28 sums, two vectors of B and one element of A. An iteration
// has one step: with several, the compiler keeps more values live than there are registers.
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

lockstep_isa lockstep_best_isa(void) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return lockstep_can_use_amx()                 ? lockstep_isa_amx
               : __builtin_cpu_supports("avx512bf16") ? lockstep_isa_avx512_bf16
                                                      : lockstep_isa_avx512;
    return lockstep_isa_base;
}

const lockstep_microkernels *lockstep_microkernels_for(lockstep_isa isa) {
    if (isa != lockstep_isa_base) return &wide_kernels;
    return &base_kernels;
}

const lockstep_microkernels *lockstep_bf16_microkernels_for(lockstep_isa isa) {
    if (isa == lockstep_isa_amx) return &lockstep_amx_kernels;
    if (isa == lockstep_isa_avx512_bf16) return &native_bf16_kernels;
    if (isa == lockstep_isa_avx512) return &wide_bf16_kernels;
    return &base_bf16_kernels;
}
