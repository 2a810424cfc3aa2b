// Open MPI for Swift: mpi.h, its constants that are casts, which Swift does not import, and counters
// that ranks share: Swift's own atomics cannot live at a given address.
#pragma once
#include <mpi.h>
#include <stdint.h>

static inline MPI_Comm lockstep_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm lockstep_comm_null(void) { return MPI_COMM_NULL; }
static inline MPI_Request lockstep_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Errhandler lockstep_errors_return(void) { return MPI_ERRORS_RETURN; }
static inline MPI_Status *lockstep_status_ignore(void) { return MPI_STATUS_IGNORE; }
static inline MPI_Datatype lockstep_byte(void) { return MPI_BYTE; }
static inline MPI_Datatype lockstep_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype lockstep_double(void) { return MPI_DOUBLE; }
static inline MPI_Datatype lockstep_int64(void) { return MPI_INT64_T; }
static inline MPI_Op lockstep_sum(void) { return MPI_SUM; }
static inline MPI_Op lockstep_min(void) { return MPI_MIN; }
static inline MPI_Op lockstep_max(void) { return MPI_MAX; }
static inline MPI_Info lockstep_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_Win lockstep_win_null(void) { return MPI_WIN_NULL; }

// What was written before a counter was stored is visible to whoever has loaded that value.
static inline uint64_t lockstep_load_acquire(const uint64_t *counter) {
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}
static inline void lockstep_store_release(uint64_t *counter, uint64_t value) {
    __atomic_store_n(counter, value, __ATOMIC_RELEASE);
}

// Tells the processor that this thread waits in a loop.
static inline void lockstep_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}
