// What Swift 6.3 does not vectorise: SIMD square roots, conversions and clamping become scalar calls.
#pragma once

typedef float lockstep_float8 __attribute__((ext_vector_type(8)));
typedef int lockstep_int8 __attribute__((ext_vector_type(8)));

/// Eight square roots, each correctly rounded.
static inline __attribute__((always_inline)) lockstep_float8 lockstep_sqrt8(lockstep_float8 x) {
    return __builtin_elementwise_sqrt(x);
}
