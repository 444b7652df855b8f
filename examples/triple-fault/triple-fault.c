/*
 * triple-fault: fails. An exception before LIDT.
 *
 * The program calls ENTER itself, without dune_enter(): before any IDT is loaded its first code touches an address that is
 * not mapped. The page fault has no handler, nor has the double fault it becomes: triple fault, ret = 5.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "libdune/dune.h"

static char stack[4 * PGSIZE] __attribute__((aligned(4096)));

/* Ring 0, no GDT, no IDT. */
static void first_code(void)
{
	*(volatile int *)0x500000000000UL = 1; /* page fault, double fault, triple fault */
}

int main(void)
{
	struct dune_config config = {0};
	int result;

	if (dune_init(true))
		return EXIT_FAILURE;
	config.rip = (uint64_t)first_code;
	config.rsp = (uint64_t)stack + sizeof(stack) - 8;
	config.rflags = 2;
	config.cr3 = (uint64_t)pgroot;
	printf("about to fault without an IDT\n");
	result = ioctl(dune_fd, DUNE_ENTER, &config);
	printf("ENTER returned %d, ret %ld\n", result, (long)config.ret);
	return config.ret == DUNE_RET_UNHANDLED_VMEXIT ? 1 : EXIT_SUCCESS;
}
