// Counts the heap allocations of a process that preloads it, and prints the number at the end:
//   cc -shared -fPIC -O1 counter.c -o counter.so
//   LD_PRELOAD=./counter.so COMMAND      ->   "allocations 12345" on stderr
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

// glibc's own names of the functions that are replaced here.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_long count;

void *malloc(size_t size) {
    count++;
    return __libc_malloc(size);
}

void *calloc(size_t items, size_t size) {
    count++;
    return __libc_calloc(items, size);
}

void *realloc(void *memory, size_t size) {
    count++;
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    count++;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = memalign(alignment, size);
    return *memory ? 0 : 12;
}

__attribute__((destructor)) static void report(void) {
    fprintf(stderr, "allocations %ld\n", (long)count);
}
