// Injects faults into a process that preloads it:
//   cc -shared -fPIC -O1 injector.c -o injector.so
//   LOCKSTEP_FAULTS=FOLDER LD_PRELOAD=./injector.so COMMAND
//
// A file in FOLDER requests one fault, which removes the file; a folder in its place requests the fault every time.
//   EIO-checkpoint, ENOSPC-checkpoint, EIO-metrics, ENOSPC-metrics, short-metrics, sync-metrics
//       The next call that writes a checkpoint or metrics.jsonl fails, or writes only half of its bytes; "sync" is an
//       fsync that fails.
//   nan-RANK
//       The message with gradients to which the variable LOCKSTEP_NAN_MESSAGE counts begins with a NaN; a call of
//       MPI_Isend with more than 256 bytes counts as such a message.
//   stop-dup-RANK, stop-end-RANK
//       The rank stops in its next call of MPI_Comm_dup or MPI_Finalize.
//   clock
//       A file that stays. The wall clock is ahead by its first 8 bytes, in nanoseconds; the next 8 bytes count the
//       readings of the changed clock.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct wall_clock {
    _Atomic int64_t ahead;
    _Atomic int64_t readings;
};

static const char *folder;
static struct wall_clock *wall_clock;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("LOCKSTEP_FAULTS");
    if (!folder) return;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/clock", folder);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof *wall_clock, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) wall_clock = memory;
    close(file);
}

// Returns whether a fault is requested, and removes the request.
static int take(const char *fault, const char *what) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s-%s", folder, fault, what);
    return unlink(path) == 0 || errno == EISDIR;
}

// Returns the kind of a file that faults may affect, or NULL.
static const char *kind(const char *path) {
    if (strstr(path, "/checkpoints/")) return "checkpoint";
    size_t length = strlen(path);
    const char *name = "/metrics.jsonl";
    return length > strlen(name) && !strcmp(path + length - strlen(name), name) ? "metrics" : NULL;
}

static const char *kind_of_descriptor(int descriptor) {
    if (!folder) return NULL;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return kind(path);
}

// Returns the error with which a call must fail, or 0.
static int error_for(const char *kind) {
    int before = errno;
    int error = !kind ? 0 : take("EIO", kind) ? EIO : take("ENOSPC", kind) ? ENOSPC : 0;
    errno = before;
    return error;
}

static int fails(const char *kind) {
    int error = error_for(kind);
    if (error) errno = error;
    return error != 0;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    const char *kind = kind_of_descriptor(descriptor);
    if (fails(kind)) return -1;
    if (kind && count > 1 && take("short", kind)) count /= 2;
    return syscall(SYS_write, descriptor, bytes, count);
}

int fsync(int descriptor) {
    const char *kind = kind_of_descriptor(descriptor);
    if (kind && take("sync", kind)) {
        errno = EIO;
        return -1;
    }
    return fails(kind) ? -1 : syscall(SYS_fsync, descriptor);
}

int rename(const char *from, const char *to) {
    return folder && fails(kind(to)) ? -1 : syscall(SYS_rename, from, to);
}

int mkdir(const char *path, mode_t mode) {
    return folder && fails(kind(path)) ? -1 : syscall(SYS_mkdir, path, mode);
}

// Returns the nanoseconds by which the wall clock is ahead, and counts the reading.
static int64_t ahead(void) {
    int64_t ahead = wall_clock ? wall_clock->ahead : 0;
    if (ahead) wall_clock->readings++;
    return ahead;
}

static const int64_t second = 1000000000;

static int64_t nanoseconds(const struct timespec *time) {
    return time->tv_sec * second + time->tv_nsec;
}

static void set(struct timespec *time, int64_t nanoseconds) {
    time->tv_sec = nanoseconds / second;
    time->tv_nsec = nanoseconds % second;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original) original = dlsym(RTLD_NEXT, "clock_gettime");
    int status = original(clock, time);
    if (!status && clock == CLOCK_REALTIME) set(time, nanoseconds(time) + ahead());
    return status;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    if (!status) {
        time->tv_sec = now.tv_sec;
        time->tv_usec = now.tv_nsec / 1000;
    }
    return status;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

// The kernel's clock does not jump, so this wait looks at the changed one.
int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict limit) {
    static int (*original)(sem_t *, const struct timespec *);
    if (!original) original = dlsym(RTLD_NEXT, "sem_timedwait");
    if (!wall_clock) return original(semaphore, limit);
    while (sem_trywait(semaphore)) {
        if (errno != EAGAIN) return -1;
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        if (nanoseconds(&now) >= nanoseconds(limit)) {
            errno = ETIMEDOUT;
            return -1;
        }
        usleep(1000);
    }
    return 0;
}

// The handles of Open MPI are pointers, so its header is not needed.
int MPI_Isend(
    const void *bytes, int count, void *type, int destination, int tag, void *communicator,
    void *request) {
    static int (*original)(const void *, int, void *, int, int, void *, void *);
    static atomic_int messages;
    if (!original) original = dlsym(RTLD_NEXT, "MPI_Isend");
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *number = getenv("LOCKSTEP_NAN_MESSAGE");
    // All bits are set in a NaN of any format.
    if (folder && rank && number && count > 256 && ++messages == atoi(number) && take("nan", rank))
        memset((void *)bytes, 0xff, 4);
    return original(bytes, count, type, destination, tag, communicator, request);
}

static void stop_if_requested(const char *call) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (folder && rank && take(call, rank)) raise(SIGSTOP);
}

int MPI_Comm_dup(void *communicator, void *copy) {
    int (*original)(void *, void *) = dlsym(RTLD_NEXT, "MPI_Comm_dup");
    stop_if_requested("stop-dup");
    return original(communicator, copy);
}

int MPI_Finalize(void) {
    int (*original)(void) = dlsym(RTLD_NEXT, "MPI_Finalize");
    stop_if_requested("stop-end");
    return original();
}
