/*
 * pagefault: a page-fault handler as a memory manager.
 *
 * on_demand: a gigabyte of addresses of which Linux knows nothing gets pages of libdune's pool as they are touched. remap: a
 * changed entry shows another page at the same address. copy_on_write: the first write gives the writer a page of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libdune/dune.h"

#define REGION 0x300000000UL
#define REGION_SIZE (1UL << 30)

static int demand_faults, copies;

static void page_fault(uintptr_t address, uint64_t error_code, struct dune_tf *frame)
{
	if (!(error_code & FEC_P) && address >= REGION && address < REGION + REGION_SIZE) {
		demand_faults++;
		if (dune_vm_map_pages(pgroot, (void *)PGADDR(address), PGSIZE, PERM_R | PERM_W))
			exit(EXIT_FAILURE);
		memset((void *)PGADDR(address), 0, PGSIZE);
		return;
	}
	if ((error_code & (FEC_P | FEC_W)) == (FEC_P | FEC_W)) {
		copies++;
		dune_vm_default_pgflt_handler(address, error_code);
		return;
	}
	dune_printf("unexpected page fault at %p\n", (void *)address);
	dune_dump_trap_frame(frame);
	dune_die();
}

static void on_demand(void)
{
	uint64_t *numbers = (uint64_t *)REGION;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < REGION_SIZE / sizeof(*numbers); i += REGION_SIZE / sizeof(*numbers) / 64)
		numbers[i] = i;
	for (i = 0; i < REGION_SIZE / sizeof(*numbers); i += REGION_SIZE / sizeof(*numbers) / 64)
		sum += numbers[i];
	printf("on demand: %d pages for a gigabyte, sum %lu\n", demand_faults, sum);
}

static void remap(void)
{
	struct page *red = dune_page_alloc(), *green = dune_page_alloc();
	volatile char *window = (char *)REGION + REGION_SIZE;

	strcpy((char *)dune_page2pa(red), "red");
	strcpy((char *)dune_page2pa(green), "green");
	dune_vm_map_phys(pgroot, (void *)window, PGSIZE, (void *)dune_page2pa(red), PERM_R);
	printf("remap: %s", (char *)window);
	dune_vm_map_phys(pgroot, (void *)window, PGSIZE, (void *)dune_page2pa(green), PERM_R);
	dune_flush_tlb_one((unsigned long)window);
	printf(", then %s at the same address\n", (char *)window);
}

static void copy_on_write(void)
{
	struct page *shared = dune_page_get(dune_page_alloc());
	char *original = (char *)dune_page2pa(shared), *copy = (char *)REGION + REGION_SIZE + PGSIZE;

	strcpy(original, "shared");
	dune_vm_map_phys(pgroot, copy, PGSIZE, original, PERM_R | PERM_COW);
	copy[0] = 'S';
	copy[5] = 'D';
	printf("copy on write: \"%s\" and \"%s\" after %d copy\n", original, copy, copies);
}

int main(void)
{
	if (dune_init_and_enter())
		return EXIT_FAILURE;
	dune_register_pgflt_handler(page_fault);
	on_demand();
	remap();
	copy_on_write();
	return EXIT_SUCCESS;
}
