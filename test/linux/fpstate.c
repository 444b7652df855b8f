/* The floating-point part of signal frames: what the kernel writes there, and what rt_sigreturn makes of changes to it. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#define MAGIC1 0x46505853u
#define MAGIC2 0x46505845u

struct software {
    uint32_t magic1, extended_size;
    uint64_t xfeatures;
    uint32_t xstate_size, padding[7];
};

static enum { LOOK, CHANGE, NO_MAGIC, NO_STATE, INITIAL, FEWER, MISALIGNED, BAD_HEADER, BAD_MXCSR } what;
static int extended;
static sigjmp_buf escape;

static uint32_t word(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    uint8_t *area = (uint8_t *)user->uc_mcontext.fpregs;
    struct software *software = (struct software *)(area + 464);
    uint64_t *header = (uint64_t *)(area + 512);
    (void)signal, (void)info;
    switch (what) {
    case LOOK:
        printf("aligned %d xmm7 %08x mxcsr %04x control %03x\n", (uintptr_t)area % 64 == 0, word(area + 160 + 7 * 16), word(area + 24), word(area) & 0xffff);
        printf("extended %d\n", (user->uc_flags & 1) != 0);
        if (!(user->uc_flags & 1)) break;
        extended = 1;
        printf("magic %d %d sizes %d features %llx present %llx\n", software->magic1 == MAGIC1, word(area + software->xstate_size) == MAGIC2,
               software->extended_size == software->xstate_size + 4, (unsigned long long)software->xfeatures & 3, (unsigned long long)header[0] & 3);
        printf("area as CPUID says %d, frame fits %d\n",
               ({ unsigned a = 0, b = 0, c = 0, d = 0; __get_cpuid_count(0xd, 0, &a, &b, &c, &d); b == software->xstate_size; }),
               getauxval(AT_MINSIGSTKSZ) >= 440 + software->extended_size);
        break;
    case CHANGE: memset(area + 160 + 7 * 16, 0x5a, 4); break;
    case NO_MAGIC:
        software->magic1 = 0;
        memset(area + 160 + 7 * 16, 0x33, 4);
        if (extended) header[0] = 0;
        break;
    case NO_STATE: user->uc_mcontext.fpregs = 0; break;
    case INITIAL: if (extended) header[0] &= ~(uint64_t)2; else memset(area + 160, 0, 256); break;
    case FEWER: if (extended) software->xfeatures &= ~(uint64_t)2; else memset(area + 160, 0, 256); break;
    case MISALIGNED: user->uc_mcontext.fpregs = (void *)(area + 8); break;
    case BAD_HEADER: if (extended) header[0] |= 1ull << 62; else area[27] = 1; break;
    case BAD_MXCSR: area[27] = 1; break;
    }
}

static void dead(int signal) {
    (void)signal;
    siglongjmp(escape, 1);
}

static uint32_t after_signal(int kind) {
    uint32_t result;
    what = kind;
    __asm__ volatile("movd %1, %%xmm7\n"
                     "mov $39, %%eax; syscall\n"      /* getpid */
                     "mov %%eax, %%edi; mov $10, %%esi; mov $62, %%eax; syscall\n" /* kill(self, SIGUSR1) */
                     "movd %%xmm7, %0"
                     : "=r"(result)
                     : "r"(0x12345678)
                     : "rax", "rcx", "rdi", "rsi", "r11", "xmm7", "memory");
    return result;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    signal(SIGSEGV, dead);
    for (int kind = LOOK; kind <= FEWER; kind++) printf("%d: %08x\n", kind, after_signal(kind));
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    printf("mxcsr %x\n", mxcsr);
    for (int kind = MISALIGNED; kind <= BAD_MXCSR; kind++) {
        int died = sigsetjmp(escape, 1);
        if (!died) after_signal(kind);
        printf("%d: died %d\n", kind, died);
    }
    printf("fsgsbase %d\n", (getauxval(AT_HWCAP2) & 2) != 0);
    return 0;
}
