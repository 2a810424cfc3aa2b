// What a core's arithmetic can do at best: chains of fused multiply-adds that never leave registers.
#pragma once

/// Runs `rounds` rounds of independent fused multiply-adds in the widest vectors that the processor
/// has, and returns the floating-point operations done; `sink` receives a value that depends on all.
double lockstep_multiply_add(long rounds, float *sink);

/// The same for products of bf16 numbers, in matrix tiles or two in each fp32 lane, or in fp32 where
/// the processor has neither.
double lockstep_bf16_multiply_add(long rounds, float *sink);
