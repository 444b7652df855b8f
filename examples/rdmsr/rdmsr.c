/*
 * rdmsr: fails. A model-specific register that the MSR bitmap does not pass through.
 *
 * FS base and GS base can be read and written. LSTAR belongs to Linux: reading it exits (ret = 5), the module handles no RDMSR.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libdune/dune.h"

#define MSR_FS_BASE 0xc0000100
#define MSR_LSTAR 0xc0000082

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ __volatile__("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

int main(void)
{
	if (dune_init_and_enter())
		return EXIT_FAILURE;
	printf("FS base: %s\n", rdmsr(MSR_FS_BASE) ? "readable" : "zero");
	fflush(stdout);
	printf("never printed: %lx\n", rdmsr(MSR_LSTAR)); /* VM exit 31 */
	return EXIT_SUCCESS;
}
