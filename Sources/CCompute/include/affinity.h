// Which processors a thread may use, as a set of bits; Swift does not see the functions that GNU adds.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Sets the bits of the processors that the calling thread may use; false where the system does not
/// say, as on one with more processors than there are bits. `bytes` is a multiple of 8.
bool lockstep_allowed_processors(uint8_t *bits, size_t bytes);

/// Lets the calling thread use these processors alone; false where the system refuses.
bool lockstep_bind_thread(const uint8_t *bits, size_t bytes);
