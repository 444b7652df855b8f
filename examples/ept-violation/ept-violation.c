/*
 * ept-violation: fails. A page-table entry of the guest leads to an address where Linux has nothing.
 *
 * Guest page tables hold guest-physical addresses: dune_va_to_pa() gives them. Here somebody made one up, in the gap between
 * the heap and the mmap area, where Linux has mapped nothing. The guest's tables let the read pass, the EPT cannot: ENTER
 * comes back with ret = 2, and libdune ends the program. The debugger says which entry was wrong.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libdune/dune.h"

#define WINDOW ((volatile int *)0x300000000UL)
#define WRONG_ADDRESS ((void *)0x900000000UL)

int main(void)
{
	if (dune_init_and_enter())
		return EXIT_FAILURE;
	if (dune_vm_map_phys(pgroot, (void *)WINDOW, PGSIZE, WRONG_ADDRESS, PERM_R | PERM_W))
		return EXIT_FAILURE;
	printf("about to read through a wrong entry\n");
	fflush(stdout);
	printf("never printed: %d\n", *WINDOW); /* EPT violation */
	return EXIT_SUCCESS;
}
