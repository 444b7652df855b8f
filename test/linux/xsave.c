/*
 * XSAVE, XSAVEOPT, XSAVEC, XRSTOR and XGETBV over random images: what they write, and a checksum of what they restore.
 * The argument says which state components take part. Fields that processors fill differently are blanked: MXCSR_MASK and
 * the pointers to the last x87 instruction.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AREA 1024
static uint8_t area[AREA] __attribute__((aligned(64))), image[AREA] __attribute__((aligned(64)));
static const uint8_t initial[AREA] __attribute__((aligned(64))) = {[0] = 0x7f, [1] = 3, [24] = 0x80, [25] = 0x1f};

static uint64_t state = 88172645463325252u;
static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static uint64_t checksum(const uint8_t *bytes, size_t count) {
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < count; i++) sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

/* Loads everything from an image, saves with one instruction, and leaves the processor in its initial state. */
#define RESTORE(from, mask) __asm__ volatile("xrstor64 %0" : : "m"(from), "a"(mask), "d"(0) : "memory")
#define CLOBBER "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
                "xmm13", "xmm14", "xmm15"
static uint8_t before[AREA] __attribute__((aligned(64)));
#define CASE(name)                                                                                                            \
    static void __attribute__((noinline)) do_##name(uint32_t all, uint32_t loaded, uint32_t saved) {                          \
        __asm__ volatile("mov %4, %%eax; xor %%edx, %%edx; xrstor64 %2\n"                                                     \
                         "mov %5, %%eax; xrstor64 %1\n"                                                                       \
                         "mov %6, %%eax; " #name " %0\n"                                                                      \
                         "mov %4, %%eax; xrstor64 %3"                                                                         \
                         : "+m"(area)                                                                                         \
                         : "m"(image), "m"(before), "m"(initial), "r"(all), "r"(loaded), "r"(saved)                           \
                         : "rax", "rdx", CLOBBER);                                                                            \
    }
CASE(xsave)
CASE(xsave64)
CASE(xsaveopt64)
CASE(xsavec)
CASE(xsavec64)

static const struct {
    const char *name;
    void (*run)(uint32_t, uint32_t, uint32_t);
} CASES[] = {{"xsave", do_xsave}, {"xsave64", do_xsave64}, {"xsaveopt64", do_xsaveopt64}, {"xsavec", do_xsavec}, {"xsavec64", do_xsavec64}};

/* A valid image in the standard or the compacted format, with some components in their initial configuration. */
static void randomise(uint8_t *to, uint32_t mask, int compacted) {
    for (int i = 0; i < AREA; i++) to[i] = (uint8_t)next();
    memset(to + 512, 0, 64);
    to[512] = (uint8_t)(next() & mask);
    if (compacted) {
        uint32_t components = (to[512] | (uint32_t)next()) & mask;
        uint64_t field = (1ull << 63) | components;
        memcpy(to + 520, &field, 8);
    }
    /* No unmasked x87 or SSE exceptions; no pointers. */
    uint16_t control = 0x37f | (uint16_t)(next() & 0xf00), status = (uint16_t)(next() & 0x7f00) | (uint16_t)(next() & 0x7f);
    uint32_t mxcsr = 0x1f80 | (uint32_t)(next() & 0xe07f);
    memcpy(to, &control, 2);
    memcpy(to + 2, &status, 2);
    memset(to + 5, 0, 19);
    memcpy(to + 24, &mxcsr, 4);
    for (int i = 0; i < 8; i++) memset(to + 32 + i * 16 + 10, 0, 6);
}

static sigjmp_buf escape;
static void refused(int signal) {
    (void)signal;
    siglongjmp(escape, 1);
}

int main(int argc, char **argv) {
    uint32_t all = argc > 1 ? (uint32_t)atoi(argv[1]) : 3;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    printf("components %u\n", (low & all) | high);
    for (int round = 0; round < 60; round++) {
        for (unsigned which = 0; which < sizeof CASES / sizeof *CASES; which++) {
            randomise(before, all, 0);
            randomise(image, all, round & 1);
            for (int i = 0; i < AREA; i++) area[i] = (uint8_t)next();
            uint32_t loaded = (uint32_t)next() & all, saved = (uint32_t)next() & all;
            CASES[which].run(all, loaded, saved);
            memset(area + 28, 0, 4);
            memset(area + 6, 0, 18);
            printf("%-10s %u %u: bv %02x%02x sum %016llx\n", CASES[which].name, loaded, saved, area[512], area[520],
                   (unsigned long long)checksum(area, AREA));
        }
    }
    /* What is refused. */
    signal(SIGSEGV, refused);
    for (int round = 0; round < 40; round++) {
        randomise(image, all, round & 1);
        image[round & 2 ? 512 + next() % 64 : 24 + next() % 4] ^= (uint8_t)(1u << next() % 8);
        /* Components above those that take part may exist on one side only. */
        image[512] &= (uint8_t)~(0xff & ~all);
        image[520] &= (uint8_t)~(0xff & ~all);
        memset(image + 513, 0, 3);
        memset(image + 521, 0, 3);
        int verdict = sigsetjmp(escape, 1);
        if (verdict == 0) RESTORE(image, all);
        RESTORE(initial, all);
        printf("%d", verdict);
    }
    RESTORE(initial, all);
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    printf("\nin use %u\n", low & all);
    __asm__ volatile("pcmpeqd %%xmm5, %%xmm5" : : : "xmm5");
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    printf("in use %u\n", low & all);
    return 0;
}
