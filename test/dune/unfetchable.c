/* The handler of page faults lies in a page that is not present, on an interrupt stack: the first fault never ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libdune/dune.h"

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

static struct gate gates[256] __attribute__((aligned(16)));
static char page[PGSIZE] __attribute__((aligned(PGSIZE)));

int main(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr;
	uintptr_t handler = (uintptr_t)page;
	struct gate *fault = &gates[14];
	ptent_t *entry;

	if (dune_init_and_enter() || dune_vm_lookup(pgroot, page, CREATE_NONE, &entry))
		return EXIT_FAILURE;
	__asm__ __volatile__("sidt %0" : "=m"(idtr));
	memcpy(gates, (void *)idtr.base, sizeof(gates));
	fault->offset_low = handler;
	fault->offset_middle = handler >> 16;
	fault->offset_high = handler >> 32;
	idtr.base = (uintptr_t)gates;
	puts("faults from now on");
	fflush(stdout);
	*entry &= ~(ptent_t)PTE_P;
	dune_flush_tlb_one(handler);
	__asm__ __volatile__("lidt %0" : : "m"(idtr));
	*(volatile char *)page = 1;
	puts("never reached");
	return EXIT_SUCCESS;
}
