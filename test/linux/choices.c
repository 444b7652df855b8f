/* What the C library and the compiler make of CPUID: features they see, and the versions of functions they choose (addresses, to be looked up in the symbol table). */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

/* The entry of a chosen function is an indirect jump through its cell: ENDBR64 may stand before it. */
static const void *chosen(const uint8_t *entry) {
    if (entry[0] == 0xf3 && entry[1] == 0x0f && entry[2] == 0x1e) entry += 4;
    if (entry[0] == 0xf2) entry++;
    if (entry[0] != 0xff || entry[1] != 0x25) return entry;
    int32_t displacement;
    memcpy(&displacement, entry + 2, 4);
    return *(void *const *)(entry + 6 + displacement);
}

#define SUPPORTS(name) printf("%s %d\n", name, __builtin_cpu_supports(name) != 0)

int main(void) {
    __builtin_cpu_init();
    SUPPORTS("sse4.2");
    SUPPORTS("avx");
    SUPPORTS("avx2");
    SUPPORTS("fma");
    SUPPORTS("f16c");
    SUPPORTS("bmi2");
    SUPPORTS("movbe");
    SUPPORTS("avx512f");
    SUPPORTS("x86-64-v2");
    SUPPORTS("x86-64-v3");
    printf("memcpy %p\n", chosen((const uint8_t *)(uintptr_t)memcpy));
    printf("strlen %p\n", chosen((const uint8_t *)(uintptr_t)strlen));
    printf("sin %p\n", chosen((const uint8_t *)(uintptr_t)sin));
    printf("minsigstksz %lu\n", getauxval(51));
    return 0;
}
