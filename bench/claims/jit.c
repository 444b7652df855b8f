/* jit: makes code for ever, as a just-in-time compiler does that never reuses what it made: each function is written, called often enough to be
 * translated, and later overwritten.  N = thousands of functions. */
#include "bench.h"
#include <sys/mman.h>

enum { AREA = 64 << 20, FUNCTION = 256 };

/* mov eax, k; then in a loop of ecx rounds: imul eax, eax, k; add eax, edx; dec ecx; jnz */
static size_t generate(unsigned char *p, uint32_t k)
{
	unsigned char *start = p;
	*p++ = 0xb8, memcpy(p, &k, 4), p += 4;
	unsigned char *loop = p;
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t factor = k * 2 + 3 + i;
		*p++ = 0x69, *p++ = 0xc0, memcpy(p, &factor, 4), p += 4;
		*p++ = 0x01, *p++ = 0xd0;
	}
	*p++ = 0xff, *p++ = 0xc9;
	*p++ = 0x75, *p = (unsigned char)(loop - (p + 1)), p++;
	*p++ = 0xc3;
	return (size_t)(p - start);
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("jit", argc, argv, 20);
	unsigned char *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 0;
	if (area == MAP_FAILED)
		return 2;
	bench_begin();
	for (unsigned long i = 0; i < n * 1000; i++) {
		unsigned char *at = area + i * FUNCTION % AREA;
		uint32_t result, rounds = 3000;
		generate(at, (uint32_t)i);
		__asm__ volatile("call *%2" : "=a"(result), "+c"(rounds) : "r"(at), "d"((uint32_t)i) : "cc", "memory");
		sum = sum * 31 + result;
	}
	return bench_end(sum);
}
