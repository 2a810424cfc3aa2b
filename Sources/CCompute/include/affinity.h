// The processors that a thread may use, as bits. C code is needed because Swift does not see the
// GNU extensions.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Sets the bits of the processors that the calling thread may use. Returns false if the system
/// does not report them, for example because it has more processors than there are bits. `bytes` is
/// a multiple of 8.
bool lockstep_allowed_processors(uint8_t *bits, size_t bytes);

/// Restricts the calling thread to these processors; returns false if the system refuses.
bool lockstep_bind_thread(const uint8_t *bits, size_t bytes);
