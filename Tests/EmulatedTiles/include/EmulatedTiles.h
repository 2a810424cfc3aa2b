// The AMX kernels with tile registers made of memory, to be tested on any x86-64 processor.
#pragma once

#include "microkernels.h"

/// The kernels; null on other architectures.
const lockstep_microkernels *lockstep_emulated_tile_kernels(void);
