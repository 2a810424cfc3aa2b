// Products of bf16 numbers in Advanced Matrix Extensions; private to the kernels.
#pragma once

#include "microkernels.h"

/// Returns whether the processor has the extensions and this process may use them.
bool lockstep_can_use_amx(void);

extern const lockstep_microkernels lockstep_amx_kernels;
