// Products of bf16 numbers in Advanced Matrix Extensions; private to the kernels.
#pragma once

#include "microkernels.h"

/// Whether the processor has them and the operating system lets this process use them.
bool lockstep_can_use_amx(void);

extern const lockstep_microkernels lockstep_amx_kernels;
