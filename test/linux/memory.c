/* mmap, mprotect, mremap, brk, stack growth, madvise, large pages, limits. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#define CHECK(e) do { errno = 0; long r = (long)(e); printf("%s -> %ld %s\n", #e, r, r == -1 ? strerror(errno) : ""); } while (0)
static int deep(int n) {
    volatile char room[4000];
    room[0] = n;
    return n == 0 ? 0 : deep(n - 1) + room[0] - (char)n + 1;
}
int main(void) {
    char *a = mmap(0, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(a, 1, 16 * 4096);
    CHECK(mprotect(a + 4096, 4096, PROT_READ));
    CHECK(munmap(a + 8 * 4096, 4096));
    CHECK(mprotect(a, 16 * 4096, PROT_READ));
    CHECK(mprotect(a, 8 * 4096, PROT_READ | PROT_WRITE));
    a[0] = 2;
    char *b = mremap(a, 8 * 4096, 64 * 4096, MREMAP_MAYMOVE);
    printf("%d %d %d\n", b != MAP_FAILED, b[0], b[5000]);
    CHECK(madvise(b, 4096, MADV_DONTNEED));
    printf("%d %d\n", b[0], b[4096]);
    CHECK(mmap((void *)123, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
    CHECK(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    CHECK(mmap(0, 4096, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED);
    CHECK(mmap(b, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
    void *low = mmap((void *)0x200000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%p\n", low);
    char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, "\xb8\x2a\x00\x00\x00\xc3", 6);
    printf("%d\n", ((int (*)(void))code)());
    memcpy(code + 1, "\x2b", 1);
    printf("%d\n", ((int (*)(void))code)());
    char *old = sbrk(0);
    CHECK(sbrk(10000) == old);
    old[9999] = 1;
    CHECK(brk(old));
    printf("%d\n", deep(1000));
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_STACK, &limit));
    unsigned char present[4];
    CHECK(mincore(b, 2 * 4096, present));
    printf("%d\n", present[1] & 1);
    CHECK(msync(b, 4096, MS_SYNC));
    CHECK(munmap(b, 64 * 4096));
    CHECK(munmap(b + 1, 4096));
    return 0;
}
