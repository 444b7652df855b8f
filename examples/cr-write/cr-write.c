/*
 * cr-write: fails. A control-register bit that belongs to the module.
 *
 * Ring 0 of Dune mode may load CR3 and CR8. CR0 and CR4 read as they are, and writing the same value is harmless, but any
 * change of a bit is a VM exit that the module does not handle: here CR4.SMEP.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libdune/dune.h"

#define CR4_SMEP (1UL << 20)

int main(void)
{
	unsigned long cr4;

	if (dune_init_and_enter())
		return EXIT_FAILURE;
	__asm__ __volatile__("mov %%cr4, %0" : "=r"(cr4));
	__asm__ __volatile__("mov %0, %%cr4" : : "r"(cr4));
	printf("CR4 written with its own value: allowed\n");
	fflush(stdout);
	__asm__ __volatile__("mov %0, %%cr4" : : "r"(cr4 | CR4_SMEP)); /* VM exit 28 */
	printf("never printed\n");
	return EXIT_SUCCESS;
}
