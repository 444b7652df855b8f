/*
 * hello: the shortest tour of Dune mode.
 *
 * The program enters Dune mode, where main() goes on in ring 0. It takes away the right to write a page, writes to it, and
 * its own page-fault handler repairs the entry. Then it divides by zero, and its handler for vector 0 steps over the
 * instruction. It leaves like any other program.
 *
 * Places for breakpoints: main, page_fault, divide_error, and the two lines marked "faults".
 */
#include <stdio.h>
#include <stdlib.h>

#include "libdune/dune.h"

static char page[PGSIZE] __attribute__((aligned(4096)));
static int page_faults, divide_errors;

/* Ring 0, on the stack of the code that faulted. */
static void page_fault(uintptr_t address, uint64_t error_code, struct dune_tf *frame)
{
	ptent_t *entry;

	page_faults++;
	dune_printf("page fault %d: %s at page + %lu, error code %lu, ring %d\n", page_faults,
		    error_code & FEC_W ? "write" : "read", (unsigned long)(address - (uintptr_t)page),
		    (unsigned long)error_code, frame->cs & 3);
	if (dune_vm_lookup(pgroot, (void *)address, CREATE_NONE, &entry))
		exit(EXIT_FAILURE);
	*entry |= PTE_W;
	dune_flush_tlb_one(address);
}

/* DIV r/m32 without a prefix is two bytes long. */
static void divide_error(struct dune_tf *frame)
{
	divide_errors++;
	frame->rax = 42;
	frame->rip += 2;
}

static unsigned divide(unsigned dividend, unsigned divisor)
{
	unsigned quotient = dividend, remainder = 0;

	__asm__ __volatile__("divl %2" : "+a"(quotient), "+d"(remainder) : "c"(divisor)); /* faults when divisor is 0 */
	return quotient;
}

int main(void)
{
	volatile char *byte = page + 16;
	int error;

	setvbuf(stdout, NULL, _IOLBF, 0); /* dune_printf does not wait for stdio */
	printf("hello from Linux mode\n");
	error = dune_init_and_enter();
	if (error) {
		fprintf(stderr, "cannot enter Dune mode: error %d\n", error);
		return EXIT_FAILURE;
	}
	printf("hello from Dune mode, ring 0\n");

	dune_register_pgflt_handler(page_fault);
	dune_register_intr_handler(0, divide_error);

	dune_vm_mprotect(pgroot, page, sizeof(page), PERM_R);
	*byte = 'x'; /* faults: the page is read-only */
	printf("the byte is '%c' after %d page fault\n", *byte, page_faults);

	printf("7 / 0 is %u, says the handler\n", divide(7, 0));
	printf("goodbye\n");
	return page_faults == 1 && divide_errors == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
