// A core's peak arithmetic speed: chains of fused multiply-adds that never leave registers.
#pragma once

/// Runs `rounds` rounds of independent fused multiply-adds in the widest vectors that the processor
/// has, and returns the number of floating-point operations; `sink` receives a value that depends
/// on all of them.
double lockstep_multiply_add(long rounds, float *sink);

/// Does the same for products of bf16 numbers, in matrix tiles or two in each fp32 lane, or in fp32
/// if the processor has neither.
double lockstep_bf16_multiply_add(long rounds, float *sink);
