// Vector operations that Swift 6.3 does not vectorize (square roots, conversions, minima and
// maxima) or cannot express.
#pragma once

typedef float lockstep_float8 __attribute__((ext_vector_type(8)));
typedef double lockstep_double8 __attribute__((ext_vector_type(8)));
typedef unsigned lockstep_uint8 __attribute__((ext_vector_type(8)));
typedef unsigned short lockstep_half8 __attribute__((ext_vector_type(8)));

#define LOCKSTEP_INLINE static inline __attribute__((always_inline))

/// Returns eight square roots, each correctly rounded.
LOCKSTEP_INLINE lockstep_float8 lockstep_sqrt8(lockstep_float8 x) {
    return __builtin_elementwise_sqrt(x);
}

/// Returns the element-wise maximum; the second operand if the elements are unordered.
LOCKSTEP_INLINE lockstep_float8 lockstep_max8(lockstep_float8 x, lockstep_float8 y) {
    return x > y ? x : y;
}

/// Returns the element-wise minimum; the second operand if the elements are unordered.
LOCKSTEP_INLINE lockstep_float8 lockstep_min8(lockstep_float8 x, lockstep_float8 y) {
    return x < y ? x : y;
}

/// Returns eight bf16 numbers as fp32.
LOCKSTEP_INLINE lockstep_float8 lockstep_widen8(lockstep_half8 x) {
    lockstep_uint8 bits = __builtin_convertvector(x, lockstep_uint8) << 16;
    return (lockstep_float8)bits;
}

/// Rounds eight fp32 numbers to bf16, ties to even; a NaN stays a NaN.
LOCKSTEP_INLINE lockstep_half8 lockstep_narrow8(lockstep_float8 x) {
    lockstep_uint8 bits = (lockstep_uint8)x;
    lockstep_uint8 rounded = bits + 0x7fff + ((bits >> 16) & 1);
    bits = x == x ? rounded : bits | 0x400000;
    return __builtin_convertvector(bits >> 16, lockstep_half8);
}

/// Returns eight fp32 numbers in double.
LOCKSTEP_INLINE lockstep_double8 lockstep_doubles8(lockstep_float8 x) {
    return __builtin_convertvector(x, lockstep_double8);
}

/// Requests a cache line with the right to write it, without waiting; any address is allowed.
LOCKSTEP_INLINE void lockstep_claim(const void *line) {
    // Clang writes a plain prefetch for x86-64-v3; processors without this one do nothing.
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
}
