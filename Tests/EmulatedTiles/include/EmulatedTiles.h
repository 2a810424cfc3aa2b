// The AMX kernels with emulated tile registers, so that any x86-64 processor can test them.
#pragma once

#include "microkernels.h"

/// The kernels; null on other architectures.
const lockstep_microkernels *lockstep_emulated_tile_kernels(void);
