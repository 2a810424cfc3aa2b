#define _GNU_SOURCE
#include "affinity.h"

#include <sched.h>
#include <string.h>

bool lockstep_allowed_processors(uint8_t *bits, size_t bytes) {
    memset(bits, 0, bytes);
    return sched_getaffinity(0, bytes, (cpu_set_t *)bits) == 0;
}

bool lockstep_bind_thread(const uint8_t *bits, size_t bytes) {
    return sched_setaffinity(0, bytes, (const cpu_set_t *)bits) == 0;
}
