// Disturbs the thread that writes checkpoints in a process that preloads it:
//   cc -shared -fPIC -O1 faults.c -o faults.so
//   LD_PRELOAD=./faults.so WRITER_FAULT=kill WRITER_CALL=7 COMMAND
// The faults are
//   kill   the process is killed before the thread's call number WRITER_CALL that touches a file,
//          counted over all checkpoints
//   fail   call number 1 fails in the first checkpoint, number 2 in the second, and so on
//   hold   each call creates the file WRITER_GATE.waiting and waits until the file WRITER_GATE exists
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/// The calls of all threads that wrote checkpoints, of which there is one at a time, and the calls
/// and the number of the last of them.
static long all_calls, calls, threads;
static __thread int is_known;

static void hold(const char *gate) {
    char waiting[4096];
    snprintf(waiting, sizeof waiting, "%s.waiting", gate);
    mknod(waiting, S_IFREG | 0600, 0);
    while (access(gate, F_OK)) usleep(2000);
}

/// Returns whether the call that this precedes must fail.
static int fails(void) {
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    const char *fault = getenv("WRITER_FAULT");
    if (!fault || strcmp(name, "checkpoint")) return 0;
    if (!is_known) {
        is_known = 1;
        threads++;
        calls = 0;
    }
    calls++;
    all_calls++;
    if (!strcmp(fault, "kill") && all_calls == atol(getenv("WRITER_CALL"))) kill(getpid(), SIGKILL);
    if (!strcmp(fault, "hold")) hold(getenv("WRITER_GATE"));
    if (strcmp(fault, "fail") || calls != threads) return 0;
    errno = EIO;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return fails() ? -1 : NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    return fails() ? -1 : NEXT(open64)(path, flags, mode);
}

ssize_t read(int file, void *bytes, size_t size) {
    return fails() ? -1 : NEXT(read)(file, bytes, size);
}

ssize_t pread(int file, void *bytes, size_t size, off_t place) {
    return fails() ? -1 : NEXT(pread)(file, bytes, size, place);
}

ssize_t write(int file, const void *bytes, size_t size) {
    return fails() ? -1 : NEXT(write)(file, bytes, size);
}

int fsync(int file) { return fails() ? -1 : NEXT(fsync)(file); }
int mkdir(const char *path, mode_t mode) { return fails() ? -1 : NEXT(mkdir)(path, mode); }
int rename(const char *old, const char *new) { return fails() ? -1 : NEXT(rename)(old, new); }
int unlink(const char *path) { return fails() ? -1 : NEXT(unlink)(path); }
int rmdir(const char *path) { return fails() ? -1 : NEXT(rmdir)(path); }

// A failed close frees the descriptor all the same.
int close(int file) {
    int failed = fails(), status = NEXT(close)(file);
    if (failed) errno = EIO;
    return failed ? -1 : status;
}
